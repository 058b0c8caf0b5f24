# SPDX-License-Identifier: Apache-2.0
"""`langocc view`: a page in the browser to look at a model's frames and to ask it by text."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.cli.chosen import chosen_model
from langocc.cli.train import choose_device
from langocc.errors import ConfigError, DataError
from langocc.teachers.names import TEXT_CLIP

if TYPE_CHECKING:
    from langocc.view.source import Source

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class View:
    """Opens a live page: frames over time, and a box to type queries into. Ctrl-C ends it."""

    root: Path
    """Data root: ROOT/{nuscenes, gts, retrieval_benchmark}, or a bare nuScenes folder."""
    run_folder: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(name="run", metavar="[RUN]")
    ] = None
    """Run folder (its newest checkpoint is taken), checkpoint file, or model of the package."""
    pretrained: str | None = None
    """Instead of a run: a model of the package, of the Hugging Face hub (owner/model), or a folder
    of save_pretrained."""
    split: Literal["train", "val", "test"] = "val"
    """Scenes to show."""
    token: tuple[str, ...] = ()
    """Key frames to show instead of a split."""
    frames: int | None = None
    """Show at most so many frames; default: all."""
    threshold: float | None = None
    """Density from which a voxel counts as occupied at first, 1/m; default: the model's own."""
    vocabulary: str = "city"
    """Prompts of the classes: city, v1, v2, or a YAML file."""
    teacher: str = "city-clip"
    """Whose text encoder answers: the CLIP that the model was taught with (a name or a folder)."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    templates: bool = True
    """Average each text over the 85 prompt templates, as published."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other machines in, without any password."""
    port: int = 8080
    """Port to listen at; 0: any free one."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one."""

    def run(self) -> None:
        """Serves until Ctrl-C."""
        from rich.console import Console

        from langocc.view.live import LiveView, check_address

        if self.threshold is not None and not 0 < self.threshold < float("inf"):
            raise ConfigError(f"threshold: expected a density > 0 1/m, got {self.threshold}")
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"frames: expected at least 1, got {self.frames}")
        check_address(self.host, self.port)  # before anything slow
        console = Console(highlight=False, soft_wrap=True)
        with console.status("loading the model and the first frame"):
            source = self._source()
            threshold = source.predictor.threshold if self.threshold is None else self.threshold
            view = LiveView(source, threshold, self.host, self.port)
        if self.host not in LOOPBACK:
            console.print(f"note: anyone who reaches {self.host} can open this page", markup=False)
        host = f"[{self.host}]" if ":" in self.host else self.host
        console.print(f"viewer: http://{host}:{view.port}   (Ctrl-C ends it)", markup=False)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            view.stop()
            console.print("viewer: ended")

    def _source(self) -> "Source":
        from langocc.predictor import Predictor
        from langocc.scenes.opening import frames_of, open_dataset
        from langocc.speaking import speaker_of
        from langocc.teachers.text import load_vocabulary
        from langocc.view.source import Source

        dataset = open_dataset(self.root, version=self.version, work=self.work)
        if self.token:
            frames = [dataset.frame(token) for token in dict.fromkeys(self.token)]
        else:
            frames = frames_of(dataset, self.split)
        if not frames:
            raise DataError(f"{self.root}: no frames in split {self.split!r}; name another --split")
        place = chosen_model(self.run_folder, self.pretrained)
        predictor = Predictor.load(place, choose_device(self.device))
        speaker = speaker_of(predictor, self.teacher, self.text, templates=self.templates)
        classes = speaker.classes(load_vocabulary(self.vocabulary))
        return Source(predictor, speaker, classes, dataset, frames[: self.frames])
