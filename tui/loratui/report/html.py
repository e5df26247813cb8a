"""The few pieces of HTML that the report is made of. Every text is escaped here: names and captions come from afar."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
MAX_PICTURE_BYTES = 16 << 20


def heading(text: str) -> str:
    """Return the title of the page."""
    return f"<h1>{escape(text)}</h1>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; ``kind`` is a class of report.css."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def section(title: str, *parts: str) -> str:
    """Return the parts under a heading; nothing when there are none."""
    content = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column names things and whose second, of three, holds numbers; "" without rows."""
    lines = []
    for name, *cells in rows:
        kinds = ("number", "") if len(cells) == 2 else ("",)
        columns = "".join(f"<td{_class(kind)}>{escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{columns}</tr>')
    return "<table>\n" + "\n".join(lines) + "\n</table>" if lines else ""


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a heading over each column, that scrolls where it is wider than the page; "" without rows."""
    lines = []
    for name, *cells in rows:
        values = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{values}</tr>')
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n<tr>{titles}</tr>\n{body}\n</table></div>' if lines else ""


def folded(summary: str, content: str) -> str:
    """Return content that shows when it is asked for."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{content}\n</details>" if content else ""


def picture(path: Path, caption: str, kind: str = "") -> str:
    """Return the picture with its bytes inside the page; nothing when it is no PNG or JPEG, or very large."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_PICTURE_BYTES else b""
    except OSError:
        return ""
    media_type = next((name for signature, name in _SIGNATURES.items() if content.startswith(signature)), None)
    if media_type is None:
        return ""
    return embedded(content, media_type, caption, kind)


def embedded(content: bytes, media_type: str, caption: str, kind: str = "") -> str:
    """Return a picture of these bytes, which its page holds."""
    encoded = base64.b64encode(content).decode()
    return (
        f'<figure{_class(kind)}><img alt="{escape(caption)}" src="data:{media_type};base64,{encoded}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def page(title: str, css: str, *parts: str, script: str = "") -> str:
    """Return the whole document. Its policy forbids every request, so the file tells nobody that it was opened.

    ``script`` is the only one that may run: the policy has its hash, and no other's.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" + allowed
    )
    body = "\n".join([*(part for part in parts if part), *([f"<script>{script}</script>"] if script else [])])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
