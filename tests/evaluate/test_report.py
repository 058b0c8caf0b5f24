"""Reports: JSON without NaN, Markdown with mask, classes and threshold, intervals that mean it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_kit import Split

from langocc.errors import DataError
from langocc.evaluate.bootstrap import bootstrap
from langocc.evaluate.markdown import markdown
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.origin import Provenance, provenance_of
from langocc.evaluate.published import published_rows
from langocc.evaluate.rayiou import RayTotals
from langocc.evaluate.render import RenderErrors
from langocc.evaluate.report import (
    Report,
    occupancy_intervals,
    rayiou_intervals,
    retrieval_intervals,
)
from langocc.evaluate.report_files import write_report
from langocc.evaluate.retrieval import RetrievalResult, RowScore


@pytest.fixture
def report(split: Split) -> Report:
    (split.predictions / "t5.npz").unlink()
    counts = evaluate_predictions(
        split.predictions,
        split.frames,
        split.label_path,
        OccupancyOptions(thresholds=(0.1, 0.5)),
        tolerate_faults=True,
    )
    rays = RayTotals()
    rays.update("scene-0", np.full((5, 17), 3))
    nan = float("nan")
    rows = [
        RowScore("langocc", "val", "scene-0", "t0", "a cat | dog", 9, 3, 50.0, 5, 2, 40.0),
        RowScore("langocc", "val", "scene-1", "t1", "a fox", 9, 0, nan, 5, 0, nan),
        RowScore("langocc", "val", "scene-2", "t2", "a hen", 9, 4, 70.0, 5, 1, 80.0),
    ]
    errors = RenderErrors()
    errors.update(torch.eye(3), torch.eye(3), torch.full((3,), 11.0), torch.full((3,), 10.0))
    provenance = Provenance(
        "ours", "runs/x/predictions", "city v1.0-mini", "clip", "v1", "imagenet", {"sha256": "ab12"}
    )
    return Report(provenance, "val", counts, rays, RetrievalResult(rows), errors.scores())


def test_files_say_what_was_counted_how(report: Report, tmp_path: Path) -> None:
    json_path, text_path = write_report(tmp_path / "out", report)
    content = json.loads(json_path.read_text(), parse_constant=lambda name: pytest.fail(name))
    levels = content["occupancy"]["levels"]
    assert [level["threshold"] for level in levels] == [0.1, 0.5]
    assert content["occupancy"]["mask"] == "camera"
    np.testing.assert_array_equal(levels[0]["confusion"], report.occupancy.total()[0])
    assert content["occupancy"]["faults"][0]["token"] == "t5"
    assert content["provenance"]["checkpoint"] == {"sha256": "ab12"}
    assert content["provenance"]["software"]["langocc"]
    assert content["retrieval"]["rows"][1]["ap"] is None
    assert content["retrieval"]["protocols"]["langocc"]["val"]["empty"] == 1
    text = text_path.read_text()
    scores = report.occupancy.scores()[0.1]
    for said in (
        f"{scores.miou_17:.2f}",
        "mIoU, 17 classes",
        "mIoU, 15 classes",
        "0.5 /m",
        "Mask: camera. Vocabulary: v1. 5 frames of 3 scenes",
        "**1 frames could not be evaluated",
        "t5.npz: no prediction for frame t5",
        "initialisation: imagenet",
        "checkpoint: sha256 ab12",
        "a cat \\| dog",
        "| LangOcc full 2025 |",
        "10.71 (17)",
        "15.15 (15)",
        "11.70 (?)",
    ):
        assert said in text, said


def test_kinds_of_text_are_reported_where_they_are_named(report: Report) -> None:
    assert "kinds" not in report.to_json()["retrieval"]
    assert "kind" not in report.to_json()["retrieval"]["rows"][0]
    assert "kind" not in markdown(report, with_published=False).split("## Retrieval")[1]
    cat, fox, hen = report.retrieval.rows
    noun, pair = {"kind": "noun"}, {"kind": "held-out pair"}
    rows = [replace(cat, **noun), replace(fox, **pair), replace(hen, **pair)]
    result = replace(report, retrieval=RetrievalResult([*rows, replace(rows[0], part="test")]))
    content = result.to_json()["retrieval"]
    found = content["kinds"]["langocc"]["val"]
    assert [row["kind"] for row in content["rows"][:2]] == ["noun", "held-out pair"]
    assert (found["noun"]["rows"], found["noun"]["map"]) == (1, 50.0)
    pairs = found["held-out pair"]
    assert (pairs["rows"], pairs["empty"], pairs["map"], pairs["visible_map"]) == (2, 1, 70.0, 80.0)
    assert content["kinds"]["langocc"]["train"]["noun"]["map"] is None
    text = markdown(result)
    assert "| held-out pair | val | 2 | 70.00" in text
    assert "| noun | val+test | 2 | 50.00 | 40.00 |" in text
    assert "| noun | train" not in text  # no row was scored


def test_every_table_line_has_as_many_cells_as_its_head(report: Report) -> None:
    cells = None
    for line in markdown(report).splitlines():
        if line.startswith("|"):
            count = line.replace("\\|", "").count("|")
            assert cells is None or count == cells, line
            cells = count
        else:
            cells = None


def test_rows_beside_pictures_and_what_is_taken_for_what(report: Report) -> None:
    other = replace(report, provenance=replace(report.provenance, name="prior"))
    worst = report.occupancy.worst(1)[0].token
    text = markdown(replace(report, beside=[other], pictures={worst: f"worst/{worst}.png"}))
    scores = report.occupancy.scores()[0.1]
    assert text.count(f"| prior | {scores.miou_17:.2f} (17), {scores.miou_15:.2f} (15) |") == 1
    assert f"![{worst}](worst/{worst}.png)" in text
    row = report.occupancy.total()[0][4]
    shares = " | ".join(f"{100 * cell / row.sum():.0f}" if cell else "" for cell in row)
    assert f"| 4 car | {shares} |" in text
    content = replace(report, beside=[other]).to_json()
    assert content["beside"][0]["occupancy"] == content["occupancy"]


def test_what_semantics_were_made_with_stands_beside_as_saved(split: Split) -> None:
    counts = evaluate_predictions(split.predictions, split.frames, split.label_path)
    assert counts.level_name(None) == "as saved (0.1 /m)"
    text = markdown(Report(Provenance("ours"), "val", occupancy=counts))
    assert "| as saved (0.1 /m) |" in text


def test_reports_without_parts_are_reports(report: Report) -> None:
    bare = Report(report.provenance, "val")
    assert set(bare.to_json()) == {"provenance", "split"}
    assert "## Occupancy" not in markdown(bare)


def test_published_numbers_are_those_of_the_paper() -> None:
    rows = {row.method: row for row in published_rows()}
    full, reduced = rows["LangOcc full"], rows["LangOcc reduced"]
    assert (full.miou, full.classes, full.iou) == (10.71, 17, 51.59)
    assert (full.map_all, full.map_visible) == (21.7, 22.7)
    assert (reduced.miou, reduced.classes) == (11.84, 17)
    assert {row.classes for row in published_rows()} == {15, 17, None}
    assert all(row.source and row.grade for row in published_rows())


def test_the_interval_covers_a_known_spread() -> None:
    """Mean of 100 scenes drawn from N(0, 1): 95 % within about +-0.196 of their own mean."""
    values = np.random.default_rng(0).standard_normal(100)
    per_scene = [np.array([value, 1.0]) for value in values]
    (interval,) = bootstrap(per_scene, lambda total: [float(total[0] / total[1])])
    expected = 1.96 * values.std() / 10
    assert interval.low == pytest.approx(values.mean() - expected, abs=0.04)
    assert interval.high == pytest.approx(values.mean() + expected, abs=0.04)


def test_equal_scenes_leave_no_spread_and_one_scene_no_interval(report: Report) -> None:
    same = [np.array([3.0, 4.0])] * 5
    (interval,) = bootstrap(same, lambda total: [float(total[0] / total[1])])
    assert (interval.low, interval.high, interval.scenes) == (0.75, 0.75, 5)
    assert bootstrap(same[:1], lambda total: [float(total[0])] * 2) == [None, None]


def test_intervals_hold_the_score(report: Report) -> None:
    intervals, scores = occupancy_intervals(report.occupancy), report.occupancy.scores()[0.1]
    pairs = [(getattr(scores, name), intervals[name]) for name in list(intervals)[:4]]
    pairs += zip(scores.class_iou, intervals["class_iou"], strict=True)
    for value, interval in pairs:
        assert interval.low <= value <= interval.high
        assert interval.low < interval.high
    assert intervals == occupancy_intervals(report.occupancy)
    found = retrieval_intervals(report.retrieval, "langocc", "val")
    assert (found["map"].low, found["map"].high) == (50.0, 70.0)
    assert (found["visible_map"].low, found["visible_map"].high) == (40.0, 80.0)
    assert rayiou_intervals(report.rays) == {"rayiou": None, "at": [None] * 3}  # one scene


def test_the_record_beside_predictions_reaches_the_report(tmp_path: Path) -> None:
    bare = provenance_of(tmp_path, "ours", "city")
    assert bare == Provenance("ours", str(tmp_path), "city")
    record = {"checkpoint": {"step": 7}, "vocabulary": "v1", "threshold": 0.1, "name": "other"}
    (tmp_path / "predictions.json").write_text(json.dumps(record))
    known = provenance_of(tmp_path, "ours", "city")
    assert (known.name, known.checkpoint, known.vocabulary) == ("ours", {"step": 7}, "v1")
    (tmp_path / "predictions.json").write_text('{"checkpoint": "new"}')
    with pytest.raises(DataError, match=r"checkpoint: expected a JSON object, got 'new'"):
        provenance_of(tmp_path, "ours", "city")
    (tmp_path / "predictions.json").write_text("[1]")
    with pytest.raises(DataError, match=r"predictions.json: expected a JSON object, got list"):
        provenance_of(tmp_path, "ours", "city")
