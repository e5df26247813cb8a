"""Screens: which widgets stand where, and what the keys do."""
