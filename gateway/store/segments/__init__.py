"""Bodies over 16 KiB: encrypted frames in pre-written files that are used again and again."""
