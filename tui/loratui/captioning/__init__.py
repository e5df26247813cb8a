"""Drafts of captions by a model on this machine: tags or prose, marked until a person has reviewed them."""
