"""Terms that a run may add: each reaches the loss, and says what it lacks."""

import json
from dataclasses import replace

import pytest
import torch
from toy_street import CONFIG, ToyStreet, losses_of, new_training

from langocc.batch import Batch
from langocc.errors import ConfigError
from langocc.geometry.rays import RayBatch
from langocc.render.objective import LossConfig
from langocc.teachers.embeddings import EmbeddedVocabulary, save_embeddings
from langocc.teachers.reducer import Reducer, save_reducer
from langocc.teachers.text import Vocabulary
from langocc.train.movable import MovablePrompts, weighed
from langocc.train.step import share_that_sees

SHORT = replace(CONFIG, steps=2)


def with_loss(**values):
    return replace(SHORT, loss=replace(CONFIG.loss, **values))


def vocabulary_file(folder, teacher="toy"):
    """What is ahead in the toy street is a car, what is behind is a wall."""
    words = Vocabulary("toy", ("car", "wall"), (4, 15))
    path = folder / "words.safetensors"
    save_embeddings(EmbeddedVocabulary(words, torch.eye(6)[:2], teacher), path)
    return path


def measured(batch: Batch) -> Batch:
    """With LiDAR depth: 10 m everywhere. The toy's depth bins start at 1 m and are 4 m wide."""
    return replace(batch, lidar_depth_m=torch.full((1, 2, 2, 4), 10.0))


class MeasuredStreet(ToyStreet):
    def __getitem__(self, number):
        batch = measured(super().__getitem__(number))
        times = torch.arange(64)[None] % 2 == 0
        return replace(batch, rays=replace(batch.rays, is_other_time=times))


def train(folder, config):
    training = new_training(folder, config)
    training.samples = MeasuredStreet()
    training.fit(lambda _: None)
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def test_the_depth_term_pulls_the_depth_net_to_the_lidar(tmp_path):
    sample = replace(CONFIG.sample, lidar_depth=True)
    loss = replace(CONFIG.loss, depth_weight=1.0, feature_weight=0.0)
    config = replace(CONFIG, sample=sample, loss=loss, steps=40)
    lines = train(tmp_path, config)
    assert lines[0]["total"] == pytest.approx(lines[0]["depth"])
    assert lines[-1]["depth"] < 0.85 * lines[0]["depth"]  # dropout keeps it noisy


def test_depth_needs_samples_that_carry_it():
    with pytest.raises(ConfigError, match=r"loss\.depth-weight.*--sample\.lidar-depth"):
        with_loss(depth_weight=0.05)


def test_feature_variation_joins_the_total(tmp_path):
    lines = train(tmp_path, with_loss(feature_variation_weight=0.5, density_variation_weight=2.0))
    for line in lines:
        parts = line["feature"] + 0.5 * line["feature_variation"] + 2 * line["density_variation"]
        assert line["feature_variation"] > 0
        assert line["total"] == pytest.approx(parts, rel=1e-5)


def test_distortion_counts_from_its_step_on(tmp_path):
    config = replace(with_loss(distortion_weight=0.5, distortion_from=2), steps=4, log_steps=1)
    lines = train(tmp_path, config)
    assert ["distortion" in line for line in lines] == [False, False, True, True]
    for line in lines:
        parts = line["feature"] + 0.5 * line.get("distortion", 0.0)
        assert line["total"] == pytest.approx(parts, rel=1e-5)


def test_an_empty_field_is_told_from_a_learned_one(tmp_path):
    """Its loss is 0, because rays without any weight do not count (published)."""
    head = replace(CONFIG.model.head, density_bias=-40.0)
    empty = replace(SHORT, model=replace(CONFIG.model, head=head), log_steps=1)
    assert [(line["feature"], line["seen"]) for line in train(tmp_path / "empty", empty)] == [
        (0.0, 0.0),
        (0.0, 0.0),
    ]
    for line in train(tmp_path / "full", replace(SHORT, log_steps=1)):
        assert line["feature"] > 0
        assert line["seen"] > 0.9


@pytest.mark.parametrize(("opacity", "share"), [([1.0, 0.0, 0.0, 0.5], 1.0), ([0.0] * 4, 0.0)])
def test_sky_may_see_nothing(opacity, share):
    is_sky = torch.tensor([[False, True, True, False]])
    assert float(share_that_sees(torch.tensor([opacity]), is_sky)) == share
    assert float(share_that_sees(torch.tensor([opacity]), None)) == share / 2


def test_dropped_rays_do_not_count(tmp_path):
    words = vocabulary_file(tmp_path)
    train(tmp_path / "all", SHORT)
    train(tmp_path / "dropped", replace(with_loss(movable="drop"), vocabulary=words))
    heavy = replace(with_loss(movable_extra=1.0, movable="keep"), vocabulary=words)
    train(tmp_path / "heavy", heavy)
    every, dropped, more = (losses_of(tmp_path / n)[0] for n in ("all", "dropped", "heavy"))
    # Half of the rays see cars, half of these at another time; cars count twice in `heavy`.
    share_of_cars = more / every - 1
    assert 0.3 < share_of_cars < 0.8
    assert 1 - dropped / every == pytest.approx(share_of_cars / 2, abs=0.08)


def test_the_text_term_joins_the_total_and_falls(tmp_path):
    words = vocabulary_file(tmp_path)
    config = with_loss(text_weight=0.5, text_temperature=0.2)
    lines = train(tmp_path / "run", replace(config, vocabulary=words, steps=40))
    for line in lines:
        assert line["total"] == pytest.approx(line["feature"] + 0.5 * line["text"], rel=1e-5)
    assert 0 < lines[-1]["text"] < 0.7 * lines[0]["text"]


class WideStreet(ToyStreet):
    """Its teacher has 12 channels."""

    def __getitem__(self, number):
        batch = super().__getitem__(number)
        wide = torch.nn.functional.pad(batch.rays.features, (0, 6))
        return replace(batch, rays=replace(batch.rays, features=wide))


def test_prompts_go_through_the_reducer_as_features_do(tmp_path):
    reducer, words = tmp_path / "reducer.safetensors", tmp_path / "words.safetensors"
    save_reducer(Reducer(12, 6), reducer, teacher="toy")
    vocabulary = Vocabulary("toy", ("car", "wall"), (4, 15))
    save_embeddings(EmbeddedVocabulary(vocabulary, torch.eye(12)[:2], "toy"), words)
    head = replace(CONFIG.model.head, reduced_from=12)
    config = replace(with_loss(text_weight=1.0), model=replace(CONFIG.model, head=head))
    training = new_training(tmp_path, replace(config, reducer=reducer, vocabulary=words))
    training.samples = WideStreet()
    training.fit(lambda _: None)
    for line in map(json.loads, (tmp_path / "metrics.jsonl").open()):
        assert line["total"] == pytest.approx(line["feature"] + line["text"], rel=1e-5)
        assert line["text"] > 0


def test_the_text_term_needs_prompts_and_a_temperature(tmp_path):
    with pytest.raises(ConfigError, match=r"loss\.text-weight: expected --vocabulary"):
        new_training(tmp_path, with_loss(text_weight=0.1))
    with pytest.raises(ConfigError, match=r"loss\.text-temperature: expected more than 0, found 0"):
        with_loss(text_temperature=0.0)


def test_weights_of_movable_rays_by_hand():
    features = torch.eye(2)[[0, 0, 1, 1]][None]
    rays = RayBatch(
        torch.zeros(1, 4, 3),
        torch.zeros(1, 4, 3),
        features,
        is_sky=torch.tensor([[False, False, False, False]]),
        weights=torch.tensor([[0.5, 0.5, 0.5, 0.5]]),
        is_other_time=torch.tensor([[True, False, True, False]]),
    )
    prompts = MovablePrompts(torch.eye(2), torch.tensor([True, False]))
    config = LossConfig(movable="drop", movable_extra=1.0)
    assert weighed(rays, prompts, config).weights.tolist() == [[0.0, 1.0, 0.5, 0.5]]
    sky = replace(rays, features=torch.zeros(1, 4, 2), is_sky=torch.ones(1, 4, dtype=torch.bool))
    assert weighed(sky, prompts, config).weights.tolist() == [[0.5, 0.5, 0.5, 0.5]]
    with pytest.raises(ValueError, match="is_other_time"):
        weighed(replace(rays, is_other_time=None), prompts, config)


def test_a_vocabulary_is_needed_and_must_be_of_the_same_teacher(tmp_path):
    with pytest.raises(ConfigError, match=r"expected --vocabulary"):
        new_training(tmp_path, with_loss(movable="drop"))
    other = replace(with_loss(movable="drop"), vocabulary=vocabulary_file(tmp_path, "another"))
    with pytest.raises(ConfigError, match=r"teacher 'toy', found 'another'"):
        new_training(tmp_path, other)


def test_unknown_movable_classes_are_named():
    with pytest.raises(ConfigError, match=r"movable-classes.*'lorry'"):
        LossConfig(movable_classes=("car", "lorry"))
