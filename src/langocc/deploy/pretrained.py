# SPDX-License-Identifier: Apache-2.0
"""Models as folders, on a disk or on the Hugging Face hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langocc.asking import Model, load
from langocc.deploy.model_card import model_card
from langocc.errors import ConfigError, DataError
from langocc.predictor import Predictor
from langocc.provenance import software
from langocc.teachers.names import TEXT_CLIP
from langocc.train.config import config_as_dict
from langocc.train.pretrained import CARD, CONFIG, WEIGHTS, write_pretrained
from langocc.train.shipped import shipped, shipped_folder

PRIVATE = ("initial_weights", "reducer", "vocabulary")
"""Files of a run's configuration; only their names are handed on."""


def save_pretrained(
    model: Model | Predictor,
    folder: str | Path,
    scores: Mapping[str, Any] | None = None,
    *,
    half: bool = False,
    license: str = "other",
) -> None:
    """Writes weights, configuration and a card that says where they come from.

    Args:
        model: From `langocc.load`, or a predictor.
        folder: Where to. One that holds other files than these three is refused.
        scores: Numbers for the card, by name or by what and name, such as a run's scores.json;
            None: the card says that nothing was measured.
        half: Kernels and matrices as float16: half the bytes, and numbers that differ a little.
        license: For the card's header, as the hub names licences: apache-2.0, cc-by-nc-sa-4.0, ...

    Raises:
        ConfigError: the folder holds something else.
        OSError: the disk is full or the folder cannot be written.
    """
    predictor = model.predictor if isinstance(model, Model) else model
    folder = Path(folder)
    if folder.is_dir():
        others = sorted({p.name for p in folder.iterdir()} - {CARD, CONFIG, WEIGHTS, ".git"})
        if others:
            raise ConfigError(f"{folder}: expected an empty folder, found {', '.join(others[:5])}")
    record = _record(predictor) | {"half": half, "license": license}
    card = model_card(record, scores or {})
    write_pretrained(folder, predictor.model.state_dict(), record, card, half=half)


def from_pretrained(
    place: str | Path,
    *,
    device: str = "cpu",
    teacher: str = "city-clip",
    text: str = TEXT_CLIP,
    vocabulary: str = "city",
) -> Model:
    """A model from a folder, of the package by name, or of the Hugging Face hub (`owner/model`).

    What lies here under the name comes first, then the package's, then the hub's.
    Arguments and errors as of `langocc.load`, which reads such folders, too.

    Raises:
        DataError: neither a folder nor a model that the hub hands out.
    """
    found = resolve(place)
    return load(found, device=device, teacher=teacher, text=text, vocabulary=vocabulary)


def resolve(place: str | Path) -> Path:
    """The folder of a model: as it is, of the package, or downloaded.

    Raises:
        DataError: neither a folder, nor a model that the package has or the hub hands out.
    """
    path = Path(place)
    if path.exists():
        return path
    if (ours := shipped_folder(str(place))) is not None:
        return ours
    if path.is_absolute() or len(path.parts) != 2 or ".." in path.parts:
        known = ", ".join(shipped()) or "none"
        raise DataError(
            f"{place}: no such folder, no model of the package (it has: {known}), and no name of "
            "the form owner/model"
        )
    from huggingface_hub import snapshot_download  # comes with transformers
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(place), allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{place}: no such folder, and not downloaded from the Hugging Face hub: {reason}"
        ) from error


def _record(predictor: Predictor) -> dict[str, Any]:
    config = config_as_dict(predictor.config)
    for name in PRIVATE:
        config[name] = None if config[name] is None else Path(config[name]).name
    facts = dict(predictor.facts)
    if "root" in facts:
        facts["root"] = Path(str(facts["root"])).name
    return {
        "config": config,
        "facts": facts,
        "step": predictor.checkpoint["step"],
        "checkpoint": dict(predictor.checkpoint),
        "software": software(),
    }
