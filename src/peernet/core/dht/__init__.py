"""Discovery: Kademlia with signed records, without I/O.

`contact` is a peer as seen by the others, `table` the routing table of one node, `records` what peers sign about
themselves, `store` the records held for others, `messages` what goes over `/peernet/dht/1`, `lookup` the iterative
search, and `node` puts them together as one DHT node. Source: Maymounkov and Mazieres, "Kademlia" (2002); Baumgart
and Mies, "S/Kademlia" (2007), for disjoint paths.
"""
