"""The embedded base model ``builtin:tiny`` and the demo concept that a LoRA teaches it."""
