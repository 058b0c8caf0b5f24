# SPDX-License-Identifier: Apache-2.0
"""A report page: one HTML file with its pictures inside, readable without a network."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from langocc.files import replacing

JPEG_QUALITY = 87


@dataclass(frozen=True)
class Figure:
    """A picture with words.

    Attributes:
        title: A few words above it; also what it is called where it cannot be seen.
        image: The picture.
        caption: What to look for; may be empty.
        is_drawing: Flat colours and sharp edges: stored as PNG. Else as JPEG.
        is_wide: Takes the whole width of the page.
    """

    title: str
    image: Image.Image
    caption: str = ""
    is_drawing: bool = False
    is_wide: bool = False


@dataclass(frozen=True)
class Column:
    """A column of the table of numbers.

    Attributes:
        name: Heading.
        note: Unit and convention, printed under the heading.
        digits: After the point.
        higher_is_better: The best number is printed bold.
    """

    name: str
    note: str = ""
    digits: int = 1
    higher_is_better: bool = True


@dataclass(frozen=True)
class Row:
    """A line of the table of numbers: a method, and a number or None per column."""

    name: str
    values: Sequence[float | None]
    note: str = ""
    is_ours: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph and pictures."""

    title: str
    text: str = ""
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes:
        title: Heading.
        summary: One or two sentences under it.
        columns: Columns of the table of numbers; none: no table.
        rows: Its lines.
        sections: Sections in order.
        facts: Where the numbers come from: data, checkpoint, teacher, versions; at the foot.
    """

    title: str
    summary: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Row] = ()
    sections: Sequence[Section] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def write_page(path: Path, page: Page) -> Path:
    """Writes the page, whole or not at all, and returns its path.

    Raises:
        ValueError: a line of the table has another number of values than there are columns.
    """
    text = page_html(page)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def page_html(page: Page) -> str:
    """The page as HTML.

    Raises:
        ValueError: a line of the table has another number of values than there are columns.
    """
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    title = html.escape(page.title)
    body = [f"<header><h1>{title}</h1><p>{html.escape(page.summary)}</p></header>"]
    if page.columns:
        body.append(_table(page.columns, page.rows))
    body += [_section(section) for section in page.sections]
    body.append(_facts(page.facts))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>'
        '\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    for row in rows:
        if len(row.values) != len(columns):
            raise ValueError(
                f"rows: {row.name!r}: expected {len(columns)} values, got {len(row.values)}"
            )
    head = "".join(
        f'<th scope="col">{html.escape(column.name)}<small>{html.escape(column.note)}</small></th>'
        for column in columns
    )
    best = [_best(column, [row.values[i] for row in rows]) for i, column in enumerate(columns)]
    lines = []
    for row in rows:
        cells = "".join(
            _cell(value, column.digits, top)
            for value, column, top in zip(row.values, columns, best, strict=True)
        )
        name = f"{html.escape(row.name)}<small>{html.escape(row.note)}</small>"
        kind = ' class="ours"' if row.is_ours else ""
        lines.append(f'<tr{kind}><th scope="row">{name}</th>{cells}</tr>')
    return (
        '<section><div class="scroll"><table>\n<thead><tr><th scope="col">method</th>'
        f"{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody></table></div></section>"
    )


def _best(column: Column, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and value == value]
    if not known:
        return None
    return max(known) if column.higher_is_better else min(known)


def _cell(value: float | None, digits: int, best: float | None) -> str:
    if value is None or value != value:
        return "<td>–</td>"
    text = f"{value:.{digits}f}"
    return f"<td><b>{text}</b></td>" if value == best else f"<td>{text}</td>"


def _section(section: Section) -> str:
    text = f"<p>{html.escape(section.text)}</p>" if section.text else ""
    figures = "\n".join(_figure(figure) for figure in section.figures)
    return (
        f"<section><h2>{html.escape(section.title)}</h2>{text}\n"
        f'<div class="figures">\n{figures}\n</div></section>'
    )


def _figure(figure: Figure) -> str:
    kind = "PNG" if figure.is_drawing else "JPEG"
    buffer = io.BytesIO()
    image = figure.image.convert("RGB")
    image.save(buffer, kind, quality=JPEG_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    caption = f"<p>{html.escape(figure.caption)}</p>" if figure.caption else ""
    title = html.escape(figure.title, quote=True)
    wide = ' class="wide"' if figure.is_wide else ""
    return (
        f"<figure{wide}><figcaption>{title}{caption}</figcaption>"
        f'<img alt="{title}" width="{image.width}" height="{image.height}" loading="lazy" '
        f'src="data:image/{kind.lower()};base64,{data}"></figure>'
    )


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    items = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts.items()
    )
    return f"<footer><h2>Where these numbers come from</h2><dl>{items}</dl></footer>"
