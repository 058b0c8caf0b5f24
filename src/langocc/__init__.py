# SPDX-License-Identifier: Apache-2.0
"""LangOcc: open-vocabulary occupancy from camera images alone.

`langocc.load(checkpoint)` gives a trained model, `langocc.open_dataset(root)` frames to show it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langocc.asking import load
    from langocc.deploy.pretrained import from_pretrained, save_pretrained
    from langocc.deploy.stream import Stream
    from langocc.scenes.opening import open_dataset

__version__ = "0.1.0"

__all__ = [
    "Stream",
    "__version__",
    "from_pretrained",
    "load",
    "open_dataset",
    "save_pretrained",
]

_PLACES = {
    "Stream": "langocc.deploy.stream",
    "from_pretrained": "langocc.deploy.pretrained",
    "load": "langocc.asking",
    "open_dataset": "langocc.scenes.opening",
    "save_pretrained": "langocc.deploy.pretrained",
}


def __getattr__(name: str) -> object:
    """Loads what is asked for, so that `import langocc` stays light."""
    if name not in _PLACES:
        raise AttributeError(f"module 'langocc' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
