"""The gateway: the OpenAI-compatible HTTP API on the client's own machine."""
