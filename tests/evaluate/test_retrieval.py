"""Retrieval: average precision per row, two protocols, every fault by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from langocc.errors import DataError
from langocc.evaluate.benchmark import RetrievalRow, read_rows
from langocc.evaluate.predictions import Prediction, write_prediction
from langocc.evaluate.retrieval import evaluate_retrieval, point_scores, score_row
from langocc.scenes.frame import Frame, Lidar

POINTS, CHANNELS = 40, 6


def oracle_ap(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the step curve, from the definition: at every distinct score, recall gained."""
    total, area, recall_before = labels.sum(), 0.0, 0.0
    for level in np.unique(scores)[::-1]:
        found = scores >= level
        recall = (labels & found).sum() / total
        area += (recall - recall_before) * (labels & found).sum() / found.sum()
        recall_before = recall
    return 100 * area


class Benchmark:
    """Rows on disk: two frames, three queries."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.predictions = folder / "retrieval_benchmark", folder / "predictions"
        generator = np.random.default_rng(5)
        for sub in ("annotations", "matching_points", "../lidar"):
            (self.folder / sub).mkdir(parents=True)
        self.frames, self.points, self.features = {}, {}, {}
        lines = []
        for token, part in (("t0", "val"), ("t1", "test")):
            points = generator.uniform(-60, 60, (POINTS, 5)).astype(np.float32)
            points[:, 2] = generator.uniform(-1, 5, POINTS)
            path = folder / "lidar" / f"{token}.bin"
            points.tofile(path)
            lidar = Lidar(path, 5, np.eye(4), np.eye(4), 0, f"l-{token}")
            self.frames[token] = Frame(token, f"scene-{part}", 0, {}, np.eye(4), lidar)
            self.points[token] = points
            self.features[token] = generator.standard_normal((POINTS, CHANNELS)).astype(np.float16)
            self.write_prediction(token)
            self.write_labels(token, generator.random(POINTS) < 0.3)
            seen = generator.integers(0, POINTS, 60)  # some come several times
            np.save(self.folder / "matching_points" / f"{token}__points.npy", seen)
            lines.append(
                f"{token};{part};annotations/{token}__retrieval.npy;"
                f"matching_points/{token}__points.npy;a thing; in {token}"
            )
        (self.folder / "retrieval_anns_all.csv").write_text("\n".join(lines) + "\n")
        self.vectors = {
            f"a thing; in {token}": generator.standard_normal(CHANNELS) for token in self.frames
        }

    def write_labels(self, token: str, labels: np.ndarray) -> None:
        np.save(
            self.folder / "annotations" / f"{token}__retrieval.npy", labels[:, None].astype("u1")
        )

    def write_prediction(self, token: str) -> None:
        empty = Prediction(np.full((2, 2, 2), 17, np.uint8))
        write_prediction(self.predictions, token, empty, self.features[token])

    def frame_of(self, token: str) -> Frame:
        if token not in self.frames:
            raise DataError(f"no frame has the token {token!r}")
        return self.frames[token]

    def evaluate(self, rows: list[RetrievalRow] | None = None, **options: object):
        rows = read_rows(self.folder) if rows is None else rows
        return evaluate_retrieval(self.predictions, rows, self.frame_of, self.vectors, **options)


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return Benchmark(tmp_path)


def test_rows_are_read_with_queries_that_hold_semicolons(benchmark: Benchmark) -> None:
    rows = read_rows(benchmark.folder)
    assert [(r.token, r.part, r.query) for r in rows] == [
        ("t0", "val", "a thing; in t0"),
        ("t1", "test", "a thing; in t1"),
    ]
    assert [r.token for r in read_rows(benchmark.folder, ["test"])] == ["t1"]


def test_protocol_langocc_by_hand(benchmark: Benchmark) -> None:
    result = benchmark.evaluate(protocols=["langocc"])
    for row in result.rows:
        xyz = benchmark.points[row.token][:, :3]
        inside = (np.abs(xyz[:, :2]) < 40).all(1) & (xyz[:, 2] >= -1) & (xyz[:, 2] < 5.4)
        features = benchmark.features[row.token].astype(float)
        query = benchmark.vectors[row.query]
        cosine = features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
        labels = np.load(benchmark.folder / "annotations" / f"{row.token}__retrieval.npy")[:, 0] > 0
        seen = np.load(benchmark.folder / "matching_points" / f"{row.token}__points.npy")
        once = np.zeros(POINTS, bool)
        once[seen] = True
        assert row.points == inside.sum()
        assert row.visible_points == (inside & once).sum()
        assert row.ap == pytest.approx(oracle_ap(cosine[inside], labels[inside]))
        both = inside & once
        assert row.visible_ap == pytest.approx(oracle_ap(cosine[both], labels[both]))


def test_protocol_pop3d_by_hand(benchmark: Benchmark) -> None:
    result = benchmark.evaluate(protocols=["pop3d"])
    for row in result.rows:
        dots = benchmark.features[row.token].astype(float) @ benchmark.vectors[row.query]
        labels = np.load(benchmark.folder / "annotations" / f"{row.token}__retrieval.npy")[:, 0] > 0
        seen = np.load(benchmark.folder / "matching_points" / f"{row.token}__points.npy")
        assert (row.points, row.visible_points) == (POINTS, 60)
        assert row.ap == pytest.approx(oracle_ap(dots, labels))
        assert row.visible_ap == pytest.approx(oracle_ap(dots[seen], labels[seen]))


def test_means_per_split(benchmark: Benchmark) -> None:
    result = benchmark.evaluate()
    for protocol in ("langocc", "pop3d"):
        val, test = (
            next(r for r in result.rows if r.protocol == protocol and r.part == part)
            for part in ("val", "test")
        )
        assert result.split(protocol, "val").map == val.ap
        assert result.split(protocol, "val+test").map == pytest.approx((val.ap + test.ap) / 2)
        assert result.split(protocol, "all").visible_map == pytest.approx(
            (val.visible_ap + test.visible_ap) / 2
        )
        assert result.split(protocol, "train").rows == 0
        assert np.isnan(result.split(protocol, "train").map)


def test_a_row_without_positives_is_reported_not_hidden(benchmark: Benchmark) -> None:
    benchmark.write_labels("t0", np.zeros(POINTS, bool))
    result = benchmark.evaluate(protocols=["pop3d"])
    split = result.split("pop3d", "all")
    assert [np.isnan(row.ap) for row in result.rows] == [True, False]
    assert (split.rows, split.empty) == (2, 1)
    assert split.map == result.rows[1].ap
    assert split.map_empty_as_zero == pytest.approx(split.map / 2)


@pytest.mark.parametrize("protocol", ["langocc", "pop3d"])
def test_points_without_an_answer_come_last(protocol: str) -> None:
    features = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, -1.0]], np.float16)
    scores = point_scores(features, np.array([1.0, 0.0]), protocol)
    assert scores.argsort().tolist() == [1, 2, 0]
    silent = point_scores(np.zeros((3, 2), np.float16), np.array([1.0, 0.0]), protocol)
    assert len(set(silent.tolist())) == 1


def test_scores_are_half_of_cosine_plus_one() -> None:
    features = np.array([[2.0, 0.0], [0.0, 3.0], [-4.0, 0.0]], np.float16)
    scores = point_scores(features, np.array([5.0, 0.0]), "langocc")
    np.testing.assert_allclose(scores, [1.0, 0.5, 0.0])


def test_the_order_of_points_does_not_matter() -> None:
    generator = np.random.default_rng(2)
    scores, labels = generator.random(50).round(1), generator.random(50) < 0.4
    inside, seen = generator.random(50) < 0.8, generator.integers(0, 50, 30)
    order = generator.permutation(50)
    place = np.argsort(order)
    one = score_row(scores, labels, seen, inside, "langocc")
    two = score_row(scores[order], labels[order], place[seen], inside[order], "langocc")
    np.testing.assert_allclose(one, two)


def test_faults_are_named_and_counted(benchmark: Benchmark) -> None:
    short = benchmark.folder / "annotations" / "t0__retrieval.npy"
    np.save(short, np.zeros(POINTS - 1))
    with pytest.raises(DataError, match=r"1 of 2(.|\n)*t0__retrieval.npy: expected 40 labels"):
        benchmark.evaluate()
    result = benchmark.evaluate(tolerate_faults=True)
    assert [fault.token for fault in result.faults] == ["t0 'a thing; in t0'"]
    assert {row.token for row in result.rows} == {"t1"}


def test_each_bad_file_has_its_own_message(benchmark: Benchmark) -> None:
    labels = benchmark.folder / "annotations" / "t0__retrieval.npy"
    seen = benchmark.folder / "matching_points" / "t0__points.npy"
    row = read_rows(benchmark.folder)[:1]

    def message() -> str:
        with pytest.raises(DataError) as error:
            benchmark.evaluate(row)
        return str(error.value)

    good = np.load(seen)
    np.save(seen, good.astype(float))
    assert "t0__points.npy: expected integer indices, got float64" in message()
    np.save(seen, good + POINTS)
    assert "t0__points.npy: expected indices below 40" in message()
    np.save(labels, np.full(POINTS, 7))
    assert "expected labels 0 or 1, got 40 others, e.g. 7" in message()
    labels.unlink()
    assert "t0__retrieval.npy: no such file" in message()
    (benchmark.predictions / "t0.npz").unlink()
    assert "t0.npz: no such file" in message()
    benchmark.features["t0"] = benchmark.features["t0"][:, :3]
    benchmark.write_prediction("t0")
    assert "expected 6 channels like the queries, got 3" in message()
    del benchmark.frames["t0"]
    assert "no frame has the token 't0'" in message()


def test_nan_features_are_counted(benchmark: Benchmark) -> None:
    features = benchmark.features["t0"]
    features[3] = np.nan
    path = benchmark.predictions / "t0.npz"
    np.savez(path, semantics=np.zeros((2, 2, 2), np.uint8), point_features=features)
    with pytest.raises(DataError, match=r"t0.npz: point_features: 1 of 40 rows hold NaN"):
        benchmark.evaluate()


def test_bad_tables_name_their_line(benchmark: Benchmark) -> None:
    table = benchmark.folder / "retrieval_anns_all.csv"
    good = table.read_text()
    table.write_text(good + "t0,val,query\n")
    with pytest.raises(DataError, match=r"retrieval_anns_all.csv:3: expected token;split"):
        read_rows(benchmark.folder)
    table.write_text(good.replace(";val;", ";eval;"))
    with pytest.raises(DataError, match=r"csv:1: expected a split of train, val, test, got 'eval'"):
        read_rows(benchmark.folder)
    table.unlink()
    with pytest.raises(DataError, match=r"retrieval_anns_train.csv: no such file"):
        read_rows(benchmark.folder)
    (benchmark.folder / "retrieval_anns_test.csv").write_text(good.splitlines()[1])
    assert [r.token for r in read_rows(benchmark.folder, ["test"])] == ["t1"]


def test_kinds_of_text_come_from_a_file_and_have_means_of_their_own(benchmark: Benchmark) -> None:
    plain = benchmark.evaluate()
    assert plain.kinds() == []
    kinds = {"a thing; in t0": "noun", "a thing; in t1": "held-out pair"}
    (benchmark.folder / "kinds.json").write_text(json.dumps(kinds))
    result = benchmark.evaluate()
    assert result.kinds() == ["held-out pair", "noun"]
    for protocol in result.protocols():
        rows = {row.kind: row for row in result.rows if row.protocol == protocol}
        for kind in kinds.values():
            score = result.split(protocol, "all", kind)
            assert (score.rows, score.map) == (1, rows[kind].ap)
            assert score.visible_map == rows[kind].visible_ap
        assert result.split(protocol, "val", "held-out pair").rows == 0
        assert np.isnan(result.split(protocol, "val", "held-out pair").map)
        assert result.split(protocol, "all") == plain.split(protocol, "all")


def test_a_bad_file_of_kinds_is_refused(benchmark: Benchmark) -> None:
    path = benchmark.folder / "kinds.json"
    path.write_text(json.dumps({"a thing; in t0": "noun"}))
    with pytest.raises(DataError, match=r"all.csv:2: .*kinds.json names no kind for 'a thing; in"):
        read_rows(benchmark.folder)
    path.write_text("[]")
    with pytest.raises(DataError, match=r"kinds.json: expected a JSON object of query and kind"):
        read_rows(benchmark.folder)
