"""Ground that every room stands on: configuration, files, log lines, keyed randomness, names on disk; no torch."""
