"""Hosts: who runs them, how they perform, and what operators decide about them (promise P7).

Functions take the transaction that they work in and the time (`now_s`, whole seconds of the Unix epoch), and raise
`bootstrap.refusal.Refused`. Every figure about a host is one of three: declared by its operator, reported by the host
itself under its signature, or measured by this node; views keep them apart.

What stands against a host is a `sanction` (strike, suspension, removal, forfeiture); its state follows from those in
force (`standing`). Programs that inspect hosts will give strikes by the same function, as the source `inspection`.
"""
