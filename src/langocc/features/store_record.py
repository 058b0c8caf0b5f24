# SPDX-License-Identifier: Apache-2.0
"""What all shards of a store have in common: written in `store.json` and in every shard."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import msgspec

FORMAT = 1


@dataclass(frozen=True)
class StoreRecord:
    """How the rows of a store were made. Two stores with the same record hold the same rows.

    Attributes:
        teacher: The teacher's id; "" for rays alone.
        channels: Size of its features; 0 for rays alone.
        codec: Name of the codec.
        components: Components of the codec pca-int8; 0 for the others.
        rays: The values of `RayConfig` and the digest of the ego masks.
        sky: How the teacher was asked for sky; "" if it was not.
        format: Version of the file format.
    """

    teacher: str
    channels: int
    codec: str
    rays: Mapping[str, Any]
    components: int = 0
    sky: str = ""
    format: int = FORMAT

    @property
    def hash(self) -> str:
        """Short hash of all values."""
        content = msgspec.json.encode(asdict(self), order="deterministic")
        return sha256(content).hexdigest()[:16]

    def differences(self, other: "StoreRecord") -> str:
        """What differs, as text: `name: ours, not theirs`; empty if nothing does."""
        ours, theirs = (_flat(msgspec.to_builtins(asdict(record))) for record in (self, other))
        return "; ".join(
            f"{name}: {ours.get(name)}, not {theirs.get(name)}"
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat
