"""The ways of protecting a message, one file each; `gateway.protect.method` says how to add one."""
