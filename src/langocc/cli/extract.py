# SPDX-License-Identifier: Apache-2.0
"""`langocc extract ROOT`: teacher features of the prepared rays."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.cli.prepare import scenes_of
from langocc.errors import ConfigError
from langocc.scenes.dataset import Split

if TYPE_CHECKING:
    from langocc.features.store_record import StoreRecord
    from langocc.features.targets import SkyRule
    from langocc.scenes.dataset import Dataset
    from langocc.teachers.teacher import Teacher


@dataclass(frozen=True)
class Extract:
    """Writes the teacher's features of all rays; finished scenes are skipped, so it resumes."""

    root: Annotated[Path, tyro.conf.Positional]
    """Data root, prepared by `langocc prepare`."""
    work: Path | None = None
    """Folder that `prepare` wrote to; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    split: tuple[Split, ...] = ()
    """Splits to extract; default: all scenes that have rays."""
    rays: str | None = None
    """Ray source to use (lidar_pixels, grid, random); default: the only one prepared."""
    teacher: str = "city-clip"
    """`city-clip`, a CLIP on the hub (openai/clip-vit-base-patch16), a folder, or `none`: colours
    alone, which is all that the preset rgb needs."""
    form: Literal["published", "pure", "sclip", "naclip"] = "published"
    """What stands for the attention of the teacher's last block."""
    image_height: int | None = None
    """Height that images are resized to before the teacher, pixels; default: their own."""
    codec: Literal["fp16", "int8", "pca-int8", "pca-int4"] = "int8"
    """How a feature is stored: 2 bytes a channel, 1 byte a channel, 1 byte a component, or half a
    byte a component (the first 8 whole)."""
    components: int = 96
    """Components of the pca codecs, fitted per scene."""
    sky: str | None = None
    """Vocabulary (name or YAML file) that tells sky from the rest; default: `city` for city-clip,
    else `v1`. Asked for rays without a measured depth."""
    shard: str | None = None
    """i/n: do scenes i, i + n, i + 2 n, ... so that n runs share the work. Default: the rank under
    torchrun, the task of a Slurm array, else 0/1."""
    readers: int = 4
    """Threads that decode images."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one (torchrun: the local rank's)."""

    def run(self) -> None:
        """Extracts and says what is there."""
        from langocc.features.extract import extract_features, shard_of
        from langocc.features.progress import scene_progress
        from langocc.features.scene_writer import CodecConfig
        from langocc.features.store import feature_store_folder, open_store, ray_store_folder
        from langocc.scenes.nuscenes import load

        index, count = shard_of(self.shard)
        dataset = load(self.root, version=self.version, work=self.work)
        work = dataset.folders.work
        rays = open_store(ray_store_folder(work, self.rays or only_source(work)))
        scenes = scenes_of(dataset, self.split)
        if not self.split:
            scenes = [scene for scene in scenes if rays.has(scene)]
        scenes = sorted(scenes)[index::count]
        teacher = self._teacher()
        sky = self._sky_rule(teacher, rays.record)
        codec = CodecConfig("none" if teacher is None else self.codec, self.components)
        name = "colours" if teacher is None else teacher.id
        folder = feature_store_folder(work, name, str(rays.record.rays["source"]), codec.name)
        images = _images_to_do(dataset, scenes, folder)
        with scene_progress("features", images, "images") as advance:
            store, report = extract_features(
                dataset, rays, scenes, folder, teacher, sky, codec, self.readers, advance
            )
        print(report.summary(store.folder, "features"))
        report.raise_failures()

    def _teacher(self) -> "Teacher | None":
        import torch

        from langocc.teachers.load import load_teacher

        if self.teacher == "none":
            return None
        device = self.device
        if device == "auto":
            local = os.environ.get("LOCAL_RANK", "0")
            device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
        return load_teacher(
            self.teacher, self.form, device=device, image_height_px=self.image_height
        )

    def _sky_rule(self, teacher: "Teacher | None", rays: "StoreRecord") -> "SkyRule | None":
        from langocc.features.targets import sky_rule
        from langocc.teachers.text import load_vocabulary

        is_measured = rays.rays["source"] == "lidar_pixels" and not rays.rays["sky_rays"]
        if teacher is None or is_measured:
            return None
        default = "city" if self.teacher == "city-clip" else "v1"
        return sky_rule(teacher, load_vocabulary(self.sky or default))


def only_source(work: Path) -> str:
    """The one ray source of a work folder.

    Raises:
        ConfigError: there is none, or more than one.
    """
    sources = sorted(path.parent.name for path in (work / "rays").glob("*/store.json"))
    if len(sources) != 1:
        found = ", ".join(sources) or "none; `langocc prepare` makes one"
        raise ConfigError(f"{work / 'rays'}: expected one ray source (or --rays), found {found}")
    return sources[0]


def _images_to_do(dataset: "Dataset", scenes: list[str], folder: Path) -> int:
    from langocc.features.store import shard_path

    return sum(
        len(dataset.scenes[scene]) * len(dataset.scenes[scene][0].cameras)
        for scene in scenes
        if not shard_path(folder, scene).is_file()
    )
