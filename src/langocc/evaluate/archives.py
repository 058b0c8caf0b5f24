# SPDX-License-Identifier: Apache-2.0
"""`.npz` files: read without pickle and with errors that name the file; written whole."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from langocc.errors import DataError
from langocc.files import replacing


def read_arrays(
    path: Path, *, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The named arrays of an archive; others stay unread, optional ones may be absent.

    Raises:
        DataError: the file is missing, damaged, holds pickled objects or lacks a required array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive]
            if missing:
                raise DataError(f"{path}: expected arrays {missing}, found {sorted(archive)}")
            wanted = [*required, *(name for name in optional if name in archive)]
            return {name: archive[name] for name in wanted}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, AttributeError) as error:
        raise DataError(f"{path}: not a readable .npz archive ({error})") from error


def array_names(path: Path) -> list[str]:
    """Names of the arrays of a readable archive, sorted."""
    with np.load(path, allow_pickle=False) as archive:
        return sorted(archive)


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], *, stored: Sequence[str] = ()
) -> None:
    """Writes an archive that `numpy.load` reads; it is whole or not there.

    Args:
        path: Where to.
        arrays: What.
        stored: Names left uncompressed, because they are large and do not shrink.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # a fixed date: equal arrays give equal bytes
            entry.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            entry._compresslevel = 1  # pyright: ignore[reportAttributeAccessIssue]
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
