# SPDX-License-Identifier: Apache-2.0
"""A dataset: scenes of frames in time order, and which scenes train, validate and test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langocc.errors import DataError
from langocc.scenes.frame import Frame

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Dataset:
    """Frames of all scenes.

    Attributes:
        root: Folder the frames were read from.
        scenes: Scene name -> its frames in time order.
        splits: Split -> scene names; a scene is in one split at most.
    """

    root: Path
    scenes: Mapping[str, Sequence[Frame]]
    splits: Mapping[Split, Sequence[str]]

    def frames(self, split: Split | None = None) -> Iterator[Frame]:
        """Frames of a split (None: of all scenes), scene by scene in time order."""
        for scene in self.scenes if split is None else self.splits.get(split, ()):
            yield from self.scenes[scene]

    def frame(self, token: str) -> Frame:
        """The frame of a token.

        Raises:
            DataError: there is none.
        """
        scene, index = self.position(token)
        return self.scenes[scene][index]

    def position(self, token: str) -> tuple[str, int]:
        """Scene name and index within the scene of a token.

        Raises:
            DataError: no frame has this token.
        """
        positions = self.__dict__.get("_positions")
        if positions is None:  # built once, on first use; the frames never change
            positions = {
                frame.token: (scene, index)
                for scene, frames in self.scenes.items()
                for index, frame in enumerate(frames)
            }
            object.__setattr__(self, "_positions", positions)
        if token not in positions:
            raise DataError(f"{self.root}: no frame has the token {token!r}")
        return positions[token]
