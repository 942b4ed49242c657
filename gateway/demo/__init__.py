"""A small internet on the loopback networks: resolver, certificate authority, recipients' servers of every kind."""
