"""Money: what people pay, the credits they get for it, and what hosts are paid.

Rules:

1. What anybody has is what the journal says: movements of integers between two books, each with a key of its own,
   under which it happens once. No book is ever below nothing.
2. What the payment provider is asked for is first a row in an outbox, written together with what is pending for it,
   and is asked for again under the same key until there is an answer. A time-out is no answer.
3. The provider's events are knocks on the door: what has happened is what it says when it is asked.
4. Nothing of a card, a bank or a tax number is ever here (promise P10): people give those to the provider, on a page
   of its own.

Functions take the transaction that they work in and the time (`now_s`, whole seconds of the Unix epoch), and raise
`bootstrap.refusal.Refused`. Source: design section 8; the two-phase transfers of TigerBeetle's documentation; Stripe's
on idempotent requests and webhooks.
"""
