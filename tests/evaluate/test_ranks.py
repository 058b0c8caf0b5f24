"""Two processes count what one counts."""

import json
from pathlib import Path

import pytest
from evaluate_kit import Split
from torch import distributed, multiprocessing

from langocc.evaluate.occ3d import evaluate_predictions
from langocc.evaluate.origin import Provenance
from langocc.evaluate.ranks import ALONE, merged_over_ranks, own_part
from langocc.evaluate.report import Report
from langocc.train.processes import Processes


def _count(rank: int, split: Split, folder: Path) -> None:
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    processes, (one, two) = Processes(rank, 2), (split.predictions, split.label_path)
    counts = evaluate_predictions(one, split.frames, two, tolerate_faults=True, processes=processes)
    report = Report(Provenance("ours"), "val", occupancy=counts)
    (folder / f"{rank}.json").write_text(json.dumps(report.to_json()["occupancy"]))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_count_what_one_counts(split: Split, tmp_path: Path) -> None:
    (split.predictions / "t4.npz").unlink()  # a fault of the second process alone
    counts = evaluate_predictions(
        split.predictions, split.frames, split.label_path, tolerate_faults=True
    )
    whole = json.loads(
        json.dumps(Report(Provenance("ours"), "val", occupancy=counts).to_json()["occupancy"])
    )
    multiprocessing.spawn(_count, (split, tmp_path), nprocs=2)
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == whole


def test_one_process_keeps_its_part(split: Split) -> None:
    part = evaluate_predictions(split.predictions, split.frames, split.label_path)
    assert merged_over_ranks(part, ALONE) is part


def test_parts_in_rank_order_are_the_whole() -> None:
    for count in (1, 2, 3, 7):
        parts = [own_part("abcde", Processes(rank, count)) for rank in range(count)]
        assert "".join(parts) == "abcde"
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
