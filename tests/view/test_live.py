"""The live page: what is typed colours the right voxels, in time, and nothing typed breaks it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from chromium_kit import Tab, find_chromium, open_tab
from live_kit import OCCUPIED, label_source, untrained_run

pytest.importorskip("viser", reason="the page needs viser")

from langocc.errors import ConfigError
from langocc.evaluate.predictions import Prediction
from langocc.geometry.grid import VoxelGrid
from langocc.queries import MOST_CHARACTERS
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES, OCC3D_PALETTE
from langocc.view.difference import COLOURS
from langocc.view.faces import look_at
from langocc.view.live import LiveView, check_address
from langocc.view.live_cameras import first_voxels
from langocc.view.live_colours import COLD, QUERY_COLOURS, paint
from langocc.view.live_frame import exposed, label_of, prepare
from langocc.view.live_text import EMPTY, MOST_QUERIES, read_queries
from langocc.view.source import Source

VEGETATION, CAR = OCC3D_CLASSES.index("vegetation"), OCC3D_CLASSES.index("car")


@pytest.fixture(scope="module")
def source(small_city: Path) -> Source:
    return label_source(small_city)


@pytest.fixture(scope="module")
def view(source: Source) -> Iterator[LiveView]:
    view = LiveView(source, 0.1, "127.0.0.1", 0)
    yield view
    view.stop()


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> None:
    if "view" in request.fixturenames:
        controls = request.getfixturevalue("view").controls
        controls.text, controls.frame, controls.density = "", 0, 0.1
        controls.heat, controls.voxels = 0.35, "prediction"


def ids_of(view: LiveView) -> np.ndarray:
    return prepare(
        view.source.predictor.field(view.source.dataset, view.source.frames[0].token),
        view.source.classes,
        0.1,
    ).cubes.class_ids


def test_the_page_is_served_on_loopback(view: LiveView) -> None:
    with urlopen(f"http://127.0.0.1:{view.port}", timeout=10) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read().lower()


def test_classes_first_then_heat_where_the_thing_is(view: LiveView) -> None:
    view.refresh()
    ids = ids_of(view)
    np.testing.assert_array_equal(view.colours, np.array(OCC3D_PALETTE, np.uint8)[ids])
    answer = view.ask("tree")
    is_hot = (view.colours != COLD).any(axis=1)
    np.testing.assert_array_equal(is_hot, ids == VEGETATION)
    assert answer.painted.hot == (is_hot.sum(),)
    view.ask("")
    np.testing.assert_array_equal(view.colours, np.array(OCC3D_PALETTE, np.uint8)[ids])


def test_several_queries_have_a_colour_each(view: LiveView) -> None:
    ids = ids_of(view)
    answer = view.ask("car, tree")
    assert answer.texts == ("car", "tree")
    for class_id, colour in zip((CAR, VEGETATION), QUERY_COLOURS, strict=False):
        there = view.colours[ids == class_id].astype(int)
        assert len(there)
        assert np.abs(there - colour).sum(axis=1).max() < 60


def test_an_answer_takes_less_than_a_tenth_of_a_second(view: LiveView) -> None:
    times = [view.ask(text).answer_s for text in ("red car", "oak tree", "tall house", "hedge")]
    assert len(view.colours) > 5_000
    assert 0 < min(times) < 0.1


def test_heat_and_density_and_time(view: LiveView) -> None:
    view.ask("tree")
    (warm,) = view.refresh().painted.hot
    view.controls.heat = 0.0
    assert view.refresh().painted.hot[0] >= warm
    count = len(view.colours)
    view.controls.density = OCCUPIED + 0.05  # the upper half of the grid
    view.refresh()
    assert 0 < len(view.colours) < count / 2
    view.controls.density, view.controls.frame = 0.1, 2
    view.refresh()
    assert view._shown == (view.source.frames[2].token, 0.1)
    view.controls.frame = 0
    view.refresh()
    assert len(view.colours) == count


def test_truth_takes_the_place_of_the_prediction(view: LiveView) -> None:
    view.refresh()
    assert (view._scene._cubes["/predicted"].visible, view._scene._cubes["/true"].visible) == (1, 0)
    view.controls.voxels = "ground truth"
    view.refresh()
    assert (view._scene._cubes["/predicted"].visible, view._scene._cubes["/true"].visible) == (0, 1)


def test_the_difference_is_counted_where_a_camera_sees(source: Source, monkeypatch) -> None:
    """A prediction with its cars called trees, a third of it gone, and a wall in the air."""
    import langocc.view.live as live

    frame = source.frames[0]
    label = label_of(source.dataset, frame)
    wrong = label.semantics.copy()
    wrong[wrong == CAR] = VEGETATION
    wrong[::3] = FREE_ID
    wrong[100, 80:120, 15] = CAR
    monkeypatch.setattr(live, "predict_classes", lambda *_: Prediction(wrong))
    view = LiveView(replace(source, frames=[frame]), 0.1, "127.0.0.1", 0)
    try:
        view.controls.voxels = "difference"
        view.refresh()
        cubes = view._scene._cubes
        shown = {name: handle.visible for name, handle in cubes.items()}
        assert shown == {"/predicted": False, "/true": False, "/difference": True}
        seen = label.mask_camera
        is_true, is_said = label.semantics != FREE_ID, wrong != FREE_ID
        expected = [
            (seen & is_true & (wrong == label.semantics)).sum(),
            (seen & is_true & is_said & (wrong != label.semantics)).sum(),
            (seen & is_true & ~is_said).sum(),
            (seen & ~is_true & is_said).sum(),
        ]
        assert min(expected[:3]) > 0
        assert view._kinds == expected
        assert f"missed: {expected[2]:,} voxels" in view.controls._legend.content
        colours = {tuple(c) for c in view._scene.colours("/difference").tolist()}
        assert colours <= set(COLOURS)
        assert len(colours) >= 3
    finally:
        view.stop()


def test_answers_are_painted_on_the_photographs(view: LiveView) -> None:
    view.refresh()
    ready = view._prepared[view._shown]
    before = {name: handle.image.copy() for name, handle in view._scene._frusta.items()}
    for name, picture in ready.seen.photographs.items():
        np.testing.assert_array_equal(before[name], picture)
    view.ask("tree")
    ids = ids_of(view)
    for name, handle in view._scene._frusta.items():
        voxels = ready.seen.voxels[name].repeat(2, 0).repeat(2, 1)[: len(handle.image)]
        is_tree = np.where(voxels >= 0, ids[voxels] == VEGETATION, False)
        red, blue = (handle.image[..., c].astype(int) for c in (0, 2))
        assert (red - blue)[~is_tree].max(initial=0) < 140
        if is_tree.sum() > 200:
            assert (red - blue)[is_tree].mean() > (red - blue)[~is_tree].mean() + 20, name
    name = list(ready.seen.photographs)[2]
    view.controls.camera = name
    view.ask("tree")
    np.testing.assert_array_equal(view.controls._picture.image, view._scene._frusta[name].image)
    view.ask("")
    np.testing.assert_array_equal(view._scene._frusta[name].image, before[name])


def test_a_pixel_shows_the_first_voxel_of_its_ray() -> None:
    grid = VoxelGrid((0.0, -5.0, -5.0), (20.0, 5.0, 5.0), 0.5)
    eye = look_at((-2.0, 0.0, 0.0), (10.0, 0.0, 0.0), (40, 20), 60.0)
    numbers = np.full(grid.shape, -1, np.int32)
    numbers[20, :, :] = 7  # a wall 12 m away, its left upper part covered by a nearer one
    numbers[8, 10:, 10:] = 3
    seen = first_voxels(eye, numbers, grid)
    assert seen.shape == (10, 20)
    assert (seen[:5, :10] == 3).all()
    assert seen[7, 12] == 7
    assert (first_voxels(eye, np.full_like(numbers, -1), grid) == -1).all()
    back = look_at((-2.0, 0.0, 0.0), (-10.0, 0.0, 0.0), (40, 20), 60.0)
    assert (first_voxels(back, numbers, grid) == -1).all()


@pytest.mark.parametrize(
    "path", ["/../../../../../../etc/hostname", "/%2e%2e/%2e%2e/etc/hostname", "//etc/hostname"]
)
def test_no_file_of_the_machine_is_served(view: LiveView, path: str) -> None:
    secret = Path("/etc/hostname")
    if not secret.is_file():
        pytest.skip("this machine has no /etc/hostname")
    with socket.create_connection(("127.0.0.1", view.port), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert b" 404 " in answer.splitlines()[0]
    assert secret.read_bytes().strip() not in answer


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("  ", EMPTY),
        (", ;\n", EMPTY),
        ("x" * 10_000, f"10,000 characters was cut to {MOST_CHARACTERS}"),
        ("voiture rouge", "knows English only"),
        ("красная машина", "knows English only"),
        ("黄色的起重机", "knows English only"),
        (",".join(f"{n} cars" for n in range(9)), f"9 queries: the first {MOST_QUERIES}"),
    ],
)
def test_hints(view: LiveView, typed: str, said: str) -> None:
    answer = view.ask(typed)
    assert any(said in note for note in answer.notes)
    assert len(answer.texts) <= MOST_QUERIES


def test_the_citys_own_words_need_no_note(view: LiveView) -> None:
    assert view.ask("yellow crane, construction vehicle").notes == ()


def test_typed_markup_stays_text(view: LiveView) -> None:
    view.ask("<img src=x onerror=alert(1)>")
    assert "<img" not in view.controls._legend.content + view.controls._notes.content
    assert "&lt;img" in view.controls._legend.content


def test_a_damaged_image_is_told_on_the_page(source: Source, tmp_path: Path) -> None:
    name, camera = next(iter(source.frames[1].cameras.items()))
    (tmp_path / "cut.jpg").write_bytes(camera.image_path.read_bytes()[:500])
    cameras = {**source.frames[1].cameras, name: replace(camera, image_path=tmp_path / "cut.jpg")}
    frames = [source.frames[0], replace(source.frames[1], cameras=cameras)]
    view = LiveView(replace(source, frames=frames), 0.1, "127.0.0.1", 0)
    try:
        view.controls.frame = 1
        assert "cut.jpg" in view.refresh().notes[0]
        assert "cut.jpg" in view.controls._notes.content
        view.controls.frame = 0
        assert view.ask("tree").painted is not None
    finally:
        view.stop()


def test_addresses_that_cannot_be() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: Address already in use"):
            check_address("127.0.0.1", port)
    with pytest.raises(ConfigError, match="no address of this machine"):
        check_address("no such host", 0)
    with pytest.raises(ConfigError, match="65535"):
        check_address("127.0.0.1", 70000)


def test_only_voxels_with_a_free_side_are_drawn() -> None:
    block = np.zeros((5, 5, 5), bool)
    block[1:4, 1:4, 1:4] = True
    assert exposed(block).sum() == 26
    assert exposed(np.ones((3, 3, 3), bool)).sum() == 26


def test_paint_by_hand() -> None:
    scores = np.array([[0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.0]], np.float32)
    painted = paint(scores, 0.5)
    colours = [tuple(c) for c in painted.colours.tolist()]
    assert colours[0] == colours[2] == COLD
    assert colours[3] == QUERY_COLOURS[0]
    assert colours[1] == QUERY_COLOURS[1]
    assert painted.hot == (1, 1)


def test_queries_are_read_once_each() -> None:
    assert read_queries("a tree,  a   tree ; bus\nhedge").texts == ("a tree", "bus", "hedge")


def test_the_verb_prints_its_address_and_ends_with_ctrl_c(small_city: Path, tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run")
    command = [sys.executable, "-m", "langocc", "view", run, "--root", small_city, "--port", "0"]
    options = ["--frames", "1", "--threshold", "5"]  # an empty field is no error
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*map(str, command), *options], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        address = next(line for line in process.stdout if line.startswith("viewer: ")).split()[1]
        assert address.startswith("http://127.0.0.1:")
        with urlopen(address, timeout=10) as answer:
            assert answer.status == 200
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert rest == "viewer: ended\n"
    assert process.returncode == 0


@pytest.mark.browser
@pytest.mark.slow
def test_typing_in_a_browser_colours_the_page(view: LiveView, tmp_path: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    view.ask("")
    before = view.colours.copy()
    with open_tab(chromium, f"http://127.0.0.1:{view.port}", tmp_path / "profile", (720, 400)) as t:
        t.wait_for("document.body.innerText.includes('visible voxels')", 90)
        t.run("document.querySelector('input.mantine-TextInput-input:not([value^=ws])').focus()")
        first = settled(t)
        t.type("vegetation")
        t.wait_for("document.body.innerText.includes('similarity')", 90)
        second = settled(t)
    assert (view.colours != before).any()
    assert first.std() > 5
    changed = (np.abs(first.astype(int) - second) > 20).any(axis=-1)
    assert changed.mean() > 0.05


def settled(tab: Tab, seconds: float = 240) -> np.ndarray:
    """The voxels' picture once two in a row, a second apart, are the same."""
    end, last = time.monotonic() + seconds, stage(tab)
    while time.monotonic() < end:
        time.sleep(1)
        now = stage(tab)
        if (now == last).all():
            return now
        last = now
    return last


def stage(tab: Tab) -> np.ndarray:
    """What is left of the panel, in which a caret blinks."""
    picture = np.asarray(tab.picture())
    return picture[:, : picture.shape[1] // 2]
