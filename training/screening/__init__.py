"""Trains the classifier of `privacy.screening`: its texts, its data, and one command."""
