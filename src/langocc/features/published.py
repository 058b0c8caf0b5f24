# SPDX-License-Identifier: Apache-2.0
"""Reads the ray and embedding folders of the published code into a store.

Layout: `rays/SCENE/TOKEN.npz` {pixels (row, col), depths, cam_indices} and
`embeddings/NAME/SCENE/TOKEN.npz` {features}, one row per ray in both.

Source: formats.md section 4.
"""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from langocc.errors import DataError
from langocc.features.pixels import HIT, PixelRays, generator_of
from langocc.features.prepare import RunReport, check_room
from langocc.features.recode import write_store
from langocc.features.scene_writer import CodecConfig
from langocc.features.sources import RayConfig
from langocc.features.store import FeatureStore
from langocc.features.store_record import StoreRecord
from langocc.features.targets import FrameTargets


def is_published(folder: Path) -> bool:
    """Whether a folder holds rays and embeddings in the published layout."""
    return (folder / "rays").is_dir() and (folder / "embeddings").is_dir()


def import_published(
    source: Path,
    folder: Path,
    codec: CodecConfig,
    teacher: str,
    config: RayConfig | None = None,
    on_frame: Callable[[], None] | None = None,
) -> tuple[FeatureStore, RunReport]:
    """Writes a store of published rays and embeddings.

    Rays whose depth is out of range are dropped, as the published loader does before it draws, and
    the rest are shuffled. There are no colours in those files: the rows are black.

    Args:
        source: Folder with `rays/` and `embeddings/NAME/`.
        folder: The store to write.
        codec: How features are written.
        teacher: Id of the teacher they were made with.
        config: Range of depths and seed; None: the published range.
        on_frame: Called after each frame.

    Raises:
        DataError: the folders are not as expected.
        ConfigError: the folder holds another store, or the disk has not room enough.
    """
    config = config or RayConfig()
    embeddings = _embeddings(source)
    scenes = sorted(path.name for path in (source / "rays").iterdir() if path.is_dir())
    if not scenes:
        raise DataError(f"{source / 'rays'}: expected folders SCENE with TOKEN.npz, found none")
    first = next((source / "rays" / scenes[0]).glob("*.npz"), None)
    if first is None:
        raise DataError(f"{source / 'rays' / scenes[0]}: expected TOKEN.npz, found none")
    channels = _read(embeddings / scenes[0] / first.name, "features")[0].shape[-1]
    rays = config.record() | {"ego_mask": None, "imported": "published"}
    record = StoreRecord(teacher, channels, codec.name, rays, codec.recorded_components)
    frames = sum(1 for _ in (source / "rays").glob("*/*.npz"))
    check_room(folder, frames * 19_000 * codec.row_bytes(channels))
    openers = {
        scene: partial(
            _PublishedScene, source / "rays" / scene, embeddings / scene, channels, config
        )
        for scene in scenes
    }
    return write_store(folder, record, openers, codec, on_frame)


class _PublishedScene:
    """The archives of one scene as targets."""

    def __init__(self, rays: Path, features: Path, channels: int, config: RayConfig) -> None:
        self._rays, self._features, self._config = rays, features, config
        self.tokens: Sequence[str] = sorted(path.stem for path in rays.glob("*.npz"))
        self.channels = channels

    def at(self, indices: Sequence[int]) -> Iterator[tuple[int, FrameTargets]]:
        for index in indices:
            yield index, self._targets(self.tokens[index])

    def _targets(self, token: str) -> FrameTargets:
        path = self._rays / f"{token}.npz"
        pixels, depths, cameras = _read(path, "pixels", "depths", "cam_indices")
        features = _read(self._features / f"{token}.npz", "features")[0]
        if not len(pixels) == len(depths) == len(cameras) == len(features):
            raise DataError(
                f"{path}: expected as many rows as its embeddings, found {len(pixels)} pixels, "
                f"{len(depths)} depths, {len(cameras)} cameras, {len(features)} features"
            )
        if features.ndim != 2 or features.shape[1] != self.channels:
            raise DataError(
                f"{self._features / token}.npz: expected [ray, {self.channels}] features, found "
                f"{list(features.shape)}"
            )
        valid = np.flatnonzero((depths >= self._config.near_m) & (depths < self._config.far_m))
        order = valid[generator_of(self._config.seed, "published", token).permutation(len(valid))]
        count = len(order)
        rays = PixelRays(
            pixels=pixels[order].astype(np.float32).reshape(count, 2),
            cameras=cameras[order].astype(np.uint8),
            depths_m=depths[order].astype(np.float32),
            flags=np.full(count, HIT, dtype=np.uint8),
        )
        colours = np.zeros((count, 3), dtype=np.uint8)
        return FrameTargets(rays, torch.from_numpy(features[order].astype(np.float32)), colours)


def _embeddings(source: Path) -> Path:
    folders = sorted(path for path in (source / "embeddings").glob("*") if path.is_dir())
    if len(folders) != 1:
        found = ", ".join(path.name for path in folders) or "none"
        raise DataError(f"{source / 'embeddings'}: expected one folder of a teacher, found {found}")
    return folders[0]


def _read(path: Path, *names: str) -> list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except KeyError as error:
        raise DataError(f"{path}: expected arrays {', '.join(names)}: {error}") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path}: damaged archive: {error}") from None
