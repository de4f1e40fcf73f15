"""Simulations of the network with its production code."""
