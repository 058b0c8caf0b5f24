"""Stores written anew: other codecs, and the published folders."""

import numpy as np
import pytest
import torch
from small_drive import ColourTeacher
from torch.nn import functional

from langocc.errors import ConfigError, DataError
from langocc.features.extract import extract_features
from langocc.features.inspection import damaged_scenes, store_facts
from langocc.features.prepare import prepare_rays
from langocc.features.published import import_published, is_published
from langocc.features.recode import recode_store
from langocc.features.scene_writer import CodecConfig
from langocc.features.sources import RayConfig


def decoded(store, scene, token):
    shard = store.shard(scene)
    rows = shard.read(token)
    return rows, shard.codec.decode(torch.from_numpy(np.ascontiguousarray(rows["code"])))


@pytest.fixture(scope="module")
def store(drive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exact")
    rays, _ = prepare_rays(drive, list(drive.scenes), RayConfig(), folder / "rays")
    teacher = ColourTeacher()
    codec = CodecConfig("fp16")
    return extract_features(
        drive, rays, list(drive.scenes), folder / "store", teacher, None, codec
    )[0]


@pytest.mark.parametrize(
    ("name", "close"), [("int8", 0.9999), ("pca-int8", 0.99), ("pca-int4", 0.98)]
)
def test_recoding_keeps_rays_and_features(store, drive, tmp_path, name, close):
    other, report = recode_store(store, tmp_path, CodecConfig(name, 12))
    assert report.frames == 9
    for frame in drive.frames():
        rows, exact = decoded(store, frame.scene, frame.token)
        again, features = decoded(other, frame.scene, frame.token)
        for field in ("pixel", "camera", "flags", "depth_m", "rgb"):
            np.testing.assert_array_equal(rows[field], again[field])
        assert functional.cosine_similarity(exact, features).median() > close
    assert recode_store(store, tmp_path, CodecConfig(name, 12))[1].skipped == list(drive.scenes)


def test_rays_alone_cannot_be_recoded(drive, tmp_path):
    rays, _ = prepare_rays(drive, ["scene-c"], RayConfig(), tmp_path / "rays")
    with pytest.raises(DataError, match="no features"):
        recode_store(rays, tmp_path / "out", CodecConfig())


def test_facts_and_damage(store, drive, tmp_path):
    facts = store_facts(store)
    assert (facts.scenes, facts.frames, facts.bare) == (3, 9, 0)
    assert facts.hit_share == 1.0
    other, _ = recode_store(store, tmp_path, CodecConfig("int8"))
    assert damaged_scenes(other) == {}
    path = other.path_of("scene-b")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 128
    path.write_bytes(content)
    assert list(damaged_scenes(other)) == ["scene-b"]


class TestPublished:
    @pytest.fixture
    def folder(self, store, drive, tmp_path):
        """The store as the published code would have written it, some rays out of range."""
        source = tmp_path / "published"
        for frame in drive.frames():
            rows, features = decoded(store, frame.scene, frame.token)
            depths = np.minimum(rows["depth_m"].astype(np.float32), 39.9)
            depths[:5] = [50.0, 40.0, 0.01, np.nan, 39.9]
            for kind, name, arrays in (
                (
                    "rays",
                    frame.scene,
                    {
                        "pixels": rows["pixel"].astype(np.uint16),
                        "depths": depths,
                        "cam_indices": rows["camera"],
                    },
                ),
                ("embeddings/MaskCLIP", frame.scene, {"features": features.numpy().astype("f2")}),
            ):
                path = source / kind / name / f"{frame.token}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(path, **arrays)
        return source

    def test_import_drops_what_the_published_loader_drops(self, folder, store, drive, tmp_path):
        assert is_published(folder)
        made, report = import_published(folder, tmp_path / "o", CodecConfig("fp16"), "maskclip")
        assert report.failed == {}
        assert made.record.teacher == "maskclip"
        for frame in drive.frames():
            rows, again = (s.shard(frame.scene).read(frame.token) for s in (store, made))
            key_of = {
                row["code"].tobytes(): (*row["pixel"].astype(np.uint16), row["camera"])
                for row in rows[4:]
            }
            assert len(again) == len(rows) - 4
            assert all(
                key_of[row["code"].tobytes()] == (*row["pixel"], row["camera"]) for row in again
            )
            assert not np.array_equal(again["code"], rows["code"][4:])  # shuffled

    def test_unequal_rows_fail_their_scene_alone(self, folder, drive, tmp_path):
        path = folder / "embeddings" / "MaskCLIP" / "scene-b" / "scene-b-1.npz"
        np.savez_compressed(path, features=np.zeros((3, 32), np.float16))
        made, report = import_published(folder, tmp_path / "o", CodecConfig(), "maskclip")
        assert made.scenes() == ["scene-a", "scene-c"]
        assert "as many rows" in report.failed["scene-b"]

    def test_damaged_and_missing_files_are_named(self, folder, tmp_path):
        path = folder / "rays" / "scene-a" / "scene-a-2.npz"
        path.write_bytes(path.read_bytes()[:100])
        (folder / "embeddings" / "MaskCLIP" / "scene-b" / "scene-b-2.npz").unlink()
        _, report = import_published(folder, tmp_path / "o", CodecConfig(), "maskclip")
        assert "scene-a-2.npz: damaged" in report.failed["scene-a"]
        assert "scene-b-2.npz: no such file" in report.failed["scene-b"]

    def test_no_or_two_teachers_are_refused(self, folder, tmp_path):
        (folder / "embeddings" / "other").mkdir()
        with pytest.raises(DataError, match="expected one folder of a teacher"):
            import_published(folder, tmp_path / "o", CodecConfig(), "maskclip")

    def test_a_disk_too_small_is_refused(self, folder, tmp_path, monkeypatch):
        import shutil

        full = shutil._ntuple_diskusage(10**9, 10**9, 10)
        monkeypatch.setattr("shutil.disk_usage", lambda _: full)
        with pytest.raises(ConfigError, match="GB are needed"):
            import_published(folder, tmp_path / "o", CodecConfig(), "maskclip")
