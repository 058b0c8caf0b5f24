"""Two processes compute what one would; one that breaks ends the run; none hangs."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from processes_kit import SHORT, run_two, train
from toy_street import losses_of

from langocc.errors import ConfigError
from langocc.train.checkpoint import load_checkpoint
from langocc.train.loop import Training
from langocc.train.processes import Processes
from langocc.train.run_folder import RunFolder


def torchrun(folder: Path, **options) -> subprocess.CompletedProcess:
    return run_two("processes_kit.py", folder, json.dumps(options))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder, threads = tmp_path_factory.mktemp("alone"), torch.get_num_threads()
    torch.set_num_threads(1)  # as the processes that it is compared with: sums in the same order
    try:
        train(folder, Processes(), {})
    finally:
        torch.set_num_threads(threads)
    return folder


def final(folder: Path):
    return load_checkpoint(RunFolder(folder).checkpoint_path(SHORT.steps))


def assert_same_run(folder: Path, alone: Path) -> None:
    """Sums over samples are taken in another order: float32 rounding, which steps amplify."""
    np.testing.assert_allclose(losses_of(folder), losses_of(alone), rtol=1e-4)
    ours, theirs = final(folder), final(alone)
    assert ours.metadata["step"] == theirs.metadata["step"]
    for part in ("model", "average"):
        ours_part, theirs_part = getattr(ours, part), getattr(theirs, part)
        assert ours_part.keys() == theirs_part.keys()
        assert relative_error(ours_part, theirs_part) < 1e-5
    # The first moments are means of the steps' gradients: wrong ones would show here. In one
    # process, weights moved by a rounding (1e-7 of each) change them by 1.8e-3.
    assert relative_error(ours.optimizer, theirs.optimizer, "exp_avg.") < 5e-3


def relative_error(ours, theirs, prefix: str = "") -> float:
    names = [name for name in theirs if name.startswith(prefix)]
    a, b = (torch.cat([d[n].double().flatten() for n in names]) for d in (ours, theirs))
    return float((a - b).norm() / b.norm())


@pytest.mark.slow
def test_two_processes_train_as_one_would(tmp_path, alone):
    done = torchrun(tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_a_run_of_two_processes_stops_at_a_signal_and_goes_on_with_one(tmp_path, alone):
    done = torchrun(tmp_path, stop_after=4)
    for rank in (0, 1):
        assert f"process {rank} stopped after step 4" in done.stdout, done.stderr
    files = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert files == ["step-00000003.safetensors", "step-00000004.safetensors"]
    train(tmp_path, Processes(), {})
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_local_batch_norm_keeps_the_processes_alike(tmp_path, alone):
    done = torchrun(tmp_path, batch_norm="local")
    assert done.returncode == 0, done.stderr
    # Each process normalises by its own half of the batch: near, but not the same.
    difference = np.abs(np.divide(losses_of(tmp_path), losses_of(alone)) - 1)
    assert 2e-3 < difference.max() < 0.2
    assert all(tensor.isfinite().all() for tensor in final(tmp_path).model.values())


@pytest.mark.slow
def test_a_process_that_fails_ends_the_run_with_its_traceback(tmp_path):
    done = torchrun(tmp_path, fail_after=2)
    assert done.returncode != 0
    assert "this process is broken" in done.stderr
    assert "in watch" in done.stderr


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_named_by_its_own_process(tmp_path):
    done = torchrun(tmp_path, poison=2)
    assert done.returncode != 0
    assert "'feature' is nan (frames frame-2)" in done.stderr


def test_each_process_gets_its_part_in_order():
    parts = [Processes(rank, 3).share(list(range(12))) for rank in range(3)]
    assert [number for part in parts for number in part] == list(range(12))
    assert {len(part) for part in parts} == {4}


def test_a_batch_that_cannot_be_split_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"batch-size.*multiple of the 3 processes, found 4"):
        Training(
            SHORT,
            RunFolder(tmp_path),
            samples=[],
            device=torch.device("cpu"),
            facts={},
            processes=Processes(0, 3),
        )
