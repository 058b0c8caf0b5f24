# SPDX-License-Identifier: Apache-2.0
"""Frames by token across the versions of a data root: retrieval rows reach into v1.0-test."""

from collections.abc import Callable

from langocc.errors import DataError
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes, load


def frame_lookup(dataset: NuScenes) -> Callable[[str], Frame]:
    """A function from token to frame; other versions of the root are loaded when first needed.

    The function raises DataError where no version has the token.
    """
    known = [dataset]
    unread = [v for v in dataset.folders.versions if v != dataset.version]

    def frame(token: str) -> Frame:
        for candidate in known:
            try:
                return candidate.frame(token)
            except DataError:
                continue
        if unread:
            version, work = unread.pop(0), dataset.folders.work
            known.append(load(dataset.folders.root, version=version, work=work))
            return frame(token)
        versions = ", ".join(candidate.version for candidate in known)
        raise DataError(f"{dataset.root}: no frame of {versions} has the token {token!r}")

    return frame
