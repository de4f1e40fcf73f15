"""Sockets: transports, the upgrade of a connection, and the swarm of connections, on trio.

What crosses a connection is decided in `peernet.core`; here bytes are moved, limits are kept, and tasks end.
"""
