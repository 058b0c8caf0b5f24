# SPDX-License-Identifier: Apache-2.0
"""Writes a whole city: its scenes in parallel, then what needs all of them.

Finished scenes are kept, so that a run that was stopped goes on where it was; the result is the
same as if it had not been.
"""

import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import msgspec

from langocc.errors import ConfigError, DataError
from langocc.files import replacing
from langocc.scenes.city.assembly import assemble
from langocc.scenes.city.folders import CityFolders
from langocc.scenes.city.plan import CitySettings, ScenePlan
from langocc.scenes.city.recording import write_scene

_POLL_S = 0.2


def write_city(
    root: Path,
    settings: CitySettings,
    workers: int = 1,
    frames_done: Callable[[int], None] = lambda frames: None,
) -> None:
    """Writes a city, or what is missing of it.

    Args:
        root: A new or empty folder, or one in which the same city was begun.
        settings: What city.
        workers: Processes; 1 works in this one.
        frames_done: Called now and then with the number of key frames that are done.

    Raises:
        ConfigError: the folder holds something else, or a city with other settings.
        OSError: a file cannot be written; what is finished is kept.
    """
    folders = CityFolders(root, settings.version)
    _claim(folders, settings)
    if not folders.splits.is_file():
        _write_missing_scenes(folders, settings, workers, frames_done)
        assemble(settings, folders)
    shutil.rmtree(folders.parts, ignore_errors=True)
    frames_done(settings.frames)


def even_processes(scenes: int, cores: int) -> int:
    """Processes that write so many scenes in rounds of one length, at least one for each core.

    20 scenes by 16 processes are two rounds, the second nearly empty; 20 processes on 16 cores take
    five quarters of one.
    """
    return math.ceil(scenes / max(1, scenes // cores))


def _write_missing_scenes(
    folders: CityFolders, settings: CitySettings, workers: int, frames_done: Callable[[int], None]
) -> None:
    """Writes the scenes that are not finished."""
    for leftover in folders.root.rglob(".*.part"):  # of a run that was killed
        leftover.unlink()
    missing = [plan for plan in settings.scenes() if not folders.part(plan.name).is_file()]
    before = settings.frames - len(missing) * settings.frames_per_scene
    frames_done(before)
    if workers > 1 and len(missing) > 1:
        _in_processes(missing, folders, min(workers, len(missing)), before, frames_done)
    else:
        _in_this_process(missing, folders, before, frames_done)


def _claim(folders: CityFolders, settings: CitySettings) -> None:
    """Makes sure that the folder is ours: empty, or begun with the same settings."""
    root = folders.root
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root}: expected a folder, found a file")
    if folders.settings.is_file():
        _check_same(folders.settings, settings)
    elif root.is_dir() and any(root.iterdir()):
        found = ", ".join(sorted(path.name for path in root.iterdir())[:3])
        raise ConfigError(f"{root}: expected a new or empty folder or a city, found {found}")
    else:
        with replacing(folders.settings) as path:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(settings)) + b"\n")


def _check_same(path: Path, settings: CitySettings) -> None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=CitySettings)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: not the settings of a city: {error}") from None
    wanted = asdict(settings)
    other = {name: value for name, value in asdict(found).items() if value != wanted[name]}
    if other:
        words = ", ".join(
            f"{name} {value} (asked for: {wanted[name]})" for name, value in other.items()
        )
        raise ConfigError(f"{path.parent.parent}: holds a city with {words}; choose another folder")


def _in_this_process(
    plans: list[ScenePlan], folders: CityFolders, done: int, frames_done: Callable[[int], None]
) -> None:
    def count() -> None:
        nonlocal done
        done += 1
        frames_done(done)

    for plan in plans:
        write_scene(plan, folders, count)


def _in_processes(
    plans: list[ScenePlan],
    folders: CityFolders,
    workers: int,
    before: int,
    frames_done: Callable[[int], None],
) -> None:
    """Scenes side by side. Fresh processes, since forking one with threads may hang."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with (
        _single_threaded(),
        ProcessPoolExecutor(workers, context, _begin_work, (counter,)) as pool,
    ):
        pending = {pool.submit(_work, plan, folders) for plan in plans}
        try:
            while pending:
                done, pending = wait(pending, _POLL_S, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                frames_done(before + counter.value)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes begun inside have one thread each for linear algebra: the cores are taken."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_counter: "Synchronized[int] | None" = None


def _begin_work(counter: "Synchronized[int]") -> None:
    """Sets a worker up; Ctrl-C is the parent's to handle."""
    global _counter
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(plan: ScenePlan, folders: CityFolders) -> None:
    write_scene(plan, folders, _count_frame)


def _count_frame() -> None:
    assert _counter is not None
    with _counter.get_lock():
        _counter.value += 1
