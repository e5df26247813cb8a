"""How a LoRA is judged: which pictures are drawn, what is measured of them, and what that advises. Pure.

``prompts`` says what is asked for, ``grid`` which pictures that makes, ``scores`` what is measured, ``judgement`` what
is written down. The agent draws and measures, the client plans, prices, advises and shows.
"""
