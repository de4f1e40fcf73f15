"""What a bootstrap node shows to everybody: figures of the network, and its ledger as readers see it.

Nothing here is about a person: it is made from the directory and the log, which anybody can read.
"""
