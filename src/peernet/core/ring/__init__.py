"""Rings: the closed onion path of one fragment, as state machines without I/O.

A ring is two arcs that the client builds outward and joins at an endpoint (a host, or a bootstrap node):

    client -> guard -> F -> endpoint        the out arc carries the fragment and the vouchers
    client <- guard <- R <- endpoint        the back arc carries the answer

`cells` says what a cell is, `arc` is the client's end of an arc, `hop` is every other peer's, `ring` joins two arcs,
`paths` chooses who stands where. Design section 5.
"""
