# SPDX-License-Identifier: Apache-2.0
"""Which scenes train, validate and test: `splits.json` of the root, else nuScenes' own lists.

Source: the scene lists are those of nuscenes-devkit 1.2 (Apache-2.0, Motional), as numbers.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from langocc.errors import DataError
from langocc.scenes.dataset import Split

_FULL: dict[Split, str] = {
    "train": """
        0001-0002 0004-0011 0019-0034 0041-0076 0120-0135 0138-0139 0149-0152 0154-0155
        0157-0168 0170-0185 0187-0188 0190-0196 0199-0200 0202-0204 0206-0214 0218-0220 0222
        0224-0264 0283-0306 0315-0318 0321 0323-0324 0328 0347-0386 0388-0403 0405-0408
        0410-0459 0461-0465 0467-0469 0471-0472 0474-0480 0499-0502 0504-0515 0517-0518
        0525-0539 0541-0546 0566 0568 0570-0578 0580 0582-0600 0639-0679 0681 0683-0689
        0695-0698 0700-0701 0703-0719 0726-0728 0730-0731 0733-0741 0744 0746-0747 0749-0752
        0757-0765 0767-0769 0786-0787 0789-0792 0803-0806 0808-0813 0815-0817 0819-0822
        0847-0856 0858 0860-0866 0868-0873 0875-0878 0880 0882-0903 0945 0947 0949 0952-0953
        0955-0961 0975-0984 0988-0992 0994-1025 1044-1058 1074-1102 1104-1110
    """,
    "val": """
        0003 0012-0018 0035-0036 0038-0039 0092-0110 0221 0268-0278 0329-0332 0344-0346
        0519-0524 0552-0565 0625-0627 0629-0630 0632-0638 0770-0771 0775 0777-0778 0780-0784
        0794-0800 0802 0904-0917 0919-0931 0962-0963 0966-0969 0971-0972 1059-1073
    """,
    "test": """
        0077-0091 0111-0119 0140 0142-0148 0265-0266 0279-0282 0307-0314 0333-0343 0481-0498
        0547-0551 0601-0604 0606-0624 0827-0831 0833-0842 0844-0846 0932-0933 0935-0943
        1026-1043
    """,
}
_MINI: dict[Split, str] = {
    "train": """
        0061 0553 0655 0757 0796 1077 1094 1100
    """,
    "val": """
        0103 0916
    """,
}


def official_splits(version: str) -> dict[Split, tuple[str, ...]]:
    """Scene lists of nuScenes: 700 train, 150 val, 150 test; mini has 8 and 2."""
    lists = _MINI if version == "v1.0-mini" else _FULL
    return {split: _expand(numbers) for split, numbers in lists.items()}


def read_splits(
    version: str, scenes: Collection[str], *folders: Path
) -> Mapping[Split, tuple[str, ...]]:
    """Splits of the scenes that are there, each in the order of its list.

    Args:
        version: `v1.0-mini`, `v1.0-trainval`, `v1.0-test`.
        scenes: Names of the scenes that are there; others are left out.
        folders: The first `splits.json` in these counts; without one, nuScenes' own lists.

    Raises:
        DataError: `splits.json` is malformed, has another key, or names a scene in two splits.
    """
    path = next((f / "splits.json" for f in folders if (f / "splits.json").is_file()), None)
    splits = official_splits(version) if path is None else _read(path)
    there = set(scenes)
    return {split: tuple(n for n in names if n in there) for split, names in splits.items()}


def _read(path: Path) -> dict[Split, tuple[str, ...]]:
    try:
        splits = msgspec.json.decode(path.read_bytes(), type=dict[Split, tuple[str, ...]])
    except msgspec.MsgspecError as error:
        expected = '{"train": [scene names], "val": [...], "test": [...]}'
        raise DataError(f"{path}: expected {expected}; {error}") from None
    owner: dict[str, Split] = {}
    for split, names in splits.items():
        for name in names:
            if name in owner:
                raise DataError(f"{path}: {name!r} is in {owner[name]} and again in {split}")
            owner[name] = split
    return splits


def _expand(numbers: str) -> tuple[str, ...]:
    """Scene names of "0001-0002 0004"."""
    ends = (word.split("-") for word in numbers.split())
    return tuple(
        f"scene-{number:04d}" for end in ends for number in range(int(end[0]), int(end[-1]) + 1)
    )
