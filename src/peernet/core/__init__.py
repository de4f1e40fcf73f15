"""All protocol logic and rules of peernet, without I/O.

Nothing here opens a socket, reads a clock, draws randomness or waits. State machines take bytes and the time as
arguments and hand back bytes and events, so that the same code runs on real sockets, on a mock clock, and in a
simulation of 50,000 nodes.
"""
