"""What client and agent must agree on: errors, messages, codec, link rules, config schema, dataset rules, plan."""

SUBPROTOCOL = "loratui.v1"
"""Websocket subprotocol; its number is the major version of the wire format."""
