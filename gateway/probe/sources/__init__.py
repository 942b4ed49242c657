"""Sources of recipients' keys, one file each; they do not know each other (`gateway.probe.key_source` says how)."""
