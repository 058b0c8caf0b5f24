# SPDX-License-Identifier: Apache-2.0
"""Extraction shared by several processes: torchrun, a Slurm array, a Ray cluster."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from langocc.cli import run
from langocc.errors import DataError
from langocc.features import progress
from langocc.features.extract import fair_threads
from langocc.features.on_ray import merged
from langocc.features.prepare import RunReport

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}

BUILD_SERVER = pytest.mark.skipif(
    os.environ.get("CI") == "true", reason="minutes of clusters; not on the build server (CI=true)"
)


def long(test):
    """Marks a test that starts a cluster of its own."""
    return pytest.mark.slow(BUILD_SERVER(test))


def langocc(*words, launcher=(), environment=None):
    """Runs the command; with a launcher in front, as that starts it."""
    command = [sys.executable, "-m", *launcher, *(["-m"] if launcher else []), "langocc"]
    done = subprocess.run(
        [*command, *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | (environment or {}),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def alone(small_city, tmp_path_factory):
    """The small city's features made by one process: the options, and files by name."""
    work = tmp_path_factory.mktemp("alone")
    langocc("prepare", small_city, "--work", work, "--sky-rays", 100)
    options = ["--codec", "pca-int8", "--components", 16]
    langocc("extract", small_city, "--work", work, *options)
    return options, files_of(work)


def files_of(work: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(work.glob("features/*/*"))}


@pytest.fixture
def prepared(small_city, tmp_path):
    langocc("prepare", small_city, "--work", tmp_path, "--sky-rays", 100)
    return tmp_path


@long
def test_four_torchrun_shards_write_what_one_process_writes(small_city, alone, prepared):
    options, expected = alone
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    printed = langocc("extract", small_city, "--work", prepared, *options, launcher=launcher)
    assert printed.count("features of 1 scenes written") == 4  # each rank has its own
    assert len(expected) == 5
    assert files_of(prepared) == expected


@long
def test_the_slurm_script_does_its_share(small_city, alone, prepared):
    options, expected = alone
    script = Path(__file__).parents[2] / "recipes" / "extract_slurm.sh"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for index in (0, 1):
        array = {"SLURM_ARRAY_TASK_ID": str(index), "SLURM_ARRAY_TASK_COUNT": "2"}
        words = ["sh", str(script), str(small_city), str(prepared), *map(str, options)]
        environment = ENVIRONMENT | array | {"PATH": path, "SLURM_ARRAY_TASK_MIN": "0"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert "features of 2 scenes written" in done.stdout, done.stderr
    assert files_of(prepared) == expected


@pytest.fixture(scope="module")
def cluster():
    """Two Ray nodes of one processor each, on this machine."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"})
    node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    made.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield made.address
    made.shutdown()


@long
def test_two_ray_workers_write_what_one_process_writes(small_city, alone, prepared, cluster):
    options, expected = alone
    line = ["extract", small_city, "--work", prepared, *options, "--ray", cluster]
    assert "features of 4 scenes written" in langocc(*line)
    assert files_of(prepared) == expected
    assert "4 were there" in langocc(*line, "--ray-tasks", 3)


@long
def test_ray_runs_tasks_side_by_side_and_passes_on_their_errors(cluster, tmp_path):
    from langocc.features.on_ray import run_on_ray

    def meet(index: int, count: int) -> RunReport:
        (tmp_path / str(index)).write_text(str(os.getpid()))
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < count and time.monotonic() < until:
            time.sleep(0.05)
        met = sorted(path.read_text() for path in tmp_path.iterdir())
        return RunReport(done=[f"scene-{index}"], notes=[" ".join(met)], rays=10)

    looks = []
    report = run_on_ray(meet, cluster, while_waiting=lambda: looks.append(1), poll_s=0.1)
    assert sorted(report.done) == ["scene-0", "scene-1"]  # one task a processor
    assert report.rays == 20
    assert looks
    assert report.notes[0] == report.notes[1]  # each saw the other while both were running
    assert len(set(report.notes[0].split())) == 2

    def fail(index: int, count: int) -> RunReport:
        raise DataError(f"shard {index}: a file is gone")

    with pytest.raises(DataError, match=r"^shard [01]: a file is gone$"):
        run_on_ray(fail, cluster)


@long
def test_no_cluster_and_no_ray_are_told(small_city, tmp_path, capsys, monkeypatch):
    work = ["--work", str(tmp_path)]
    assert run(["prepare", str(small_city), *work, "--split", "val"]) == 0
    line = ["extract", str(small_city), *work, "--ray", "127.0.0.1:1"]
    assert run([*line, "--shard", "0/2"]) == 1
    assert "expected one of them" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(line) == 1
    assert "pip install 'langocc[ray]'" in capsys.readouterr().err


def test_processes_of_a_machine_share_its_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert fair_threads({}) == 16
    assert fair_threads({"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "8"}) == 8
    assert fair_threads({"LOCAL_WORLD_SIZE": "32"}) == 1


def test_reports_of_shards_add_up():
    one = RunReport(["a"], ["b"], {"c": "damaged"}, 10, 2, ["t"], ["note"])
    whole = merged([one, RunReport(["d"], rays=5, frames=1)])
    assert whole == RunReport(["a", "d"], ["b"], {"c": "damaged"}, 15, 3, ["t"], ["note"])


def test_progress_counts_the_scenes_of_other_processes(monkeypatch):
    monkeypatch.setattr(progress, "LOOK_S", 0.0)
    screen, finished = io.StringIO(), set()
    monkeypatch.setattr(progress, "Console", lambda file: Console(file=screen, width=120))
    images = {"a": 6, "b": 12, "c": 24}
    with progress.shared_progress("features", images, ["a"], finished.__contains__) as advance:
        advance(6)
        finished |= {"a", "c"}
        advance(0)
        advance(0)
    assert "30/42 images" in screen.getvalue()
