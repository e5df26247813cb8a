"""Who rents machines out: one port, one adapter a provider, one contract that all of them keep."""
