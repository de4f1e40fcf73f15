"""The API does what its description says, whatever it is sent: schemathesis makes the requests."""
