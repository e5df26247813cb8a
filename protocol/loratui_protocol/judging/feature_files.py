"""Which files a model needs that pictures are measured with. Pure.

transformers does not miss all of them: without its vocabulary a tokenizer reads every text as the same one.
"""

from collections.abc import Collection


def lacking(names: Collection[str], *, reads_texts: bool) -> str:
    """Return what a folder with files of these names lacks; empty: nothing."""
    if "config.json" not in names:
        return "config.json"
    if not any(name.endswith(".safetensors") for name in names):
        return "a .safetensors file with its weights"
    if reads_texts and "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= set(names):
        return "its tokenizer (tokenizer.json, or vocab.json and merges.txt)"
    return ""
