# SPDX-License-Identifier: Apache-2.0
"""Legends of the live page, as HTML; whatever was typed is escaped."""

import html
from collections.abc import Iterable, Sequence

import numpy as np

from langocc.scenes.occ3d import OCC3D_CLASSES, OCC3D_PALETTE
from langocc.view.colours import heat_colours
from langocc.view.difference import COLOURS, NAMES
from langocc.view.live_colours import QUERY_COLOURS, Painted


def class_legend_html(ids: Sequence[int]) -> str:
    """Swatches of Occ3D classes."""
    items = (_swatch(OCC3D_PALETTE[i], OCC3D_CLASSES[i].replace("_", " ")) for i in ids)
    return _box("".join(items) or "nothing is occupied; lower the density")


def difference_legend_html(counts: Sequence[int]) -> str:
    """Swatches of what predictions are, and how many voxels each."""
    entries = zip(NAMES, COLOURS, counts, strict=True)
    lines = [_swatch(c, f"{name}: {n:,} voxels", is_line=True) for name, c, n in entries]
    return _box("<b>prediction against truth</b>" + "".join(lines))


def query_legend_html(texts: Sequence[str], painted: Painted) -> str:
    """Each query with its colours, the similarities they stand for, and how many voxels answer."""
    lines = []
    for number, text in enumerate(texts):
        low, high = painted.ranges[number]
        found = f"{painted.hot[number]} voxels, similarity {low:.2f} to {high:.2f}"
        if len(texts) == 1:
            stops = ", ".join(f"rgb{_rgb(c)}" for c in heat_colours(np.linspace(0, 1, 9)).tolist())
            bar = f"height:10px;border-radius:3px;background:linear-gradient(90deg,{stops})"
            lines.append(f'<b>{html.escape(text)}</b><div style="{bar}"></div>{found}')
        else:
            name = f"<b>{html.escape(text)}</b>&nbsp; {found}"
            lines.append(_swatch(QUERY_COLOURS[number], name, is_safe=True, is_line=True))
    return _box("".join(lines))


def notes_html(notes: Sequence[str]) -> str:
    """Hints and warnings, one a line; nothing for none."""
    lines = "".join(f"<div>{html.escape(note)}</div>" for note in notes)
    return _box(lines, "color:#8a5a00;") if lines else ""


def facts_html(lines: Sequence[str]) -> str:
    """Plain lines."""
    return _box("".join(f"<div>{html.escape(line)}</div>" for line in lines))


def _swatch(
    colour: tuple[int, int, int], name: str, is_safe: bool = False, is_line: bool = False
) -> str:
    square = (
        "display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px;"
        f"border:1px solid #9a9a9a;background:rgb{_rgb(colour)}"
    )
    text = name if is_safe else html.escape(name)
    style = "display:block" if is_line else "display:inline-block;margin-right:10px"
    return f'<span style="{style}"><span style="{square}"></span>{text}</span>'


def _box(content: str, style: str = "") -> str:
    return (
        f'<div style="font-size:12px;line-height:1.5;padding:2px 12px 6px;'
        f'overflow-wrap:anywhere;{style}">{content}</div>'
    )


def _rgb(colour: Iterable[int]) -> str:
    return f"({', '.join(str(int(c)) for c in colour)})"
