# SPDX-License-Identifier: Apache-2.0
"""`langocc extract ROOT`: teacher features of the prepared rays."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.cli.prepare import scenes_of
from langocc.errors import ConfigError
from langocc.scenes.dataset import Split
from langocc.teachers.names import TEXT_CLIP

if TYPE_CHECKING:
    from langocc.features.prepare import RunReport
    from langocc.features.scene_writer import CodecConfig
    from langocc.features.store import FeatureStore
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
    quirks: Literal["published", "none"] = "none"
    """published: exact GELU and LayerNorm eps 1e-6 in a CLIP's image tower, as the published
    MaskCLIP has them. Part of the teacher's id."""
    image_height: int | None = None
    """Height that images are resized to before the teacher, pixels; default: their own."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the teacher's network; bf16 is several times faster on a GPU. Part of the teacher's id."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
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
    ray: str | None = None
    """Address of a Ray cluster (`auto`, host:6379) that does the shards as its tasks; ROOT and
    --work must lie where all of its machines see them."""
    ray_tasks: int | None = None
    """Number of those tasks; default: one per GPU of the cluster, or per processor."""
    readers: int | None = None
    """Threads that decode images; default: one per processor, at most 8. Processes of one torchrun
    share the processors."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one (torchrun: the local rank's)."""

    def run(self) -> None:
        """Extracts and says what is there."""
        from langocc.features.extract import shard_of
        from langocc.features.progress import shared_progress

        if self.ray is not None and self.shard is not None:
            raise ConfigError("ray, shard: expected one of them; a cluster's tasks are the shards")
        job = self._job("cpu" if self.ray else self.device)
        index, count = (0, 1) if self.ray else shard_of(self.shard)
        images = job.images_to_do()
        own = [] if self.ray else job.scenes[index::count]
        with shared_progress("features", images, own, job.is_finished) as advance:
            if self.ray is not None:
                report = self._on_cluster(self.ray, lambda: advance(0))
            else:
                report = self._shard(job, index, count, advance)
        print(report.summary(job.folder, "features"))
        report.raise_failures()

    def do_shard(self, index: int, count: int) -> "RunReport":
        """Does shard `index` of `count` with nothing on the screen: a task of a cluster."""
        return self._shard(self._job(self.device), index, count, None)

    def _on_cluster(self, address: str, while_waiting: Callable[[], None]) -> "RunReport":
        from langocc.features.on_ray import run_on_ray

        def full(path: Path | None) -> Path | None:
            return None if path is None else path.resolve()

        local = {"teacher": self.teacher, "sky": self.sky, "text": self.text}
        files = {k: str(Path(v).resolve()) for k, v in local.items() if v and Path(v).exists()}
        task = replace(self, root=self.root.resolve(), work=full(self.work), ray=None, **files)
        return run_on_ray(task.do_shard, address, self.ray_tasks, while_waiting)

    def _shard(
        self, job: "_Job", index: int, count: int, advance: Callable[[int], None] | None
    ) -> "RunReport":
        import torch

        from langocc.features.extract import extract_features, fair_threads

        threads = fair_threads()
        torch.set_num_threads(min(torch.get_num_threads(), threads))
        scenes = job.scenes[index::count]
        return extract_features(
            job.dataset,
            job.rays,
            scenes,
            job.folder,
            job.teacher,
            job.sky,
            job.codec,
            min(8, threads) if self.readers is None else self.readers,
            advance,
            torch.device(_device(self.device)),
        )[1]

    def _job(self, device: str) -> "_Job":
        """Everything that all shards have in common."""
        from langocc.features.scene_writer import CodecConfig
        from langocc.features.store import feature_store_folder, open_store, ray_store_folder
        from langocc.scenes.opening import open_dataset

        dataset = open_dataset(self.root, version=self.version, work=self.work)
        work = dataset.folders.work
        rays = open_store(ray_store_folder(work, self.rays or only_source(work)))
        scenes = scenes_of(dataset, self.split)
        if not self.split:
            scenes = [scene for scene in scenes if rays.has(scene)]
        teacher = self._teacher(device)
        codec = CodecConfig("none" if teacher is None else self.codec, self.components)
        name = "colours" if teacher is None else teacher.id
        folder = feature_store_folder(work, name, str(rays.record.rays["source"]), codec.name)
        sky = self._sky_rule(teacher, rays.record)
        return _Job(dataset, rays, sorted(scenes), folder, teacher, sky, codec)

    def _teacher(self, device: str) -> "Teacher | None":
        import torch

        from langocc.teachers.load import load_teacher

        if self.teacher == "none":
            return None
        return load_teacher(
            self.teacher,
            self.form,
            device=_device(device),
            dtype=torch.bfloat16 if self.precision == "bf16" else torch.float32,
            quirks=self.quirks,
            image_height_px=self.image_height,
            text=self.text,
        )

    def _sky_rule(self, teacher: "Teacher | None", rays: "StoreRecord") -> "SkyRule | None":
        from langocc.features.targets import sky_rule
        from langocc.teachers.text import load_vocabulary

        is_measured = rays.rays["source"] == "lidar_pixels" and not rays.rays["sky_rays"]
        if teacher is None or is_measured:
            return None
        default = "city" if self.teacher == "city-clip" else "v1"
        return sky_rule(teacher, load_vocabulary(self.sky or default))


def _device(name: str) -> str:
    """A device by name; `auto`: the GPU of this process, if there is one."""
    import torch

    if name != "auto":
        return name
    local = os.environ.get("LOCAL_RANK", "0")
    return f"cuda:{local}" if torch.cuda.is_available() else "cpu"


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


@dataclass(frozen=True)
class _Job:
    """What the shards of a run share."""

    dataset: "Dataset"
    rays: "FeatureStore"
    scenes: list[str]
    folder: Path
    teacher: "Teacher | None"
    sky: "SkyRule | None"
    codec: "CodecConfig"

    def is_finished(self, scene: str) -> bool:
        """Whether the scene's shard is there."""
        from langocc.features.store import shard_path

        return shard_path(self.folder, scene).is_file()

    def images_to_do(self) -> dict[str, int]:
        """Images of each scene that is not finished, of all shards."""
        frames = {s: self.dataset.scenes[s] for s in self.scenes if not self.is_finished(s)}
        return {scene: len(f) * len(f[0].cameras) for scene, f in frames.items()}
