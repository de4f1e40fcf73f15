"""The host: a peer that serves models, meters what it gives, and is paid by vouchers."""
