"""Sealgate: an outbound mail gateway that protects each recipient's copy, or does not send it.

Read `journey.py` first, then `docs/ARCHITECTURE.md`.
"""

__version__ = "0.1.0.dev0"
