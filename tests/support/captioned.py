"""Folders of captioned pictures, and what the check of captions and folders says of them."""

import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from loratui.preflight.captions import look_at_captions
from loratui_protocol.dataset import scan_config
from loratui_protocol.findings import Finding
from loratui_protocol.plan import plan
from support.small_dataset import small_config

BASE = "somebody/sd15"
"""A base model that is not the built-in one: its tokens are CLIP's."""
CHECKED = Path("my run.toml")
"""What a person has asked to have checked."""


@functools.cache
def png(width: int = 64, height: int = 64) -> bytes:
    """Return a plain picture."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def write_captioned(folder: Path, captions: Mapping[str, str | bytes | None]) -> Path:
    """Write a picture for each name, with the caption unless None, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, caption in captions.items():
        (folder / f"{name}.png").write_bytes(png())
        if caption is not None:
            content = caption if isinstance(caption, bytes) else caption.encode()
            (folder / f"{name}.txt").write_bytes(content)
    return folder


def look(train_data_dir: Path, **settings: Any) -> dict[str, Finding]:
    """Return what is found, by code; of several with one code the last."""
    return {finding.code: finding for finding in look_all(train_data_dir, **settings)}


def look_all(train_data_dir: Path | None, **settings: Any) -> list[Finding]:
    """Return all that is found, what the scan says included; None: the settings list datasets."""
    config = small_config(train_data_dir or Path(), **{"pretrained_model_name_or_path": BASE, **settings})
    dataset = scan_config(config, tell_all=True)
    return [*dataset.findings, *look_at_captions(dataset, config, plan(config, dataset.pictures), checked=CHECKED)]
