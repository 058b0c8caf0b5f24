# SPDX-License-Identifier: Apache-2.0
"""Where predictions come from: what every report says of them.

Whoever writes predictions may put a `predictions.json` beside them, an object with any of the names
`checkpoint`, `config`, `teacher`, `vocabulary`, `initialisation`; reports then carry it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from langocc.errors import DataError
from langocc.files import replacing

RECORD = "predictions.json"


@dataclass(frozen=True)
class Provenance:
    """What was evaluated. Every report carries it; "" where nobody said.

    Attributes:
        name: What the numbers are called in a table.
        predictions: The folder of predictions.
        data: Data root and version.
        teacher: Teacher id.
        vocabulary: Name of the prompts' vocabulary.
        initialisation: Where the backbone's first weights come from: `imagenet`, `bevdet` (a
            supervised detector), `random`.
        checkpoint: File, step and hash.
        config: The run's configuration.
    """

    name: str
    predictions: str = ""
    data: str = ""
    teacher: str = ""
    vocabulary: str = ""
    initialisation: str = ""
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record beside predictions; None where nobody left one.

    Raises:
        DataError: it is not a JSON object.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path}: expected a JSON object: {error}") from None
    if not isinstance(record, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(record).__name__}")
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes the record beside predictions, whole or not at all."""
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def provenance_of(folder: Path, name: str, data: str) -> Provenance:
    """What is known of a folder of predictions.

    Args:
        folder: The folder, with or without a `predictions.json`.
        name: What its numbers are called.
        data: Data root and version.

    Raises:
        DataError: the record is not a JSON object, or a fact in it is of another type.
    """
    record = read_record(folder) or {}
    own = {"name", "predictions", "data"}
    facts = {}
    for known in fields(Provenance):
        value = record.get(known.name)
        if value is None or known.name in own:
            continue
        expected = dict if known.name in ("checkpoint", "config") else str
        if not isinstance(value, expected):
            raise DataError(
                f"{folder / RECORD}: {known.name}: expected a JSON "
                f"{'object' if expected is dict else 'string'}, got {value!r}"
            )
        facts[known.name] = value
    return Provenance(name, str(folder), data, **facts)
