"""Privacy rights: what people may ask about their data, done by the service itself, with a receipt and a deadline.

Whoever keeps data about people says in `rights.domains` how it is shown, erased, and what law locks.
"""
