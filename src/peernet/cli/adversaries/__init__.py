"""Peers that misbehave, for `peernet demo --attack`: the production node, and at one narrow place something else.

Each is a process of its own, started like any other peer. What it can lay hands on it keeps in a notebook
(`notebook`), from which the demo computes what was and what was not learned. Nothing here is imported by a node.
"""
