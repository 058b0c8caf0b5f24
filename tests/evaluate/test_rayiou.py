"""RayIoU: the walk against a slow loop, the counts against the definition."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_kit import make_frame

from langocc.errors import DataError
from langocc.evaluate.labels import read_label
from langocc.evaluate.raycast import first_hits
from langocc.evaluate.raycast_gpu import first_hits_gpu
from langocc.evaluate.rayiou import (
    RayTotals,
    evaluate_rayiou,
    ray_counts,
    ray_directions,
    ray_scores,
    scene_origins,
)
from langocc.geometry.grid import VoxelGrid
from langocc.scenes.frame import Frame, Lidar

GRID = VoxelGrid((-8.0, -8.0, -1.6), (8.0, 8.0, 4.8), 0.8)


def slow_hit(occupied: np.ndarray, origin: np.ndarray, direction: np.ndarray):
    """One ray, one step at a time: (voxel, distance at which the ray leaves it) or None."""
    cell = [math.floor(o) for o in origin]
    step = [1 if d >= 0 else -1 for d in direction]
    border = [
        (c + (s > 0) - o) / d if d else math.inf
        for c, s, o, d in zip(cell, step, origin, direction, strict=True)
    ]
    was_inside = False
    for _ in range(sum(occupied.shape) + 30):
        inside = all(0 <= c < n for c, n in zip(cell, occupied.shape, strict=True))
        if was_inside and not inside:
            return None
        was_inside |= inside
        axis = min((2, 1, 0), key=lambda a: border[a])
        if inside and occupied[tuple(cell)]:
            return tuple(cell), border[axis]
        cell[axis] += step[axis]
        border[axis] += 1 / abs(direction[axis])
    return None


def random_rays(generator: np.random.Generator, count: int, shape: tuple[int, ...]):
    origins = generator.uniform(-3, np.array(shape) + 3, (count, 3))
    origins[: count // 4] = np.floor(origins[: count // 4])  # exactly on borders
    directions = generator.standard_normal((count, 3))
    directions[count // 2 : count // 2 + 20, 1] = 0.0  # along planes
    directions[count // 2 + 20 : count // 2 + 30, :2] = 0.0
    directions[-20:] = np.sign(directions[-20:])  # through edges and corners: ties
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def walk_arguments(density: float) -> tuple[torch.Tensor, ...]:
    """Two grids of two frames each, and 400 rays through them."""
    generator = np.random.default_rng(int(density * 100))
    shape = (9, 7, 5)
    grids = [generator.random((2, *shape)) < density for _ in range(2)]
    origins, directions = random_rays(generator, 400, shape)
    frames = generator.integers(0, 2, 400)
    return tuple(torch.from_numpy(a) for a in (*grids, frames, origins, directions))


@pytest.mark.parametrize("walk", [first_hits, first_hits_gpu])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
def test_the_walk_equals_a_slow_loop(density: float, walk: Callable) -> None:
    arguments = walk_arguments(density)
    *grids, frames, origins, directions = (a.numpy() for a in arguments)
    hit_count = 0
    for grid, hits in zip(grids, walk(*arguments), strict=True):
        for ray in range(400):
            expected = slow_hit(grid[frames[ray]], origins[ray], directions[ray])
            got = int(hits.cells[ray])
            if expected is None:
                assert got == -1
                continue
            hit_count += 1
            assert np.unravel_index(got, grid.shape) == (frames[ray], *expected[0])
            assert float(hits.exits[ray]) == pytest.approx(expected[1], rel=1e-12, abs=1e-12)
    assert hit_count > 100 or density < 0.1


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
def test_both_walks_agree_to_the_last_bit(density: float) -> None:
    arguments = walk_arguments(density)
    for one, other in zip(first_hits_gpu(*arguments), first_hits(*arguments), strict=True):
        assert torch.equal(one.cells, other.cells)
        assert torch.equal(one.exits, other.exits)


def test_directions_are_those_of_the_protocol() -> None:
    directions = ray_directions()
    assert directions.shape == (14_040, 3)
    pitch = torch.rad2deg(directions[::360, 2].asin())
    assert pitch[:3].tolist() == pytest.approx([-45.0, -26.565, -18.435], abs=1e-3)
    steps = pitch[10:] - pitch[9:-1]
    torch.testing.assert_close(steps, torch.full_like(steps, float(pitch[9] - pitch[8])))
    assert math.radians(pitch[-2]) < 0.21 <= math.radians(pitch[-1])
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(14_040, dtype=torch.float64))


def frames_along(xs: list[float], yaw: float = 0.0) -> list[Frame]:
    ego_from_lidar = np.eye(4)
    ego_from_lidar[:3, 3] = [1.0, 0.0, 1.8]
    frames = []
    for i, x in enumerate(xs):
        pose = np.eye(4)
        pose[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
        pose[0, 3] = x
        lidar = Lidar(Path("none.bin"), 5, ego_from_lidar, pose, i, f"l{i}")
        frames.append(Frame(f"t{i}", "scene", i, {}, pose, lidar))
    return frames


def test_origins_are_the_lidar_positions_within_reach() -> None:
    frames = frames_along([0.0, 10.0, 37.9, 38.1, 200.0], yaw=math.pi / 2)
    origins = scene_origins(frames, 0)
    np.testing.assert_allclose(
        origins, [[1, 0, 1.8], [1, -10, 1.8], [1, -37.9, 1.8], [1, -38.1, 1.8]], atol=1e-9
    )
    assert len(scene_origins(frames, 4)) == 1


def test_more_than_eight_origins_are_thinned_evenly() -> None:
    frames = frames_along([0.5 * i for i in range(41)])
    x = scene_origins(frames, 20)[:, 0]
    chosen = np.round(np.linspace(0, 40, 8))
    np.testing.assert_allclose(x, 0.5 * chosen - 10 + 1)


def test_a_frame_without_lidar_is_named() -> None:
    with pytest.raises(DataError, match="frame blind: RayIoU starts its rays at the LiDAR"):
        scene_origins([make_frame("blind")], 0)


def street(generator: np.random.Generator) -> np.ndarray:
    ids = np.full(GRID.shape, 17, np.uint8)
    ids[:, :, 0] = 11
    for _ in range(12):
        x, y = generator.integers(0, 18, 2)
        ids[x : x + 2, y : y + 2, 1:4] = generator.choice([0, 4, 15])
    return ids


def oracle_counts(pred: np.ndarray, truth: np.ndarray, origins: np.ndarray) -> np.ndarray:
    counts = np.zeros((5, 17), int)
    for origin in (origins - np.array(GRID.lower_m)) / GRID.cell_m:
        for direction in ray_directions().numpy()[::11]:
            hit = slow_hit(truth != 17, origin, direction)
            if hit is None:
                continue
            other = slow_hit(pred != 17, origin, direction)
            truth_id, pred_id = truth[hit[0]], 17 if other is None else pred[other[0]]
            counts[0, truth_id] += truth_id < 17
            if pred_id < 17:
                counts[1, pred_id] += 1
            if truth_id == pred_id:
                gap = abs(hit[1] - other[1]) * GRID.cell_m
                counts[2:, truth_id] += [gap < 1, gap < 2, gap < 4]
    return counts


def test_counts_equal_the_definition_ray_by_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    truth, pred = street(generator), street(generator)
    origins = np.array([[0.1, 0.2, 1.8], [2.0, -1.0, 5.5]])  # the second is above the grid
    expected = oracle_counts(pred, truth, origins)
    thinned = ray_directions()[::11]
    monkeypatch.setattr("langocc.evaluate.rayiou.ray_directions", lambda: thinned)
    (counts,) = ray_counts([pred], [truth], [origins], GRID)
    np.testing.assert_array_equal(counts, expected)
    right = counts[2:].sum(axis=1)
    assert 0 < right[0] < right[1] < right[2] < counts[0].sum()


def test_frames_traced_together_are_frames_traced_alone() -> None:
    generator = np.random.default_rng(7)
    truth, pred = ([street(generator) for _ in range(3)] for _ in range(2))
    origins = [generator.uniform(-1, 1, (n, 3)) for n in (1, 3, 2)]
    together = ray_counts(pred, truth, origins, GRID)
    for i in range(3):
        (alone,) = ray_counts(pred[i : i + 1], truth[i : i + 1], origins[i : i + 1], GRID)
        np.testing.assert_array_equal(together[i], alone)


def test_scores_of_the_real_label(real_root: Path) -> None:
    """Truth against itself is 100; against itself moved half a metre back it is in between."""
    label = read_label(real_root.parent / "occ3d" / "labels.npz").semantics
    origin = [np.array([[0.94, 0.0, 1.84]])]
    (same,) = ray_counts([label], [label], origin)
    assert ray_scores(same).at == (100.0, 100.0, 100.0)
    assert ray_scores(same).rays > 9000
    (moved,) = ray_counts([np.roll(label, 3, axis=0)], [label], origin)
    scores = ray_scores(moved)
    assert 10 < scores.at[0] < scores.at[1] < scores.at[2] < 95
    assert scores.rayiou == pytest.approx(sum(scores.at) / 3)


def test_an_all_free_prediction_scores_zero_and_an_empty_truth_nan() -> None:
    free, wall = np.full(GRID.shape, 17, np.uint8), np.full(GRID.shape, 15, np.uint8)
    origin = [np.zeros((1, 3))]
    (counts,) = ray_counts([free], [wall], origin, GRID)
    assert ray_scores(counts).at == (0.0, 0.0, 0.0)
    (counts,) = ray_counts([wall], [free], origin, GRID)
    assert math.isnan(ray_scores(counts).rayiou)


def test_a_folder_is_evaluated_and_merges(tmp_path: Path) -> None:
    from langocc.evaluate.archives import write_arrays
    from langocc.evaluate.predictions import Prediction, write_prediction

    generator, frames = np.random.default_rng(0), frames_along([0.0, 1.0, 2.0])
    truth = {f.token: street(generator) for f in frames}
    truth["t2"][0, 0, 3:5] = 255
    pred = {f.token: street(generator) for f in frames}
    mask = np.ones(GRID.shape, np.uint8)
    for token, ids in truth.items():
        arrays = {"semantics": ids, "mask_camera": mask, "mask_lidar": mask}
        write_arrays(tmp_path / "gts" / token / "labels.npz", arrays)
        write_prediction(tmp_path / "predictions", token, Prediction(pred[token]))

    def label_path(frame: Frame) -> Path:
        return tmp_path / "gts" / frame.token / "labels.npz"

    totals = evaluate_rayiou(tmp_path / "predictions", [frames], label_path, grid=GRID, batch=2)
    parts = RayTotals()
    for i, frame in enumerate(frames):
        one = RayTotals()
        args = ([pred[frame.token]], [truth[frame.token]], [scene_origins(frames, i)], GRID)
        one.update("scene", ray_counts(*args)[0])
        parts = parts.merge(one)
    np.testing.assert_array_equal(totals.total(), parts.total())
    assert totals.frames == parts.frames == 3
    assert totals.other_labels == {"t2": 2}
    (tmp_path / "predictions" / "t1.npz").unlink()
    with pytest.raises(DataError, match=r"1 of 3 (.|\n)*t1.npz: no such file"):
        evaluate_rayiou(tmp_path / "predictions", [frames], label_path, grid=GRID)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_counts_what_the_cpu_counts() -> None:
    generator = np.random.default_rng(7)
    truth, pred = ([street(generator) for _ in range(4)] for _ in range(2))
    origins = [generator.uniform(-1, 1, (8, 3)) for _ in range(4)]
    for on_gpu, on_cpu in zip(
        ray_counts(pred, truth, origins, GRID, "cuda"),
        ray_counts(pred, truth, origins, GRID),
        strict=True,
    ):
        np.testing.assert_array_equal(on_gpu, on_cpu)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3])
def test_the_gpu_walks_what_the_cpu_walks(density: float) -> None:
    arguments = walk_arguments(density)
    on_gpu = first_hits_gpu(*(a.cuda() for a in arguments))
    for one, other in zip(on_gpu, first_hits(*arguments), strict=True):
        assert torch.equal(one.cells.cpu(), other.cells)
        assert torch.equal(one.exits.cpu(), other.exits)
