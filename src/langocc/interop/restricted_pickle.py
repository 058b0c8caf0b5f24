# SPDX-License-Identifier: Apache-2.0
"""Pickles that hold data only: lists, dicts, text, numbers, NumPy arrays. They can run no code."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from langocc.errors import DataError


def read_data_pickle(path: Path) -> Any:  # noqa: ANN401  what it holds is for the caller to check
    """The plain data in a pickle.

    Whatever the pickle names beyond NumPy's arrays and scalars is refused before it is imported or
    called; there is no list of bad names to get around.

    Raises:
        DataError: no such file, damaged, or it names anything that is not data.
    """
    try:
        return _DataUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except _RefusedError as error:
        raise DataError(
            f"{path}: refused: {error}; expected plain lists, dicts, text, numbers and NumPy arrays"
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path}: not a readable pickle: {error or type(error).__name__}") from None


class _RefusedError(Exception):
    """The pickle asks for more than data."""


class _Maker:
    """Something a pickle may name. Without attributes, so that a pickle cannot change it."""

    __slots__ = ()


class _ArrayKind(_Maker):
    """Stands for NumPy's array class, which a pickle may name but not call."""

    __slots__ = ()


_ARRAY_KIND = _ArrayKind()


class _Array(_Maker):
    """Stands for NumPy's `_reconstruct`."""

    __slots__ = ()

    def __call__(self, kind: object, shape: tuple[int, ...], dtype: object) -> np.ndarray:
        """An empty array, which pickle then fills."""
        if kind is not _ARRAY_KIND or shape != (0,):
            raise _RefusedError(f"an array of kind {kind!r} and shape {shape!r}")
        return np.ndarray((0,), "i1")


class _Scalar(_Maker):
    """Stands for NumPy's `scalar`."""

    __slots__ = ()

    def __call__(self, dtype: np.dtype, content: object) -> np.generic:
        if dtype.hasobject or not isinstance(content, bytes):
            raise _RefusedError("a scalar that is a Python object")
        return np.frombuffer(content, dtype)[0]


class _Buffer(_Maker):
    """Stands for NumPy's `_frombuffer`."""

    __slots__ = ()

    def __call__(self, content: object, dtype: np.dtype, shape: tuple, order: str) -> np.ndarray:
        if dtype.hasobject or not isinstance(content, bytes | bytearray):
            raise _RefusedError("a buffer of Python objects")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if order == "F" else "C")


class _Bytes(_Maker):
    """Stands for `codecs.encode`, which is how old protocols write bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise _RefusedError(f"bytes in the encoding {encoding!r}")
        return text.encode("latin1")


class _NoBytes(_Maker):
    """Stands for `bytes`, which old protocols call for b""."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


_ALLOWED = {
    ("__builtin__", "bytes"): _NoBytes(),
    ("numpy", "ndarray"): _ARRAY_KIND,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _Bytes(),
}
for _package in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _ALLOWED[f"{_package}.multiarray", "_reconstruct"] = _Array()
    _ALLOWED[f"{_package}.multiarray", "scalar"] = _Scalar()
    _ALLOWED[f"{_package}.numeric", "_frombuffer"] = _Buffer()


class _DataUnpickler(pickle.Unpickler):
    """Refuses every name but those of NumPy's arrays."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  as in the base class
        """The stand-in for an allowed name."""
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"it names {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: object) -> Any:  # noqa: ANN401  as in the base class
        """Refuses references to things outside the file."""
        raise _RefusedError(f"it refers to {pid!r} outside the file")
