# SPDX-License-Identifier: Apache-2.0
"""POP-3D's open-vocabulary retrieval benchmark: a query, a frame, one binary label per LiDAR point.

Source: formats.md section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Bool, Int64

from langocc.errors import DataError

PARTS = ("train", "val", "test")
"""Parts a row can belong to; tables also show their unions."""

_FIELDS = "token;split;annotations/<token>__retrieval.npy;matching_points/<token>__points.npy;query"


@dataclass(frozen=True)
class RetrievalRow:
    """One query on one frame.

    Attributes:
        token: Key frame.
        part: `train`, `val` or `test`.
        query: The text.
        annotation_path: One binary label per LiDAR point.
        visible_path: Indices of the points that some camera sees.
        kind: What kind of text the query is; empty where the benchmark names no kinds.
    """

    token: str
    part: str
    query: str
    annotation_path: Path
    visible_path: Path
    kind: str = ""


def read_rows(folder: Path, parts: Sequence[str] = PARTS) -> list[RetrievalRow]:
    """Rows of the wanted parts, in file order.

    Reads `retrieval_anns_all.csv`, or the parts' own files where that one is absent. A file
    `kinds.json` ({query: kind}), which is no part of POP-3D's layout, gives each row its kind.

    Raises:
        DataError: no table there, a line that is not five fields of a known part, or a query that
            `kinds.json` does not name.
    """
    tables = [folder / "retrieval_anns_all.csv"]
    if not tables[0].is_file():
        tables = [folder / f"retrieval_anns_{part}.csv" for part in parts]
    kinds = _read_kinds(folder / "kinds.json")
    rows = []
    for table in tables:
        try:
            lines = table.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise DataError(f"{table}: no such file; expected POP-3D's table of queries") from None
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(_row(folder, f"{table}:{number}", line, kinds))
    return [row for row in rows if row.part in parts]


def read_annotation(path: Path, points: int) -> Bool[np.ndarray, " point"]:
    """Labels of the points of a frame's LiDAR file, in file order.

    Raises:
        DataError: missing or damaged, not one 0 or 1 per point.
    """
    labels = _read(path).squeeze()
    if labels.shape != (points,):
        raise DataError(
            f"{path}: expected {points} labels, one per point of the LiDAR file, got {labels.shape}"
        )
    other = labels[(labels != 0) & (labels != 1)]
    if other.size:
        raise DataError(f"{path}: expected labels 0 or 1, got {other.size} others, e.g. {other[0]}")
    return labels != 0


def read_visible(path: Path, points: int) -> Int64[np.ndarray, " seen"]:
    """Indices of the points seen by a camera; points that several cameras see come several times.

    Raises:
        DataError: missing or damaged, not whole numbers, or outside the LiDAR file.
    """
    seen = _read(path).reshape(-1)
    if not np.issubdtype(seen.dtype, np.integer):
        raise DataError(f"{path}: expected integer indices, got {seen.dtype}")
    if seen.size and (seen.min() < 0 or seen.max() >= points):
        raise DataError(
            f"{path}: expected indices below {points}, the points of the LiDAR file, got "
            f"{seen.min()} to {seen.max()}"
        )
    return seen.astype(np.int64)


def _read_kinds(path: Path) -> dict[str, str] | None:
    """Query -> kind; None where no file says."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: expected a JSON object of query and kind: {error}") from None


def _row(folder: Path, place: str, line: str, kinds: Mapping[str, str] | None) -> RetrievalRow:
    fields = line.split(";", 4)
    if len(fields) != 5:
        raise DataError(f"{place}: expected {_FIELDS}, got {line!r}")
    token, part, annotation, visible, query = (field.strip() for field in fields)
    if part not in PARTS:
        raise DataError(f"{place}: expected a split of {', '.join(PARTS)}, got {part!r}")
    if kinds is not None and query not in kinds:
        raise DataError(f"{place}: {folder / 'kinds.json'} names no kind for {query!r}")
    kind = "" if kinds is None else kinds[query]
    return RetrievalRow(token, part, query, folder / annotation, folder / visible, kind)


def _read(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not a readable .npy file ({error})") from None
