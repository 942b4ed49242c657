"""The tests; `docs/` and the first line of each folder's modules say what proves what."""
