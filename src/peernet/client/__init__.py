"""The client: screen, mask, plan, rings, stream, restore, and what each host saw."""
