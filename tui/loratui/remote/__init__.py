"""Reaching an agent: the way to it, the conversation with it, and files from it."""
