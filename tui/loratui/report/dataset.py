"""The training pictures in the report: how many, from where, how large; they themselves only where that is wanted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from loratui.report import html, thumbnails
from loratui_protocol.codec import clean
from loratui_protocol.config_file import parse_config
from loratui_protocol.dataset import Picture, scan_config
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import plural
from loratui_protocol.subsets import subsets_of

_SIDE_PX = 160
_MAX_SHOWN = 500


def summary(config_toml: str, *, pictures: bool) -> list[str]:
    """Return what there is to say of the config's dataset as it is on this machine now."""
    try:
        config = parse_config(config_toml, Path.cwd()).config
        if not (config.train_data_dir or config.datasets):
            return []
        subsets = subsets_of(config)
        found = scan_config(config).pictures
    except LoratuiError as error:
        return [html.paragraph(f"The training pictures can't be looked at here: {error.what}.", "faint")]
    rows = [
        (subset.image_dir, plural(len(own), "picture"), _told(own))
        for index, subset in enumerate(subsets)
        if (own := [picture for picture in found if picture.subset == index])
    ]
    return [html.table(rows), *(_shown(found) if pictures else [])]


def _told(pictures: Sequence[Picture]) -> str:
    """Return "each shown 10 times an epoch; 3 without a caption; 512 to 2048 pixels wide, 512 to 1536 high"."""
    repeats = Counter(picture.num_repeats for picture in pictures)
    often = ", ".join(str(number) for number in sorted(repeats))
    uncaptioned = sum(not picture.caption.strip() for picture in pictures)
    widths, heights = [each.width for each in pictures], [each.height for each in pictures]
    size = f"{min(widths)} to {max(widths)} pixels wide, {min(heights)} to {max(heights)} high"
    kind = "regularisation; " if pictures[0].is_reg else ""
    captions = f"{uncaptioned} without a caption" if uncaptioned else "all with captions"
    return f"{kind}shown {often} times an epoch; {captions}; {size}"


def _shown(pictures: Sequence[Picture]) -> list[str]:
    figures = []
    for picture in pictures[:_MAX_SHOWN]:
        small = thumbnails.small(picture.path, _SIDE_PX)
        if small is not None:
            caption = clean(picture.caption, 300) or "no caption"
            figures.append(html.embedded(thumbnails.as_jpeg(small), "image/jpeg", f"{picture.name}: {caption}"))
    shown = '<div class="samples">\n' + "\n".join(figures) + "\n</div>"
    left = len(pictures) - len(figures)
    return [shown, *([html.paragraph(f"{plural(left, 'picture')} not shown.", "faint")] if left else [])]
