"""The verbs prepare, extract and features on the real key frame: files, texts, exit codes."""

import numpy as np
import pytest
from PIL import Image
from small_drive import ColourTeacher

from langocc.cli import run
from langocc.features.sample import SampleConfig, load_sample
from langocc.features.store import open_store
from langocc.scenes.nuscenes import load


class SeesEverything(ColourTeacher):
    """Knows every prompt."""

    def text(self, prompts, *, templates=True):
        words = [p if p in ("sky", "wall") else "road" for p in prompts]
        return super().text(words)


@pytest.fixture
def taught(monkeypatch):
    monkeypatch.setattr("langocc.teachers.load.load_teacher", lambda *_, **__: SeesEverything())


def test_one_real_frame_goes_all_the_way(real_root, tmp_path, taught, capsys):
    """No neighbours: the key frame stands in for all 25 frames."""
    work = ["--work", str(tmp_path)]
    root = str(real_root)
    picture = tmp_path / "overlay.png"
    assert run(["prepare", root, *work, "--overlay", str(picture)]) == 0
    assert "1 key frames, 19,326 rays" in capsys.readouterr().out
    with Image.open(picture) as image:
        assert image.size == (1920, 720)
    assert run(["extract", root, *work, "--codec", "fp16"]) == 0
    assert "features of 1 scenes written" in capsys.readouterr().out
    folder = tmp_path / "features" / "colour-1-lidar_pixels-fp16"
    assert run(["features", "info", str(folder)]) == 0
    assert "colour-1" in capsys.readouterr().out
    assert run(["features", "verify", str(folder)]) == 0
    words = ["--store", str(folder), "--vocabulary", "v2", "--channels", "8"]
    assert run(["reduce", str(tmp_path / "u"), *words, "--method", "features"]) == 0
    assert "rays answer with another class" in capsys.readouterr().out
    small = str(tmp_path / "small")
    assert (
        run(["features", "convert", str(folder), small, "--codec", "pca-int8", "--components", "8"])
        == 0
    )
    dataset = load(real_root, work=tmp_path)
    frame = next(dataset.frames())
    for store in (open_store(folder), open_store(tmp_path / "small")):
        batch = load_sample(dataset, store, frame.token, SampleConfig(), np.random.default_rng(0))
        assert batch.images.shape == (1, 3, 6, 3, 256, 704)
        assert batch.rays.features.shape == (1, 8192, 32)
        # rays start in the cameras: within 2.5 m of the rear axle, 1 to 2.2 m up
        assert batch.rays.origins.abs().max() < 2.5
        assert batch.rays.origins[..., 2].min() > 1.0


def test_rays_without_a_lidar_and_with_sky(real_root, tmp_path, taught, capsys):
    work = ["--work", str(tmp_path)]
    options = ["--rays", "random", "--rays-per-frame", "3000"]
    assert run(["prepare", str(real_root), *work, *options]) == 0
    assert run(["extract", str(real_root), *work, "--teacher", "city-clip"]) == 0
    folder = tmp_path / "features" / "colour-1-random-int8"
    record = open_store(folder).record
    assert record.sky == "nearest prompt of vocabulary city"
    assert record.rays["rays_per_frame"] == 3000
    capsys.readouterr()
    # the choice is recorded: other settings do not mix in
    assert run(["prepare", str(real_root), *work, "--rays", "random"]) == 1
    assert "rays.rays_per_frame: 18000, not 3000" in capsys.readouterr().err


def test_errors_name_what_to_mend(real_root, tmp_path, capsys):
    work = ["--work", str(tmp_path)]
    assert run(["extract", str(real_root), *work]) == 1
    assert "`langocc prepare` makes one" in capsys.readouterr().err
    assert run(["prepare", str(tmp_path / "nowhere")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert run(["features", "verify", str(tmp_path)]) == 1
    assert "no store there" in capsys.readouterr().err
    assert run(["prepare", str(real_root), *work]) == 0
    assert run(["extract", str(real_root), *work, "--shard", "3/3"]) == 1
    assert "0 <= i < n" in capsys.readouterr().err
    store = tmp_path / "rays" / "lidar_pixels"
    assert run(["features", "convert", str(store), str(store)]) == 1
    assert "another folder" in capsys.readouterr().err
    shard = next(store.glob("*.shard"))
    shard.write_bytes(shard.read_bytes()[:1000])
    assert run(["features", "verify", str(store)]) == 1
    assert "1 of 1 shards are damaged" in capsys.readouterr().err
    assert run(["features", "verify", str(store), "--delete"]) == 1
    assert run(["prepare", str(real_root), *work]) == 0  # written again
    assert run(["features", "verify", str(store)]) == 0


@pytest.mark.parametrize(
    "arguments", [["extract"], ["prepare", "x", "--rays", "sonar"], ["features"]]
)
def test_wrong_usage_exits_with_2(arguments):
    with pytest.raises(SystemExit) as exit_info:
        run(arguments)
    assert exit_info.value.code == 2


@pytest.mark.parametrize("verb", ["prepare", "extract"])
def test_help_explains_units(verb, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run([verb, "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert "metres" in text or "pixels" in text
