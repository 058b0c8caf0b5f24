# SPDX-License-Identifier: Apache-2.0
"""A feature store whose teacher knows the true classes, though neither colours nor materials.

    python recipes/oracle_store.py CITY OUT
    langocc train CITY --store OUT --run RUN --preset tiny

Every ray of a LiDAR point gets the mean prompt of the class that the labels have there; rays whose
point is labelled free are left out, rays of sky stay. Labels teach nothing else anywhere in this
project. To say how far a better teacher leads, train as long with a real one.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from langocc.cli.train import only_store
from langocc.comparison import label_of
from langocc.evaluate.labels import read_label
from langocc.evaluate.oracle import oracle_features
from langocc.evaluate.prior import class_vectors
from langocc.features.pixels import SKY
from langocc.features.rays import cast_pixels, scene_geometry
from langocc.features.recode import write_store
from langocc.features.rows import rays_of_rows
from langocc.features.scene_writer import CodecConfig
from langocc.features.store import FeatureStore, open_store
from langocc.features.targets import FrameTargets
from langocc.scenes.nuscenes import NuScenes, load
from langocc.teachers.load import load_teacher
from langocc.teachers.text import load_vocabulary


def main() -> None:
    """Writes the store of every training scene that has features."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path, help="data root, extracted, with labels")
    parser.add_argument("out", type=Path, help="folder of the new store")
    parser.add_argument("--store", type=Path, help="whose rays to take; default: the only one")
    parser.add_argument("--teacher", default="city-clip", help="whose words to say")
    parser.add_argument("--vocabulary", default="city")
    options = parser.parse_args()
    dataset = load(options.city)
    source = open_store(options.store or only_store(dataset.folders.work))
    vocabulary, teacher = load_vocabulary(options.vocabulary), load_teacher(options.teacher)
    prompts = teacher.text(vocabulary.prompts).float().cpu().numpy()
    words = class_vectors(prompts, vocabulary.class_ids)
    record = replace(source.record, teacher=f"{teacher.id}-oracle", codec="int8", components=0)
    scenes = [scene for scene in source.scenes() if scene in dataset.splits["train"]]
    openers = {scene: partial(TrueTargets, dataset, source, scene, words) for scene in scenes}
    store, report = write_store(options.out, record, openers, CodecConfig("int8"))
    report.raise_failures()
    print(report.summary(store.folder, "features"))


class TrueTargets:
    """The rays of a scene of a store, and what the labels say of them."""

    def __init__(
        self, dataset: NuScenes, source: FeatureStore, scene: str, words: np.ndarray
    ) -> None:
        """`words` are the vectors of the 17 classes."""
        self._dataset, self._words = dataset, words
        self._frames = dataset.scenes[scene]
        self._shard, self._geometry = source.shard(scene), scene_geometry(self._frames)
        self.tokens: Sequence[str] = [frame.token for frame in self._frames]
        self.channels = words.shape[1]

    def at(self, indices: Sequence[int]) -> Iterator[tuple[int, FrameTargets]]:
        """Index and targets of some frames."""
        for index in indices:
            rows = self._shard.read(self.tokens[index])
            rays = rays_of_rows(rows)
            label = read_label(label_of(self._dataset, self._frames[index]))
            points = self._points_ego_m(index, rows)
            features = oracle_features(label, points, self._words.astype(np.float32))
            is_sky = (rays.flags & SKY) > 0
            kept = is_sky | (features.any(axis=1) & (rays.depths_m > 0))
            targets = torch.from_numpy(features[kept].astype(np.float32))
            rgb = np.ascontiguousarray(rows["rgb"][kept])
            yield index, FrameTargets(rays.take(kept), targets, rgb)

    def _points_ego_m(self, index: int, rows: np.ndarray) -> np.ndarray:
        """Where the rays of a frame end, in its own ego frame."""
        cameras = rows["camera"].astype(np.int64)
        key_from_cam = self._geometry.key_from_cam(index, [index])
        origins, directions = cast_pixels(
            rows["pixel"],
            np.zeros(len(rows), np.int64),
            cameras,
            key_from_cam,
            self._geometry.unprojected_by(index, [index], "own"),
        )
        along = (directions * key_from_cam[0, cameras, :3, 2]).sum(-1)  # of depth and range
        return origins + (rows["depth_m"] / along)[:, None] * directions


if __name__ == "__main__":
    main()
