# SPDX-License-Identifier: Apache-2.0
"""Where a result comes from: versions, commit, machine. Stored with every checkpoint and report."""

import platform
import subprocess
from functools import cache
from pathlib import Path

import langocc


@cache
def software() -> dict[str, str]:
    """Versions of Python, torch and langocc, the commit if this is a checkout, the machine."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()
    return {
        "langocc": langocc.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
    }


def _commit() -> str:
    """Commit of the checkout this file lies in, with `+` if files differ from it; "" if none."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip() if described.returncode == 0 else ""
