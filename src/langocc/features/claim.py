# SPDX-License-Identifier: Apache-2.0
"""A file that one process at a time may write, and that appears whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from langocc.errors import DataError


class ClaimedError(DataError):
    """Another process is writing this file now."""


@contextmanager
def claimed(path: Path) -> Iterator[BinaryIO]:
    """An empty file, ours alone, that takes `path`'s place when the block ends well.

    It is written beside its place under a fixed name, held by an advisory lock that the system
    drops with the process: a killed writer leaves a remainder, which the next writer takes over.

    Raises:
        ClaimedError: another process holds it.
        OSError: the disk is full or the folder not writable; nothing stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with _locked(temporary, path) as file:
            try:
                file.truncate(0)
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:  # also from closing the file, which writes what is still buffered
        error.filename = error.filename or str(path)
        raise


@contextmanager
def _locked(temporary: Path, path: Path) -> Iterator[BinaryIO]:
    while True:
        with open(temporary, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ClaimedError(f"{path}: another process is writing it now") from None
            # Between open and lock its former writer may have finished and renamed it.
            if temporary.exists() and os.path.samestat(os.fstat(file.fileno()), temporary.stat()):
                yield file
                return
