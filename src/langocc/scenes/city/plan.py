# SPDX-License-Identifier: Apache-2.0
"""What city to write: how many scenes, how long, how large, and which scene is which."""

from dataclasses import dataclass
from typing import get_args

from langocc.errors import ConfigError
from langocc.scenes.city.tables import token
from langocc.scenes.dataset import Split

KEY_PERIOD_S = 0.5
_FIRST_KEY_S = 0.1  # the cameras of a key frame fire before it
_FIRST_TIMESTAMP_US = 1_700_000_000_000_000
_BETWEEN_SCENES_US = 3_600_000_000
_SHORTEST_S = 1.0  # of a drive that the layout can plan
_MOST_FRAMES = 118  # of a minute, its longest drive


@dataclass(frozen=True)
class CitySettings:
    """All that decides the bytes of a city.

    Attributes:
        scenes_train: Scenes to train on.
        scenes_val: Scenes to validate on.
        scenes_test: Scenes that only the retrieval benchmark uses.
        frames_per_scene: Key frames in a scene; they are 0.5 s apart.
        width: Image width, pixels.
        height: Image height, pixels.
        seed: Another seed, another city.
        version: Name of the folder of tables.
        benchmark: Number of the fixed benchmark that this is; None for any other city.

    Raises:
        ConfigError: a number no city can have.
    """

    scenes_train: int = 8
    scenes_val: int = 2
    scenes_test: int = 1
    frames_per_scene: int = 20
    width: int = 400
    height: int = 225
    seed: int = 0
    version: str = "v1.0-mini"
    benchmark: int | None = None

    def __post_init__(self) -> None:
        """Refuses what no city can have."""
        counts = (self.scenes_train, self.scenes_val, self.scenes_test)
        if min(counts) < 0 or sum(counts) == 0:
            raise ConfigError(f"scenes: expected at least one train, val or test, got {counts}")
        if not 1 <= self.frames_per_scene <= _MOST_FRAMES:
            raise ConfigError(
                f"frames_per_scene: expected 1 to {_MOST_FRAMES}, got {self.frames_per_scene}"
            )
        if not (32 <= self.width <= 4096 and 32 <= self.height <= 4096):
            raise ConfigError(
                f"image_size: expected 32 to 4096 pixels a side, got {self.width} x {self.height}"
            )
        if not self.version.startswith("v1.0-") or "/" in self.version:
            raise ConfigError(f"version: expected v1.0-NAME, got {self.version!r}")

    @property
    def frames(self) -> int:
        """Key frames of the whole city."""
        return len(self.scenes()) * self.frames_per_scene

    def scenes(self) -> tuple["ScenePlan", ...]:
        """All scenes: train, then val, then test."""
        counts = (self.scenes_train, self.scenes_val, self.scenes_test)
        splits = [s for s, n in zip(get_args(Split), counts, strict=True) for _ in range(n)]
        return tuple(ScenePlan(self, index, split) for index, split in enumerate(splits))


@dataclass(frozen=True)
class ScenePlan:
    """One scene of a city.

    Attributes:
        settings: Of the whole city.
        index: 0 for the first scene.
        split: Which split it belongs to.
    """

    settings: CitySettings
    index: int
    split: Split

    @property
    def name(self) -> str:
        """Name in the scene table, and of its folder of labels."""
        return f"city-{self.index:04d}"

    @property
    def duration_s(self) -> float:
        """Length of the drive, seconds."""
        return max(_SHORTEST_S, _FIRST_KEY_S + KEY_PERIOD_S * self.settings.frames_per_scene)

    @property
    def key_times_s(self) -> list[float]:
        """Times of the key frames since the start of the drive, seconds."""
        return [_FIRST_KEY_S + KEY_PERIOD_S * i for i in range(self.settings.frames_per_scene)]

    def timestamp_us(self, time_s: float) -> int:
        """Time of the tables, microseconds, of a time of the drive, seconds."""
        return _FIRST_TIMESTAMP_US + self.index * _BETWEEN_SCENES_US + round(time_s * 1e6)

    def token(self, *words: object) -> str:
        """A token of this scene of this city."""
        return token("city", self.settings.seed, self.index, *words)
