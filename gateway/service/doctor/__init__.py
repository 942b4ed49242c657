"""`sealgate doctor`: live checks of what a gateway needs outside itself, and attempts to relay through it."""
