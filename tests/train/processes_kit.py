"""One of several processes of a toy run: `torchrun processes_kit.py FOLDER JSON`."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from toy_street import CONFIG, new_training

from langocc.train.processes import Processes, joined

SHORT = replace(CONFIG, batch_size=4, steps=6, schedule=replace(CONFIG.schedule, base_lr=1e-7))
"""Steps so small that weights stay alike: AdamW moves a weight by the whole rate even where its
gradient is mere rounding, and sampling along rays amplifies differences. Gradients are compared."""


def train(folder: Path, processes: Processes, options: dict) -> None:
    """Trains, or breaks off in the way `options` says."""
    config = replace(SHORT, batch_norm=options.get("batch_norm", "synchronised"))
    poison = options.get("poison")
    training = new_training(folder, config, processes, poison=poison)
    training.resume()

    def watch(progress) -> None:
        is_last = processes.rank == processes.count - 1
        if progress.step == options.get("stop_after") and is_last:
            os.kill(os.getpid(), signal.SIGTERM)
        if progress.step == options.get("fail_after") and is_last:
            raise RuntimeError("this process is broken")

    try:
        training.fit(watch)
    except KeyboardInterrupt:
        print(f"process {processes.rank} stopped after step {training.step}", flush=True)


def run_two(script: str, *words: object) -> subprocess.CompletedProcess:
    """Runs a script of this folder in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(Path(__file__).with_name(script)), *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)


if __name__ == "__main__":
    with joined() as joined_processes:
        train(Path(sys.argv[1]), joined_processes, json.loads(sys.argv[2]))
