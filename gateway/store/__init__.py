"""Memory of the gateway: messages, errands, leaves of the audit log, small remembered facts. Start at `contract`."""
