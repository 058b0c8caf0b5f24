# SPDX-License-Identifier: Apache-2.0
"""CLIP's own tokenizer out of `vocab.json` and `merges.txt`, as the hub's CLIPs have them.

A tokenizer made in the wrong way knows no word and says nothing of it: hence known ids. The file
here is a small part of the original vocabulary: its bytes and marks and a few words, each at its
original place.
"""

import json
from pathlib import Path

import pytest
from clip_kit import tiny_clip

from langocc.teachers.clip_text import tokenize
from langocc.teachers.load import load_clip

START, END = 49406, 49407
ORIGINAL_IDS = {"of": 539, "photo": 1125, "cat": 2368}
"""Of words that end there, in the vocabulary of the original release."""
MERGES = ("o f</w>", "p h", "ph o", "pho t", "phot o</w>", "c a", "ca t</w>")


def byte_symbols() -> list[str]:
    """The 256 bytes as printable characters, in the original order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [256 + i for i in range(256 - len(printable))]
    return [chr(code) for code in (*printable, *others)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP without a `tokenizer.json`."""
    place = tmp_path_factory.mktemp("clip")
    tiny_clip().save_pretrained(place)
    ids = {symbol: i for i, symbol in enumerate(byte_symbols())}
    ids |= {f"{symbol}</w>": 256 + i for i, symbol in enumerate(byte_symbols())}
    for i, merge in enumerate(MERGES):
        whole = merge.replace(" ", "")
        ids[whole] = ORIGINAL_IDS.get(whole.removesuffix("</w>"), 40000 + i)
    ids |= {"<|startoftext|>": START, "<|endoftext|>": END}
    (place / "vocab.json").write_text(json.dumps(ids))
    (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    return place


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("  A  PHOTO of\ta Cat ", [320, 1125, 539, 320, 2368]),
        ("a!", [320, 256]),
        ("", []),
        ("é", [127, 358]),
    ],
)
def test_ids_are_the_original_ones(text: str, ids: list[int], folder: Path) -> None:
    _, tokenizer = load_clip(str(folder))
    assert tokenize(tokenizer, [text], 77) == [[START, *ids, END]]


def test_a_long_text_keeps_its_marks(folder: Path) -> None:
    _, tokenizer = load_clip(str(folder))
    (row,) = tokenize(tokenizer, ["cat " * 200], 77)
    assert row == [START, *[ORIGINAL_IDS["cat"]] * 75, END]
