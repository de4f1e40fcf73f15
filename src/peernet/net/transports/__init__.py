"""Transports: how two peers get a stream of bytes between them, before anything of libp2p is said on it.

`port.py` is the interface; `tcp.py` and `websocket.py` are what we speak.
"""
