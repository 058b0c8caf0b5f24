# SPDX-License-Identifier: Apache-2.0
"""Which model a verb works with, and where what it says is kept."""

from pathlib import Path

from langocc.errors import ConfigError


def chosen_model(run: Path | None, pretrained: str | None) -> Path:
    """Where the model lies: RUN as it is, or what --pretrained names, downloaded if need be.

    Raises:
        ConfigError: both are given, or neither.
        DataError: there is no model of that name.
    """
    from langocc.deploy.pretrained import resolve

    if run is not None and pretrained is not None:
        raise ConfigError("run, pretrained: expected one of them, found both")
    if pretrained is not None:
        return resolve(pretrained)
    if run is None:
        raise ConfigError("run, pretrained: expected one of them, found neither")
    return run


def is_model(place: Path) -> bool:
    """Whether it is a run folder, a folder of save_pretrained, or a model of the package."""
    from langocc.train.pretrained import is_pretrained
    from langocc.train.shipped import is_shipped

    return (place / "checkpoints").is_dir() or is_pretrained(place) or is_shipped(place)


def predictions_home(place: Path) -> Path:
    """Folder of a model's predictions, a folder per split in it.

    RUN/predictions; for a model of the package, which is not written into, NAME-predictions here.
    """
    from langocc.train.shipped import is_shipped

    if is_shipped(place):
        return Path(f"{place}-predictions")
    if place.is_file():
        place = place.parent.parent if place.parent.name == "checkpoints" else place.parent
    return place / "predictions"
