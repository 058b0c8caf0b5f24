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


def provenance_of(folder: Path, name: str, data: str) -> Provenance:
    """What is known of a folder of predictions.

    Args:
        folder: The folder, with or without a `predictions.json`.
        name: What its numbers are called.
        data: Data root and version.

    Raises:
        DataError: the record is not a JSON object.
    """
    path = folder / RECORD
    record: dict[str, Any] = {}
    if path.is_file():
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: expected a JSON object: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}: expected a JSON object, got {type(record).__name__}")
    own = {"name", "predictions", "data"}
    known = {f.name for f in fields(Provenance)} - own
    facts = {key: value for key, value in record.items() if key in known}
    return Provenance(name, str(folder), data, **facts)
