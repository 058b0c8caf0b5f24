# SPDX-License-Identifier: Apache-2.0
"""Data comes through; whatever could run code is refused before it does."""

import collections
import io
import os
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from langocc.errors import DataError
from langocc.interop.restricted_pickle import read_data_pickle

DATA = {
    "text": "scene-0061", "number": 7, "real": 0.5, "none": None, "flag": True,
    "list": [1, (2, 3), {"a": b"bytes"}],
    "floats": np.random.default_rng(0).normal(size=(3, 3)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "names": np.array(["car", "truck"]),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 9), dtype=np.float32),
    "objects": np.array(["a", None, 3], dtype=object),
    "scalar": np.float32(0.25),
}  # fmt: skip


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.all(a == b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("package", [b"numpy._core", b"numpy.core"])
def test_data_comes_through(tmp_path: Path, protocol: int, package: bytes):
    content = pickle.dumps(DATA, protocol)
    if package == b"numpy.core":  # as NumPy 1 wrote it
        content = pickled_by_numpy_1(protocol)
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    assert same(read_data_pickle(path), DATA)


def pickled_by_numpy_1(protocol: int) -> bytes:
    class OldNames(pickle._Pickler):  # the Python one, whose names can be changed
        def save_global(self, obj: Any, name: str | None = None) -> None:
            module = getattr(obj, "__module__", "")
            if module and module.startswith("numpy._core") and self.proto < 4:
                self.write(f"c{module.replace('_core', 'core')}\n{obj.__name__}\n".encode())
                self.memoize(obj)
            else:
                super().save_global(obj, name)

        functions = dict.fromkeys((type(len), type(same)), save_global)
        dispatch: ClassVar = {**pickle._Pickler.dispatch, **functions}

    file = io.BytesIO()
    OldNames(file, protocol).dump(DATA)
    return file.getvalue()


class Evil:
    """Reduces to a call."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def touch(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.system, "posix.system"),
        (eval, "eval"),
        (exec, "exec"),
        (getattr, "getattr"),
        (__import__, "__import__"),
        (open, "open"),
        (np.load, "numpy.load"),
        (np.fromfile, "fromfile"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (Path, "Path"),
        (pickle.loads, "loads"),
    ],
)
def test_calls_are_refused(tmp_path: Path, function: Any, named: str, protocol: int):
    path = tmp_path / "evil.pkl"
    victim = tmp_path / "victim"
    path.write_bytes(pickle.dumps({"infos": [Evil(function, f"touch {victim}")]}, protocol))
    with pytest.raises(DataError, match=rf"evil\.pkl: refused: it names .*{named}"):
        read_data_pickle(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cnumpy\nndarray\n((I1000000000000\nttR.", "not callable"),
        (b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I9\ntVf8\ntR.", "shape"),
        (b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntVb\ntR.", "kind"),
        (b"c__builtin__\nbytes\n(I1000000000000\ntR.", "not a readable pickle"),
        (b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(VO\ntRVx\ntR.", "Python object"),
        (b"cnumpy._core.numeric\n_frombuffer\n(Vx\ncnumpy\ndtype\n(VO\ntR(I1\ntVC\ntR.", "objects"),
        (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "encoding 'rot13'"),
        # Setting attributes of what may be named.
        (b"cnumpy._core.multiarray\nscalar\n}S'__call__'\nI1\nsb.", "not a readable pickle"),
        (b"cnumpy._core.multiarray\nscalar\n(N}S'__class__'\nI1\nstb.", "not a readable pickle"),
        (b"cnumpy\ndtype\n}S'x'\nI1\nsb.", "not a readable pickle"),
        # Names with dots in them, instances, references to outside.
        (b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.", "numpy.ndarray.__class__"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.mro.x\x93.", "numpy.dtype.mro.x"),
        (b"(ios\nsystem\n.", "os.system"),
        (b"(Vtouch x\nios\nsystem\n.", "os.system"),
        (b"Pelsewhere\n.", "refers to 'elsewhere'"),
        (b"", "not a readable pickle"),
        (b"\x80\x04garbage", "not a readable pickle"),
        (pickle.dumps(DATA)[:-200], "not a readable pickle"),
    ],
)  # fmt: skip
def test_tricks_and_damage_are_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "evil.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_data_pickle(path)
    assert str(error.value).startswith(str(path))


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.pkl: no such file"):
        read_data_pickle(tmp_path / "none.pkl")
