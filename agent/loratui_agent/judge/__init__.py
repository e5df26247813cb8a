"""Judges LoRA files: draws the pictures of a grid, measures them, and writes down what was seen.

``judge`` is the whole way; ``draw`` makes pictures, ``features`` are the models that look at them, ``measure`` makes
scores of what they see. What is drawn and what scores there are is ``loratui_protocol.judging``'s business.
"""
