"""Meshes read back as cubes; a page of one file holds its answers and stays small."""

import base64
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trimesh
from chromium_kit import find_chromium, open_tab
from live_kit import label_source

from langocc.errors import ConfigError
from langocc.evaluate.labels import read_label
from langocc.evaluate.projected import lidar_points_ego
from langocc.geometry.grid import VoxelGrid
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES
from langocc.view import export_page
from langocc.view.difference import COLOURS, SAME_FREE, difference, difference_colours
from langocc.view.export_page import MOST_BYTES, QUERIES, Exported, export_html, write_export
from langocc.view.live_frame import exposed
from langocc.view.voxel_faces import open_faces, write_ply

GRID = VoxelGrid((-1.0, 0.0, 2.0), (1.0, 1.5, 3.5), 0.5)
VEGETATION = OCC3D_CLASSES.index("vegetation")


@pytest.fixture(scope="module")
def source(small_city: Path):
    return label_source(small_city)


@pytest.fixture(scope="module")
def shown(source) -> Exported:
    frame = source.frames[0]
    field = source.predictor.field(source.dataset, frame.token)
    truth = read_label(source.dataset.folders.occ3d_label(frame)).semantics
    kinds = difference(np.where(truth == VEGETATION, np.uint8(FREE_ID), truth), truth)
    return Exported(frame, field, truth, 0.1, ("tree",), {"fact": "<b>bold</b>"}, kinds)


@pytest.fixture(scope="module")
def page(source, shown) -> str:
    return export_html(shown, source.speaker, source.classes).decode()


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page)[1])


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8)


def test_open_faces_by_hand() -> None:
    pair = np.zeros((3, 3, 3), bool)
    pair[0:2, 1, 1] = True
    bits = open_faces(pair)
    assert bits[0, 1, 1] == 0b111110  # its neighbour along +x closes the first face
    assert bits[1, 1, 1] == 0b111101
    assert bits.astype(bool).sum() == 2
    block = np.ones((4, 4, 4), bool)
    np.testing.assert_array_equal(open_faces(block) > 0, exposed(block))


def test_a_mesh_reads_back(tmp_path: Path) -> None:
    occupied = np.zeros(GRID.shape, bool)
    occupied[0, 0, 0] = occupied[2:4, 1, 1] = True
    colours = np.zeros((*GRID.shape, 3), np.uint8)
    colours[0, 0, 0], colours[2:4] = (255, 0, 0), (0, 9, 255)
    path = tmp_path / "deep" / "voxels.ply"
    write_ply(path, occupied, colours, GRID)
    assert path.read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    mesh = trimesh.load(path, process=False)
    assert len(mesh.faces) == 2 * (6 + 10)
    np.testing.assert_allclose(mesh.bounds, [[-1, 0, 2], [1, 1, 3]])
    assert mesh.area == pytest.approx(16 * GRID.cell_m**2)
    assert mesh.volume == pytest.approx(3 * GRID.cell_m**3)  # negative if normals pointed inwards
    is_red = (mesh.visual.vertex_colors[:, :3] == (255, 0, 0)).all(axis=1)
    assert is_red.sum() == 24
    assert mesh.vertices[is_red].max(axis=0).tolist() == [-0.5, 0.5, 2.5]


def test_no_voxels_are_a_mesh_without_faces(tmp_path: Path) -> None:
    write_ply(
        tmp_path / "a.ply", np.zeros(GRID.shape, bool), np.zeros((*GRID.shape, 3), np.uint8), GRID
    )
    assert b"element face 0" in (tmp_path / "a.ply").read_bytes()


def test_a_page_holds_everything(page: str, shown: Exported) -> None:
    assert len(page.encode()) <= MOST_BYTES
    assert not re.search(r"""(src|href)=["']?(https?:|//|\.|/)""", page)
    assert "&lt;b&gt;bold" in page
    assert "free text needs the live page" in page
    data = data_of(page)
    assert len(data["queries"]) == len(QUERIES) + 1 >= 20
    assert len(data["cameras"]) == len(shown.frame.cameras)
    rows = unpacked(data["layers"]["predicted"]["voxels"]).reshape(-1, 5)
    x, y, z, faces, ids = rows.T
    np.testing.assert_array_equal(shown.truth[x, y, z], ids)  # the field was made of the label
    np.testing.assert_array_equal(open_faces(shown.truth != FREE_ID)[x, y, z], faces)
    tree = data["queries"][0]
    assert tree["text"] == "tree"
    np.testing.assert_array_equal(unpacked(tree["heat"]) > 127, ids == VEGETATION)


def test_without_truth_there_is_one_layer(source, shown: Exported) -> None:
    alone = replace(shown, truth=None, difference=None)
    page = export_html(alone, source.speaker, source.classes).decode()
    assert list(data_of(page)["layers"]) == ["predicted"]


def test_a_page_holds_the_difference(page: str, shown: Exported) -> None:
    layer = data_of(page)["layers"]["difference"]
    x, y, z, _, kinds = unpacked(layer["voxels"]).reshape(-1, 5).T
    np.testing.assert_array_equal(shown.difference[x, y, z], kinds)
    names = {layer["classes"][kind]["name"] for kind in np.unique(kinds)}
    assert names == {"right", "missed"}
    np.testing.assert_array_equal(kinds == 2, shown.truth[x, y, z] == VEGETATION)


def test_a_page_holds_the_lidar(source, page: str, shown: Exported, monkeypatch) -> None:
    lidar = data_of(page)["lidar"]
    steps = np.frombuffer(base64.b64decode(lidar["points"]), "<u2").reshape(-1, 3)
    points = lidar_points_ego(shown.frame)
    inside = points[shown.field.grid.contains(points)]
    assert lidar["count"] == len(steps) == len(inside) > 1000
    np.testing.assert_allclose(steps * lidar["step"] + lidar["lower"], inside, atol=1e-3)
    monkeypatch.setattr(export_page, "MOST_POINTS", 500)
    few = data_of(export_html(shown, source.speaker, source.classes).decode())["lidar"]
    assert 250 < few["count"] <= 500
    blind = replace(shown, frame=replace(shown.frame, lidar=None))
    assert data_of(export_html(blind, source.speaker, source.classes).decode())["lidar"] is None


def test_differences_by_hand() -> None:
    car, tree, free, unknown = 4, 16, FREE_ID, 255
    said = np.array([[[car, car, car, free, free, car]]], np.uint8)
    true = np.array([[[car, tree, free, tree, free, unknown]]], np.uint8)
    kinds = [0, 1, 3, 2, SAME_FREE, SAME_FREE]
    assert difference(said, true).ravel().tolist() == kinds
    seen = np.array([[[True, False, True, False, True, True]]])
    assert difference(said, true, seen).ravel().tolist() == [0, 255, 3, 255, 255, 255]
    colours = [tuple(c) for c in difference_colours(difference(said, true)).reshape(-1, 3).tolist()]
    assert colours == [*(COLOURS[kind] for kind in kinds[:4]), (255, 255, 255), (255, 255, 255)]


def test_a_page_keeps_its_size(source, shown: Exported, tmp_path: Path, monkeypatch) -> None:
    small = len(export_html(shown, source.speaker, source.classes)) - 100_000
    monkeypatch.setattr(export_page, "MOST_BYTES", small)
    path = tmp_path / "page.html"
    write_export(path, shown, source.speaker, source.classes)
    assert path.stat().st_size <= small
    assert data_of(path.read_text())["hidden"] > 0
    monkeypatch.setattr(export_page, "MOST_BYTES", 50_000)
    with pytest.raises(ConfigError, match="fewer queries"):
        write_export(tmp_path / "none.html", shown, source.speaker, source.classes)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_markup_in_a_query_stays_text(source, shown: Exported) -> None:
    wild = "</script><script>alert(1)</script>"
    page = export_html(replace(shown, queries=(wild,)), source.speaker, source.classes).decode()
    assert wild not in page
    assert data_of(page)["queries"][0]["text"] == wild


@pytest.mark.browser
def test_in_a_browser_queries_are_filtered_and_colour_voxels(page: str, tmp_path: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    path = tmp_path / "page.html"
    path.write_text(page)
    with open_tab(chromium, path.as_uri(), tmp_path / "profile", (1000, 700)) as tab:
        assert tab.wait_for("document.body?.dataset.state") == "ready"  # not without WebGL
        before = voxels_of(tab)
        assert before.std() > 20  # empty is a pale gradient
        assert tab.run("document.querySelectorAll('#queries li:not([hidden])').length") == 28
        tab.run("document.getElementById('filter').focus()")
        tab.type("traffic co")
        tab.wait_for("document.body.dataset.left === '1'")
        tab.run("document.querySelector('#queries li:not([hidden]) button').click()")
        assert tab.run("document.body.dataset.shown") == "a traffic cone"
        assert tab.run("document.getElementById('legend').innerText").startswith("Similarity")
        after = voxels_of(tab)
        assert (np.abs(after.astype(int) - before) > 20).mean() > 0.02
        tab.type("zzz")
        tab.wait_for("document.body.dataset.left === '0'")
        assert "free text needs the live page" in tab.run("document.body.innerText").lower()
        pictures = []
        for layer in ("true", "difference"):
            tab.run(f"document.querySelector('[data-layer={layer}]').click()")
            assert tab.run("document.body.dataset.shown") == layer
            pictures.append(voxels_of(tab))
        assert "missed" in tab.run("document.getElementById('legend').innerText")
        tab.run("document.getElementById('lidar').click()")
        pictures.append(voxels_of(tab))
        for one, other in pairwise(pictures):
            assert (np.abs(one.astype(int) - other) > 20).mean() > 0.004


def voxels_of(tab) -> np.ndarray:
    """Pixels of the middle of the stage."""
    tab.run("drawScene()")
    picture = np.asarray(tab.picture())
    left, top, width, height = tab.run(
        "(({x, y, width, height}) => [x, y, width, height])(canvas.getBoundingClientRect())"
    )
    return picture[int(top) + 40 : int(top + height), int(left) : int(left + width)]
