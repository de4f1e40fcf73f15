"""People: accounts, how they prove who they are, and what they may do.

What a person is elsewhere in the database is the account's random id. Functions take the transaction that they work
in and the time (`now_s`, whole seconds of the Unix epoch), and raise `bootstrap.refusal.Refused`.
"""
