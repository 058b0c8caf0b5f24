"""Films have a picture for every frame, go on where they stopped, and refuse what they cannot."""

import sys
from pathlib import Path

import numpy as np
import pytest
from live_kit import untrained_run
from PIL import Image

from langocc import cli
from langocc.errors import ConfigError
from langocc.scenes.nuscenes import load
from langocc.scenes.occ3d import OCC3D_PALETTE
from langocc.view import film
from langocc.view.film import check_film, write_film


def coloured(folder: Path, colours: list[tuple[int, int, int]]) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(colours))]
    for path, colour in zip(paths, colours, strict=True):
        Image.new("RGB", (64, 48), colour).save(path)
    return paths


def test_a_gif_has_every_picture(tmp_path: Path) -> None:
    pictures = coloured(tmp_path, [(10 * i, 10 * i, 10 * i) for i in range(5)])
    write_film(tmp_path / "film.gif", pictures, 4.0)
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"]) == (5, (64, 48), 250)
    assert not list(tmp_path.glob(".*"))


def test_a_rare_class_keeps_its_colour(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 90, (96, 96, 3), dtype=np.uint8)
    noise[:4, :4] = OCC3D_PALETTE[3]
    Image.fromarray(noise).save(tmp_path / "0.png")
    write_film(tmp_path / "film.gif", [tmp_path / "0.png"], 4.0)
    with Image.open(tmp_path / "film.gif") as gif:
        pixels = np.asarray(gif.convert("RGB"))
    assert np.abs(pixels[:3, :3].astype(int) - OCC3D_PALETTE[3]).max() <= 2


def test_an_mp4_has_every_picture(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    pictures = coloured(tmp_path, [(250, 0, 0), (0, 250, 0), (0, 0, 250)])
    write_film(tmp_path / "film.mp4", pictures, 4.0)
    reader = ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    assert next(reader)["size"] == (64, 48)
    means = [np.frombuffer(data, np.uint8).reshape(-1, 3).mean(axis=0) for data in reader]
    assert [int(mean.argmax()) for mean in means] == [0, 1, 2]


def test_what_cannot_be_written_is_said_first(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ConfigError, match=r"\.gif or \.mp4"):
        check_film(tmp_path / "film.avi")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as if it were not installed
    with pytest.raises(ConfigError, match="imageio-ffmpeg"):
        check_film(tmp_path / "film.mp4")


def test_a_film_of_a_scene_goes_on(small_city: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    run, out = untrained_run(tmp_path / "run"), tmp_path / "film.gif"
    dataset = load(small_city)
    scene = dataset.splits["val"][0]
    line = ["render", run, "--root", small_city, "--scene", scene, "--out", out, "--width", "400"]
    words = [str(word) for word in line]
    drawn, draw = [], film.film_picture

    def stop_at_third(frame, *rest):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(frame.token)
        return draw(frame, *rest)

    monkeypatch.setattr(film, "film_picture", stop_at_third)
    assert cli.run(words) == 130
    assert not out.exists()
    monkeypatch.setattr(film, "film_picture", lambda f, *r: (drawn.append(f.token), draw(f, *r))[1])
    assert cli.run(words) == 0
    assert drawn == [frame.token for frame in dataset.scenes[scene]]  # each once
    with Image.open(out) as gif:
        assert gif.width == 400
        assert gif.n_frames == 4
        height = gif.height
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.gif", "run"]
    assert cli.run([*words, "--difference"]) == 0
    with Image.open(out) as gif:
        assert gif.width == 400
        assert gif.height > height  # a row more, beside larger cameras
    words[words.index(scene)] = "nowhere"
    assert cli.run(words) == 1
    assert "no scene 'nowhere'; there are" in capfd.readouterr().err
