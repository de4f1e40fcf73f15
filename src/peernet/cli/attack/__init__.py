"""`peernet demo --attack`: five attacks on a swarm that runs, and what came of each.

`stage` sets up the swarm and runs the scenes; `on_requests` and `on_ledger` are the scenes; `scene` tells one. What
must reach nobody is in `planted`; `finding` looks for it, and `handover` at an answer that somebody else went on with.
"""
