"""The report page: one file, nothing fetched, nothing unescaped."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from langocc.view.page import Column, Figure, Page, Row, Section, page_html, write_page

VOID = {"meta", "img"}


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps what matters."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.images, self.links, self.text, self.bold = [], [], [], "", []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [v for k, v in attrs if k in ("src", "href") and not v.startswith("data:")]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "b":
            self.bold.append(data)


def page() -> Page:
    figures = [
        Figure('A "red" <square>', Image.new("RGB", (30, 20), "red"), "flat & plain", True),
        Figure("A photograph", Image.new("RGB", (40, 20), (10, 20, 30)), is_wide=True),
    ]
    return Page(
        "Roads & <streets>",
        "What was found.",
        [Column("mIoU", "17 classes, %"), Column("error", "m", 2, higher_is_better=False)],
        [
            Row("ours", [12.34, 0.5], "2,000 steps", is_ours=True),
            Row("prior", [6.0, None]),
            Row("other", [float("nan"), 0.7]),
        ],
        [Section("Where is <it>?", "Text.", figures)],
        {"checkpoint": "sha256 ab12"},
    )


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    path = write_page(tmp_path / "out" / "report.html", page())
    text = path.read_text(encoding="utf-8")
    parsed = outline(text)
    assert parsed.links == []
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text
    for said in ("Roads & <streets>", "Where is <it>?", "flat & plain", "sha256 ab12", "12.3"):
        assert said in parsed.text


def test_pictures_are_inside_and_named() -> None:
    images = outline(page_html(page())).images
    assert [image["alt"] for image in images] == ['A "red" <square>', "A photograph"]
    kinds = []
    for image in images:
        head, data = image["src"].split(",", 1)
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            kinds.append((head, opened.format, opened.size))
    assert kinds == [
        ("data:image/png;base64", "PNG", (30, 20)),
        ("data:image/jpeg;base64", "JPEG", (40, 20)),
    ]


def test_the_best_number_of_each_column_is_bold_and_no_number_is_a_dash() -> None:
    parsed = outline(page_html(page()))
    assert parsed.bold == ["12.3", "0.50"]
    assert parsed.text.count("–") == 2


def test_a_line_with_a_missing_value_is_refused() -> None:
    with pytest.raises(ValueError, match="rows: 'x': expected 1 values, got 2"):
        page_html(Page("t", columns=[Column("a")], rows=[Row("x", [1.0, 2.0])]))


def test_an_empty_page_is_a_page() -> None:
    assert outline(page_html(Page("Nothing yet"))).images == []
