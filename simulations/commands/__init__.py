"""The commands of this package, found by `peernet` through the entry-point group `peernet.commands`."""
