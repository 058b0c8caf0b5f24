# SPDX-License-Identifier: Apache-2.0
"""The shards i/n of a run as tasks of an existing Ray cluster, which decides what runs where."""

import logging
from collections.abc import Callable, Sequence

from langocc.errors import ConfigError, LangOccError
from langocc.features.prepare import RunReport

ShardTask = Callable[[int, int], RunReport]
"""Does shard i of n. It must pickle; its files lie where every machine of the cluster sees them."""


def run_on_ray(
    task: ShardTask,
    address: str,
    count: int | None = None,
    while_waiting: Callable[[], None] | None = None,
    poll_s: float = 1.0,
) -> RunReport:
    """Runs all shards of a task; returns their reports as one.

    A task asks for one GPU where the cluster has any, else for one processor. One whose worker
    dies is started again by Ray; since finished scenes are skipped, little is done twice.

    Args:
        task: Does one shard.
        address: Of the cluster: `auto` (the one this machine belongs to), `host:6379` or
            `ray://host:10001`. None is started here.
        count: Number of shards; None: one per GPU of the cluster, or per processor.
        while_waiting: Called every `poll_s` seconds, and once at the end.
        poll_s: Seconds between looks at the tasks.

    Raises:
        ConfigError: Ray is not installed, no cluster answers, or a worker cannot be kept alive.
        LangOccError: what a task raised.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import (  # pyright: ignore[reportMissingImports]
            RayError,
            RayTaskError,
        )
    except ImportError:
        raise ConfigError("Ray is not installed; `pip install 'langocc[ray]'` adds it") from None
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"Ray at {address!r}: no cluster answers there: {error}") from None
    try:
        resources = ray.cluster_resources()
        is_gpu = resources.get("GPU", 0) >= 1
        count = count or max(1, int(resources.get("GPU" if is_gpu else "CPU", 1)))

        shard = ray.remote(num_cpus=1, num_gpus=int(is_gpu))(_do)
        waiting = [shard.remote(task, index, count) for index in range(count)]
        reports = []
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=poll_s)
            reports += ray.get(ready)
            if while_waiting:
                while_waiting()
        return merged(reports)
    except RayTaskError as error:
        if isinstance(error.cause, LangOccError):
            raise error.cause from None
        raise
    except RayError as error:
        raise ConfigError(f"Ray at {address!r}: {error}") from None
    finally:
        ray.shutdown()


def _do(task: ShardTask, index: int, count: int) -> RunReport:
    """What Ray is handed; a method of an object, as a task may be, it does not take."""
    return task(index, count)


def merged(reports: Sequence[RunReport]) -> RunReport:
    """What several runs over different scenes did, as one report."""
    whole = RunReport()
    for report in reports:
        whole.done += report.done
        whole.skipped += report.skipped
        whole.failed |= report.failed
        whole.rays += report.rays
        whole.frames += report.frames
        whole.bare += report.bare
        whole.notes += report.notes
    return whole
