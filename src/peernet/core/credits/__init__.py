"""Credits without I/O: blind signatures, and what a bearer credit is made of.

A credit is signed without being seen, so its issuer cannot tell whom it signed it for when it comes back. The rules
that the ledger has for credits are in `peernet.core.ledger.rules`.
"""
