"""Being reached: AutoNAT v2 tells whether a peer can be dialled, circuit relays are for those that cannot.

`autonat` asks and dials back, `relay` is the relay's service, `keeper` keeps places at relays, and `circuits` is what
the swarm dials and takes circuits by.
"""
