"""The service around the metering ledger: what operators of bootstrap nodes run."""
