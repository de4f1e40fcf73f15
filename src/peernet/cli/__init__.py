"""The command `peernet`."""
