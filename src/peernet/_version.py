"""The version of every package in this distribution."""

__version__ = "0.1.0"
