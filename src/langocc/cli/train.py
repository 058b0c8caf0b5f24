# SPDX-License-Identifier: Apache-2.0
"""`langocc train`: from a prepared data root to checkpoints."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.errors import ConfigError
from langocc.presets import PRESETS, Quirk, with_quirks, with_ranges
from langocc.train.config import TrainConfig, config_as_dict, read_config

if TYPE_CHECKING:
    from rich.console import Console

    from langocc.features.store import FeatureStore
    from langocc.scenes.nuscenes import NuScenes
    from langocc.train.loop import Training
    from langocc.train.processes import Processes
    from langocc.view.training_board import TrainingBoard


@dataclass(frozen=True)
class Train:
    """Trains a model on the features of a store; resumes where a killed run stopped."""

    root: Annotated[Path, tyro.conf.Positional]
    """Data root: the nuScenes folder, or ROOT/{nuscenes, gts, retrieval_benchmark}."""
    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Folder of this run: config.json, metrics.jsonl, checkpoints/."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    """All settings of the run; the preset's unless named here."""
    preset: Literal["full", "reduced", "rgb", "tiny", "small", "best"] = "full"
    """Settings to start from."""
    quirks: Quirk | None = None
    """Oddities of the published code, all on or all off; default: the preset's."""
    ranges: bool = False
    """Ask the field where the LiDAR's rays end, too, from an opaque start; needs a LiDAR."""
    settings: Path | None = None
    """YAML file laid over the preset; options on the command line win over it."""
    work: Path | None = None
    """Where `prepare` and `extract` wrote; default ROOT/langocc."""
    store: Path | None = None
    """Feature store to train on; default: the only one in the work folder."""
    resume: Literal["auto", "never"] = "auto"
    """auto: take up the run's newest checkpoint if it has one; never: refuse a run that has one."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one."""
    dry_run: bool = False
    """Time a few steps, print what the run would take in memory, disk and hours, and stop."""
    tensorboard: bool = False
    """Write RUN/tensorboard: scalars, validation numbers, pictures (`langocc[tensorboard]`)."""
    tensorboard_steps: int = 500
    """Steps between pictures and validation numbers."""
    print_config: bool = False
    """Print the settings as YAML and stop."""

    @staticmethod
    def parse(arguments: list[str]) -> "Train":
        """Finds the preset first: it gives the defaults of all other options.

        Raises:
            ConfigError: a settings file that cannot be used.
        """
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument("--preset", choices=list(PRESETS), default="full")
        first.add_argument("--quirks", choices=["published", "none"])
        first.add_argument("--ranges", action=argparse.BooleanOptionalAction, default=False)
        first.add_argument("--settings", type=Path)
        known, _ = first.parse_known_args(arguments)
        settings = PRESETS[known.preset]
        if known.quirks:
            settings = with_quirks(settings, known.quirks)
        if known.ranges:
            settings = with_ranges(settings)
        if known.settings:
            settings = read_config(known.settings, settings)

        @dataclass(frozen=True)
        class Chosen(Train):
            config: Annotated[TrainConfig, tyro.conf.arg(name="")] = settings

        return tyro.cli(
            Chosen,
            prog="langocc train",
            description=Train.__doc__,
            args=arguments,
            config=(tyro.conf.AvoidSubcommands,),
        )

    def run(self) -> None:
        """Trains to the end, or says what that would take."""
        import yaml

        from langocc.train.processes import joined

        if self.print_config:
            print(yaml.safe_dump(config_as_dict(self.config), sort_keys=False), end="")
            return
        with joined() as processes:
            self._run(processes)

    def _run(self, processes: "Processes") -> None:
        from rich.console import Console

        from langocc.cli.train_display import fit_with_progress, summary_line
        from langocc.scenes.opening import frames_of

        console = Console(quiet=not processes.is_first)
        data = self._data()
        training = self._training(data, processes)
        if self.dry_run:
            self._try(training, console)
            return
        training.resume()
        board = self._board(training, data)
        if processes.is_first:
            config = config_as_dict(self.config)
            training.run.write_json("config.json", {"config": config, "facts": training.facts})
        if training.step:
            console.print(f"resuming at step {training.step} of {training.steps}")
        if training.step >= training.steps:
            console.print(f"{self.run_folder} is trained: {training.steps} steps")
            return
        console.print(summary_line(training), highlight=False)
        if training.initialised is not None and not training.step:
            what = f"{self.config.initial_weights}: {training.initialised.summary()}"
            console.print(what, highlight=False, markup=False)
        fit_with_progress(training, console, *([] if board is None else [board.watch]))
        console.print(f"checkpoint: {training.run.checkpoint_path(training.steps)}")
        place = f"{self.run_folder} --root {self.root}"
        if frames_of(data[0], "train")[0].lidar is not None:
            console.print(
                f"next: langocc calibrate {place} finds from which density a voxel is occupied",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def _data(self) -> "tuple[NuScenes, FeatureStore]":
        from langocc.features.store import open_store
        from langocc.scenes.opening import open_dataset

        dataset = open_dataset(self.root, work=self.work)
        head = self.config.model.head
        channels = head.reduced_from or head.embedding_channels
        wanted = channels if self.config.sample.features else None
        store = open_store(self.store or only_store(dataset.folders.work), channels=wanted)
        return dataset, store

    def _training(
        self, data: "tuple[NuScenes, FeatureStore]", processes: "Processes"
    ) -> "Training":
        import torch

        from langocc.features.loader import TrainingSet
        from langocc.train.checkpoint import newest_checkpoint
        from langocc.train.loop import Training
        from langocc.train.run_folder import RunFolder

        dataset, store = data
        run = RunFolder(self.run_folder)
        if self.resume == "never" and newest_checkpoint(run.checkpoints) is not None:
            raise ConfigError(f"{run.path}: holds checkpoints; name another folder to start anew")
        scenes = [scene for scene in dataset.splits.get("train", ()) if store.has(scene)]
        tokens = [frame.token for scene in scenes for frame in dataset.scenes[scene]]
        samples = TrainingSet(dataset, store, self.config.sample, tokens, self.config.seed)
        facts = {
            "preset": self.preset,
            "teacher": store.record.teacher,
            "rays": dict(store.record.rays),
            "initial": self.config.initial,
            "root": str(self.root),
            "frames": len(tokens),
            "scenes": len(scenes),
            "scenes_missing": len(dataset.splits.get("train", ())) - len(scenes),
        }
        device = torch.device(choose_device(self.device))
        return Training(
            self.config, run, samples=samples, device=device, facts=facts, processes=processes
        )

    def _try(self, training: "Training", console: "Console") -> None:
        from langocc.cli.train_display import dry_run_table
        from langocc.train.checkpoint import newest_checkpoint, step_of
        from langocc.train.trial import try_out

        newest = newest_checkpoint(training.run.checkpoints)
        done = 0 if newest is None else step_of(newest)
        console.print("timing a few steps ...")
        trial = try_out(training)
        cams = training.samples[0].images.shape[2]
        console.print(dry_run_table(training, trial, done, cams))

    def _board(
        self, training: "Training", data: "tuple[NuScenes, FeatureStore]"
    ) -> "TrainingBoard | None":
        if not self.tensorboard or not training.processes.is_first:
            return None
        from langocc.view.training_board import TrainingBoard

        return TrainingBoard(training, *data, every=self.tensorboard_steps)


def only_store(work: Path) -> Path:
    """The one feature store of a work folder.

    Raises:
        ConfigError: there is none, or more than one.
    """
    stores = sorted(path.parent for path in (work / "features").glob("*/store.json"))
    if len(stores) != 1:
        names = ", ".join(path.name for path in stores) or "none; `langocc extract` makes one"
        raise ConfigError(f"{work / 'features'}: expected one store (or --store), found {names}")
    return stores[0]


def choose_device(name: str) -> str:
    """The name of a device; `auto` is the GPU if there is one.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    import torch

    if name == "auto":
        # Under torchrun each process has made one GPU its own.
        return f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device: {name} asked for, but torch sees no GPU here")
    return name
