"""Grammars and protocol machines without I/O: bytes in, values out. Both sides of a dialogue share them."""
