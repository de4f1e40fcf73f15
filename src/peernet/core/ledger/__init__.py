"""The metering ledger without I/O: the tree, its signed formats, the entries and the rules.

Bytes on the outside are C2SP's to the letter (tlog-tiles, signed-note, tlog-checkpoint, tlog-cosignature,
tlog-proof), so that other people's verifiers work on our logs. `bootstrap` stores and serves them; anyone replays.
"""
