"""Engines: what a host answers with, behind one small interface, and the tokenizers that metering counts with."""
