"""The store on SQLite: one writer thread that shares commits, readers beside it."""
