"""HTML for reports: tables, legends, and a page that fetches nothing."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from water_gee._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def escape(text: object) -> str:
    """Make text safe between tags and in attributes."""
    return html.escape(str(text))


def plain(value: Any) -> str:
    """Write a JSON value in a line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain(item)}" for name, item in value.items())
    return str(value)


def table(heading: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Make a heading and a table; nothing where there are no rows.

    Args:
        heading: Above it.
        rows: Text; the first cell of each names the row.
        head: Names of the columns, the first included.
    """
    if not rows:
        return ""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(
        f"<tr><th>{escape(row[0])}</th>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>\n"
        for row in rows
    )
    header = f"<thead><tr>{top}</tr></thead>" if top else ""
    return (
        f'<h2>{escape(heading)}</h2>\n<div class="scroll"><table>{header}'
        f"<tbody>{lines}</tbody></table></div>"
    )


def legend(*entries: tuple[str, tuple[int, int, int]]) -> str:
    """Name colours."""
    return "".join(
        f'<span class="key"><i style="background:rgb{colour}"></i>{escape(name)}</span>'
        for name, colour in entries
    )


def figure(name: str, address: str, caption: str, aspect: float) -> str:
    """Show a picture.

    Args:
        name: Its title.
        address: A data URI.
        caption: HTML behind the title.
        aspect: Width over height as it is to be seen.
    """
    return (
        f'<figure><img src="{address}" alt="{escape(name)}" style="aspect-ratio:{aspect:.4f}">'
        f"<figcaption><b>{escape(name)}</b>{caption}</figcaption></figure>\n"
    )


def whole(title: str, body: str) -> bytes:
    """Make the page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
<footer>water_gee {escape(__version__)}</footer>
</body>
</html>
""".encode()


_STYLE = """
body{margin:0 auto;max-width:1200px;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:#222;
background:#fff}
h1{margin:.2rem 0}h2{margin:2rem 0 .5rem;font-size:1.2rem}
.loud{background:#b3261e;color:#fff;font-weight:700;padding:.7rem 1rem;border-radius:6px}
.note{background:#fff4d6;padding:.4rem .8rem;border-radius:6px}
.facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
.facts div{background:#eef3f7;border-radius:6px;padding:.5rem 1rem}
.facts b{display:block;font-size:1.3rem}.facts span{color:#555}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,280px),1fr));gap:1rem}
figure{margin:0}figure img{width:100%;display:block;border:1px solid #ccc;box-sizing:border-box}
figure.wide img{max-width:720px}
figcaption{font-size:.85rem;color:#444}
.key{display:inline-block;margin-left:.8em}
.key i{display:inline-block;width:.9em;height:.9em;margin-right:.3em;border:1px solid #888;
vertical-align:-.1em}
.scroll{overflow-x:auto}
table{border-collapse:collapse}
th,td{text-align:left;padding:.25rem .8rem;border-bottom:1px solid #ddd;vertical-align:top}
td{font-variant-numeric:tabular-nums}
thead th{border-bottom:2px solid #888}
footer{margin:2rem 0;color:#666;font-size:.85rem}
"""
