# SPDX-License-Identifier: Apache-2.0
"""`langocc train`: from a prepared data root to checkpoints."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.errors import ConfigError
from langocc.presets import PRESETS, Quirk, with_quirks
from langocc.train.config import TrainConfig, config_as_dict, read_config

if TYPE_CHECKING:
    from langocc.train.loop import Progress, Training


@dataclass(frozen=True)
class Train:
    """Trains a model on the features of a store; resumes where a killed run stopped."""

    root: Annotated[Path, tyro.conf.Positional]
    """Data root: the nuScenes folder, or ROOT/{nuscenes, gts, retrieval_benchmark}."""
    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Folder of this run: config.json, metrics.jsonl, checkpoints/."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    """All settings of the run; the preset's unless named here."""
    preset: Literal["full", "reduced", "rgb", "tiny"] = "full"
    """Settings to start from."""
    quirks: Quirk | None = None
    """Oddities of the published code, all on or all off; default: the preset's."""
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
        first.add_argument("--settings", type=Path)
        known, _ = first.parse_known_args(arguments)
        settings = PRESETS[known.preset]
        if known.quirks:
            settings = with_quirks(settings, known.quirks)
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
        """Trains to the end."""
        import yaml
        from rich.console import Console

        if self.print_config:
            print(yaml.safe_dump(config_as_dict(self.config), sort_keys=False), end="")
            return
        console = Console()
        training = self._training()
        if training.step:
            console.print(f"resuming at step {training.step} of {training.steps}")
        if training.step >= training.steps:
            console.print(f"{self.run_folder} is trained: {training.steps} steps")
            return
        console.print(_summary(training))
        fit_with_progress(training, console)
        console.print(f"checkpoint: {training.run.checkpoint_path(training.steps)}")

    def _training(self) -> "Training":
        import torch

        from langocc.features.loader import TrainingSet
        from langocc.features.store import open_store
        from langocc.scenes.nuscenes import load
        from langocc.scenes.roots import find_root
        from langocc.train.checkpoint import newest_checkpoint
        from langocc.train.loop import Training
        from langocc.train.run_folder import RunFolder

        folders = find_root(self.root, self.work)
        dataset = load(self.root, work=self.work)
        store = open_store(self.store or only_store(folders.work))
        run = RunFolder(self.run_folder)
        if self.resume == "never" and newest_checkpoint(run.checkpoints) is not None:
            raise ConfigError(f"{run.path}: holds checkpoints; name another folder to start anew")
        tokens = [frame.token for frame in dataset.frames("train") if store.has(frame.scene)]
        samples = TrainingSet(dataset, store, self.config.sample, tokens, self.config.seed)
        facts = {
            "preset": self.preset,
            "teacher": store.record.teacher,
            "rays": dict(store.record.rays),
            "initial": self.config.initial,
            "root": str(self.root),
            "frames": len(tokens),
        }
        device = torch.device(choose_device(self.device))
        training = Training(self.config, run, samples=samples, device=device, facts=facts)
        training.resume()
        run.write_json("config.json", {"config": config_as_dict(self.config), "facts": facts})
        return training


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
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device: {name} asked for, but torch sees no GPU here")
    return name


def fit_with_progress(training: "Training", console: object) -> None:
    """Trains with a line that shows the loss, the speed and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:  # pyright: ignore[reportArgumentType]
        task = bar.add_task("", total=training.steps, completed=training.step, state="")

        def watch(progress: "Progress") -> None:
            losses = " ".join(f"{name} {value:.3f}" for name, value in progress.terms.items())
            rate = f"{1 / progress.step_s:.1f} steps/s" if progress.step_s else ""
            bar.update(task, completed=progress.step, state=f"{losses}  {rate}")

        training.fit(watch)


def _summary(training: "Training") -> str:
    config = training.config
    parameters = sum(p.numel() for p in training.model.parameters())
    facts = json.dumps({k: training.facts[k] for k in ("preset", "teacher", "initial")})
    return (
        f"{len(training.samples)} key frames, {training.steps} steps of {config.batch_size}, "
        f"{parameters / 1e6:.1f} M parameters, {training.device}; {facts}"
    )
