"""Folders that hand on a model: there and back, the card, and damage."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import langocc
from langocc import cli
from langocc.asking import Model
from langocc.deploy.pretrained import resolve
from langocc.errors import ConfigError, DataError
from langocc.predictor import Predictor
from langocc.teachers.load import load_teacher
from langocc.train.pretrained import WEIGHTS, read_pretrained, write_pretrained
from view.live_kit import untrained_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    facts = {"teacher": load_teacher("city-clip").id, "initial": "scratch", "preset": "tiny"}
    run = untrained_run(folder, root="/somebody/private/city", **facts)
    (run / "scores.json").write_text(json.dumps({"model": {"iou": 12.345, "queries": 3}}))
    return run


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    langocc.save_pretrained(Predictor.load(run), tmp_path / "model", {"iou": 12.345})
    return tmp_path / "model"


def test_there_and_back(run: Path, folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    ours, back = Predictor.load(run), langocc.from_pretrained(folder)
    assert isinstance(back, Model)
    assert back.predictor.config == ours.config
    weights = back.predictor.model.state_dict()
    for name, tensor in ours.model.state_dict().items():
        assert torch.equal(weights[name], tensor), name
    assert set(load_file(folder / "model.safetensors")) == set(weights)  # the network's own names


def test_load_and_predict_read_such_folders(folder: Path) -> None:
    assert Predictor.load(folder).threshold == langocc.load(folder).predictor.threshold


def test_a_folder_may_be_handed_on_again(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    langocc.save_pretrained(langocc.from_pretrained(folder), again)
    langocc.save_pretrained(langocc.from_pretrained(folder), again)  # over itself
    one, two = (json.loads((p / "config.json").read_text()) for p in (folder, again))
    assert one["config"] == two["config"]
    assert one["sha256"] == two["sha256"]


def test_the_card_says_where_a_model_comes_from(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "| Initialisation | scratch |" in card
    assert f"| Teacher | {load_teacher('city-clip').id} |" in card
    assert "| iou | iou | 12.35 |" in card or "| iou | iou | 12.34 |" in card
    assert "| Trained on | city: ? frames, ? scenes |" in card
    assert "/somebody/private" not in card + (folder / "config.json").read_text()


@pytest.mark.parametrize(
    ("loss", "taught_by"),
    [
        ({}, "features alone"),
        ({"depth_weight": 0.1}, "features and ranges that a LiDAR measured"),
        ({"text_weight": 0.1}, "features and what a vocabulary calls them"),
    ],
)
def test_the_card_says_what_taught_a_model(loss, taught_by, run: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(run)
    sample = replace(predictor.config.sample, lidar_depth=True)
    changed = replace(predictor.config.loss, **loss)
    config = replace(predictor.config, sample=sample, loss=changed)
    langocc.save_pretrained(replace(predictor, config=config), tmp_path / "model")
    assert f"| Taught by | {taught_by} |" in (tmp_path / "model" / "README.md").read_text()


def test_a_card_without_numbers_says_so(run: Path, tmp_path: Path) -> None:
    langocc.save_pretrained(Predictor.load(run), tmp_path / "model")
    assert "None were measured" in (tmp_path / "model" / "README.md").read_text()


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "model"
    assert cli.run(["export", str(run), str(out), "--format", "folder"]) == 0
    assert f"numbers from {run / 'scores.json'}" in capsys.readouterr().out.replace("\n", "")
    assert "| model | queries | 3 |" in (out / "README.md").read_text()
    (tmp_path / "bad.json").write_text("{")
    bad = ["--scores", str(tmp_path / "bad.json")]
    assert cli.run(["export", str(run), str(out), "--format", "folder", *bad]) == 1
    assert "bad.json: not JSON" in capsys.readouterr().err


def test_a_folder_keeps_another_threshold(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    line = ["export", str(run), str(out), "--format", "folder", "--threshold", "1.5"]
    assert cli.run(line) == 0
    assert Predictor.load(run).threshold != Predictor.load(out).threshold == 1.5


def test_a_folder_of_something_else_is_not_written_into(run: Path) -> None:
    with pytest.raises(ConfigError, match="expected an empty folder, found checkpoints"):
        langocc.save_pretrained(Predictor.load(run), run)


def test_damage(folder: Path) -> None:
    config, weights = folder / "config.json", folder / "model.safetensors"
    record, whole = json.loads(config.read_text()), weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"model\.safetensors: not a whole safetensors file"):
        Predictor.load(folder)
    tensors = load_file_of(whole, folder)
    tensors["head.last.bias"] += 1
    save_file(tensors, weights)
    with pytest.raises(DataError, match=r"model\.safetensors: damaged: its checksum differs"):
        Predictor.load(folder)
    weights.write_bytes(whole)
    config.write_text(json.dumps(record | {"model_type": "bert"}))
    with pytest.raises(DataError, match=r"config\.json: expected model_type 'langocc'"):
        Predictor.load(folder)
    config.write_text(json.dumps({k: v for k, v in record.items() if k != "facts"}))
    with pytest.raises(DataError, match=r"config\.json: expected entries facts"):
        Predictor.load(folder)
    config.write_text("{")
    with pytest.raises(DataError, match=r"config\.json: not JSON"):
        Predictor.load(folder)
    config.unlink()
    with pytest.raises(DataError, match=r"config\.json: no such file"):
        Predictor.load(folder)


def load_file_of(content: bytes, folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "copy.safetensors"
    path.write_bytes(content)
    return load_file(path)


def test_names_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def snapshot(name: str, allow_patterns: list[str]) -> str:
        asked.append(name)
        if name == "nobody/nothing":
            raise LocalEntryNotFoundError("no connection")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert resolve("somebody/langocc-tiny") == tmp_path
    assert asked == ["somebody/langocc-tiny"]
    with pytest.raises(DataError, match="nobody/nothing: no such folder, and not downloaded"):
        resolve("nobody/nothing")
    for name in ("nothing", "/no/where", "a/b/c", "../up"):
        with pytest.raises(DataError, match="no name of the form owner/model"):
            resolve(name)


def test_a_folder_becomes_a_published_checkpoint(folder: Path, tmp_path: Path) -> None:
    """Its weights stand for themselves and for their average."""
    published, averaged = tmp_path / "published.pth", tmp_path / "averaged.pth"
    assert cli.run(["convert", str(folder), str(published), "--average", str(averaged)]) == 0
    one, two = (torch.load(p, weights_only=True)["state_dict"] for p in (published, averaged))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_half_precision_halves_kernels_and_keeps_vectors(run: Path, folder: Path, tmp_path: Path):
    ours = Predictor.load(run)
    langocc.save_pretrained(ours, tmp_path / "half", half=True)
    sizes = [(p / "model.safetensors").stat().st_size for p in (folder, tmp_path / "half")]
    assert sizes[1] < 0.52 * sizes[0]
    back = Predictor.load(tmp_path / "half").model.state_dict()
    for name, tensor in ours.model.state_dict().items():
        assert back[name].dtype == tensor.dtype, name
        if tensor.dim() < 2:
            assert torch.equal(back[name], tensor), name
        else:  # eleven bits; what is below the smallest normal half keeps fewer
            torch.testing.assert_close(back[name], tensor, rtol=5e-4, atol=3e-8)


def test_what_does_not_fit_a_half_stays_whole(tmp_path: Path) -> None:
    weights = {"kernel": torch.full((2, 2), 1e5), "count": torch.ones(2, 2, dtype=torch.int64)}
    record = {"config": {}, "facts": {}, "step": 1}
    write_pretrained(tmp_path, weights, record, "", half=True)
    back = read_pretrained(tmp_path).model
    assert torch.equal(back["kernel"], weights["kernel"])
    assert back["count"].dtype == torch.int64


def test_tiny_values_and_range_statistics_stay_whole(tmp_path: Path) -> None:
    weights = {
        "faint": torch.full((3, 3), 1.234e-6),  # a half keeps two digits of it
        "mixed": torch.tensor([[1.0, 1.234e-6]]),  # lost beside a one
        "norm.running_var": torch.tensor([3e7, 1e-12]),
        "not": torch.full((2, 2), float("nan")),
    }
    write_pretrained(tmp_path, weights, {"config": {}, "facts": {}, "step": 1}, "", half=True)
    kept = {name: tensor.dtype for name, tensor in load_file(tmp_path / WEIGHTS).items()}
    assert [name for name, dtype in kept.items() if dtype == torch.float16] == ["mixed"]
    back = read_pretrained(tmp_path).model
    assert torch.equal(back["faint"], weights["faint"])
    assert torch.equal(back["norm.running_var"], weights["norm.running_var"])


def test_the_card_says_licence_and_precision(run: Path, tmp_path: Path) -> None:
    line = ["export", str(run), str(tmp_path / "model"), "--format", "folder", "--half"]
    assert cli.run([*line, "--license", "apache-2.0"]) == 0
    card = (tmp_path / "model" / "README.md").read_text()
    assert "license: apache-2.0" in card.splitlines()
    assert "Licence: apache-2.0." in card
    assert "| Stored as | float16, vectors float32 |" in card
