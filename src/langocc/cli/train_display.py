# SPDX-License-Identifier: Apache-2.0
"""What `langocc train` shows: a line while it trains, a table before it would."""

import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table

from langocc.train.loop import Progress, Training
from langocc.train.memory import GIB, checkpoint_bytes, fixed_bytes, knobs

if TYPE_CHECKING:
    from langocc.train.trial import Trial

EMPTY = 0.5
"""Share of rays that see anything below which a field is all but empty."""

RECENT_STEPS = 50
"""Steps whose times are averaged for display."""

Watch = Callable[[Progress], None]


def fit_with_progress(training: Training, console: Console, *also: Watch) -> None:
    """Trains with a line of losses, learning rate, speed, memory and time left.

    Args:
        training: The run.
        console: Where the line goes.
        also: Called after every step, too.
    """
    columns = (
        TextColumn("training"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}", table_column=Column(ratio=1)),  # wraps
    )
    recent: deque[Progress] = deque(maxlen=RECENT_STEPS)
    with Bar(*columns, console=console, expand=True) as bar:
        task = bar.add_task("", total=training.steps, completed=training.step, state="")

        def watch(progress: Progress) -> None:
            recent.append(progress)
            bar.update(task, completed=progress.step, state=state_line(list(recent)))
            for other in also:
                other(progress)

        training.fit(watch)
    if recent and recent[-1].seen < EMPTY:
        console.print(empty_warning(recent[-1].seen), highlight=False, soft_wrap=True)


def state_line(recent: list[Progress]) -> str:
    """Losses and learning rate of the last step; speed and memory over the recent ones."""
    last = recent[-1]
    taken_s = max(sum(p.step_s for p in recent), 1e-9)
    waited = sum(p.data_s for p in recent) / taken_s
    parts = [
        " ".join(f"{name} {value:.3f}" for name, value in last.terms.items()),
        *([f"{last.seen:.0%} of rays see anything"] if last.seen < 0.99 else []),
        f"lr {last.lr:.1e}",
        f"{sum(p.samples for p in recent) / taken_s:.3g} samples/s",
        f"data {waited:.0%}",
        f"{last.memory_bytes / GIB:.1f} GiB",
    ]
    return " | ".join(parts)


def empty_warning(seen: float) -> str:
    """Why a small loss may mean nothing, and what to do."""
    return (
        f"warning: only {seen:.0%} of the last step's rays see anything. Rays that see nothing do "
        "not count in the feature loss, so an empty field costs nothing: lower "
        "--loss.sparsity-weight or --loss.distortion-weight, begin with --loss.distortion-from "
        "later, or add --loss.opacity-weight 0.1"
    )


def summary_line(training: Training) -> str:
    """One line on a run that starts."""
    config, facts = training.config, training.facts
    parameters = sum(p.numel() for p in training.model.parameters())
    spread = training.processes.count
    norm = f" in {spread} processes, batch norm {config.batch_norm}" if spread > 1 else ""
    return (
        f"{len(training.samples)} key frames, {training.steps} steps of {config.batch_size}{norm}, "
        f"{parameters / 1e6:.1f} M parameters, {training.device}; preset {facts['preset']}, "
        f"teacher {facts['teacher']}, initial weights: {facts['initial']}"
    )


def dry_run_table(training: Training, trial: "Trial", done: int, cams: int) -> Table:
    """What a run would take: data, steps, memory, disk, time; measured or computed.

    Args:
        training: The run, after the trial.
        trial: What was measured.
        done: Steps of the run's newest checkpoint.
        cams: Cameras of a sample.
    """
    from langocc.train.trial import estimate

    config, model, facts = training.config, training.model, training.facts
    own = config.batch_size // training.processes.count
    left = max(training.steps - done, 0)
    time = estimate(trial, left, own, config.workers)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    file_gib = checkpoint_bytes(model) / GIB
    place = _existing(training.run.path)
    on = "GPU allocator" if training.device.type == "cuda" else "resident, all of the process"
    table = Table("what", "value", "how known", title="dry run: nothing is started or written")
    table.add_row("key frames", f"{len(training.samples)} of {facts['scenes']} scenes", "counted")
    table.add_row("without features", f"{facts['scenes_missing']} scenes left out", "counted")
    table.add_row("features", f"{facts['teacher']}, rays {facts['rays'].get('source')}", "read")
    table.add_row("initial weights", str(facts["initial"]), "settings")
    table.add_row("parameters", f"{learned:,} trained", "counted")
    table.add_row("steps", f"{training.steps} of {config.batch_size} samples, {done} done", "")
    table.add_row("processes", f"{training.processes.count}, {own} samples each", "")
    table.add_row("memory: fixed", f"{fixed_bytes(model) / GIB:.2f} GiB", "computed")
    table.add_row("memory: peak", f"{trial.peak_bytes / GIB:.2f} GiB", f"measured: {on}")
    disk = f"{config.keep_checkpoints + 1} x {file_gib:.2f} GiB"
    free = shutil.disk_usage(place).free / GIB
    table.add_row("disk: checkpoints", disk, f"computed; {free:.0f} GiB free at {place}")
    table.add_row("loss at the start", f"{trial.first_loss:.3f}", "measured")
    table.add_row("a step", f"{trial.step_s:.3f} s", f"measured: median of {trial.steps}")
    table.add_row("a sample to load", f"{trial.sample_s:.3f} s", "measured, one process, no memory")
    bound = f"{config.workers} loader processes limit" if time.is_data_bound else "the step limits"
    table.add_row("hours", f"{time.hours:.2f}", f"{left} steps of {time.step_s:.3f} s; {bound}")
    for knob in knobs(config, model, own, cams, trial.peak_bytes):
        frees = f"frees about {knob.frees_bytes / GIB:.2g} GiB"
        table.add_row(knob.setting, frees, f"computed, rough; costs: {knob.cost}")
    return table


def _existing(path: Path) -> Path:
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path
