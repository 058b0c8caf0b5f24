"""Two processes count what one counts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_kit import Split
from torch import distributed, multiprocessing

from langocc.evaluate.occ3d import evaluate_predictions
from langocc.evaluate.ranks import merged_over_ranks


def _count(rank: int, split: Split, folder: Path) -> None:
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    part = evaluate_predictions(split.predictions, split.frames[rank::2], split.label_path)
    merged = merged_over_ranks(part)
    np.save(folder / f"total{rank}.npy", merged.total())
    torch.save([frame.token for frame in merged.worst()], folder / f"worst{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_count_what_one_counts(split: Split, tmp_path: Path) -> None:
    whole = evaluate_predictions(split.predictions, split.frames, split.label_path)
    multiprocessing.spawn(_count, (split, tmp_path), nprocs=2)
    for rank in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"total{rank}.npy"), whole.total())
        worst = torch.load(tmp_path / f"worst{rank}.pt", weights_only=True)
        assert worst == [frame.token for frame in whole.worst()]


def test_one_process_keeps_its_part(split: Split) -> None:
    part = evaluate_predictions(split.predictions, split.frames, split.label_path)
    assert merged_over_ranks(part) is part
