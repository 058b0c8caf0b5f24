# SPDX-License-Identifier: Apache-2.0
"""Models that come with the package: folders of `save_pretrained`, by name."""

from pathlib import Path

from langocc.train.pretrained import is_pretrained

FOLDER = Path(__file__).parents[1] / "pretrained"
"""Each folder in it that hands on a model is a model by its name."""


def shipped() -> list[str]:
    """Names of all of them, sorted."""
    return sorted(path.name for path in FOLDER.glob("*") if is_pretrained(path))


def shipped_folder(name: str) -> Path | None:
    """Where a model lies; None if the package has none of that name."""
    return FOLDER / name if name in shipped() else None


def is_shipped(place: Path) -> bool:
    """Whether a place names a model of the package; what lies here under that name comes first."""
    return not place.exists() and str(place) in shipped()
