# SPDX-License-Identifier: Apache-2.0
"""How many key frames of the procedural city a minute, all files included.

python benchmarks/city.py --frames 40 --size 400 225 --workers 2
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from langocc.scenes.city.plan import CitySettings
from langocc.scenes.city.write import write_city


def main() -> None:
    """Writes a city to a temporary folder and prints what it took."""
    parser = argparse.ArgumentParser(description="Key frames of the procedural city a minute.")
    parser.add_argument("--frames", type=int, default=20, help="key frames a scene (0.5 s apart)")
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(400, 225), help="pixels")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    settings = CitySettings(options.scenes, 0, 0, options.frames, *options.size)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "city"
        start = time.perf_counter()
        write_city(root, settings, options.workers)
        elapsed_s = time.perf_counter() - start
        size_mb = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    core_s = sum(u.ru_utime + u.ru_stime for u in used)
    frames = settings.frames
    print(f"{frames} key frames of 6 x {settings.width} x {settings.height}")
    print(f"key frames a minute          {60 * frames / elapsed_s:8.1f}")
    print(f"core seconds a key frame     {core_s / frames:8.2f}")
    print(f"MB a key frame               {size_mb / frames:8.2f}")
    print(f"peak memory of a process, MB {max(u.ru_maxrss for u in used) / 1024:8.0f}")


if __name__ == "__main__":
    main()
