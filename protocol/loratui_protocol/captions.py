"""What a caption becomes when its picture is shown: its tags shuffled, or nothing at all."""

import random


def shuffled(caption: str, keep_tokens: int, rng: random.Random) -> str:
    """Return the caption with its comma-separated tags in random order, the first ``keep_tokens`` left in place."""
    tags = [tag.strip() for tag in caption.split(",")]
    kept, loose = tags[:keep_tokens], tags[keep_tokens:]
    rng.shuffle(loose)
    return ", ".join((*kept, *loose))


def shown(caption: str, *, shuffle: bool, keep_tokens: int, dropout_rate: float, rng: random.Random) -> str:
    """Return the caption for one exposure; empty where it is dropped, which happens at ``dropout_rate`` (0 to 1)."""
    # One number is drawn either way: a changed rate must not change how the others are shuffled.
    if rng.random() < dropout_rate:
        return ""
    return shuffled(caption, keep_tokens, rng) if shuffle else caption
