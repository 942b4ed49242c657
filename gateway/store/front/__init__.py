"""The half of the store that has keys: seals, opens, and writes its own frames."""
