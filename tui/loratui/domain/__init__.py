"""Pure rules of the client: no I/O, no clock, no framework."""
