# SPDX-License-Identifier: Apache-2.0
"""Time and memory of reading nuScenes tables of trainval size: the first read and a later one.

Writes synthetic tables with the layout, field sizes and counts of v1.0-trainval (34,149 samples,
2.6 million sample_data, 2 GB of JSON) and empty files for the images and sweeps of the key frames,
reads them in fresh processes, prints seconds and peak memory, and deletes them.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CHANNELS = {
    "CAM_FRONT": "camera", "CAM_FRONT_RIGHT": "camera", "CAM_BACK_RIGHT": "camera",
    "CAM_BACK": "camera", "CAM_BACK_LEFT": "camera", "CAM_FRONT_LEFT": "camera",
    "LIDAR_TOP": "lidar", "RADAR_FRONT": "radar", "RADAR_FRONT_LEFT": "radar",
    "RADAR_FRONT_RIGHT": "radar", "RADAR_BACK_LEFT": "radar", "RADAR_BACK_RIGHT": "radar",
}  # fmt: skip

READER = """
import resource, sys, time
from pathlib import Path
from langocc.scenes.nuscenes import load
start, cpu = time.perf_counter(), time.process_time()
dataset = load(Path(sys.argv[1]))
first = next(dataset.frames())
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
dataset.frame(dataset.index.tokens[-1])
found = time.perf_counter() - start
for frame in dataset.frames():
    pass
every = time.perf_counter() - start - found
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{len(dataset.index.tokens):7,d} key frames  load {seconds:6.2f} s "
      f"(processor {cpu:6.2f} s)  "
      f"with look-up by token {found:6.2f} s  making every frame {every:5.2f} s  "
      f"peak {peak:5.2f} GiB")
"""


def main() -> None:
    """Writes, reads twice, prints, deletes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=850)
    parser.add_argument("--samples", type=int, default=34_149)
    parser.add_argument("--sample-data", type=int, default=2_631_083)
    parser.add_argument("--folder", type=Path, help="where to write; needs 3 GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        if shutil.disk_usage(name).free < 4e9:
            sys.exit(f"{name}: less than 4 GB free")
        root = Path(name)
        write_tables(root, arguments.scenes, arguments.samples, arguments.sample_data)
        for path in sorted((root / "v1.0-trainval").iterdir()):
            print(f"  {path.name:24s} {path.stat().st_size / 1e6:9.1f} MB")
        for read in ("first read", "second read", "third read"):
            print(f"{read:12s}", end="", flush=True)
            subprocess.run([sys.executable, "-c", READER, str(root)], check=True)
        kept = root / "langocc" / "index" / "v1.0-trainval.msgpack"
        print(f"index file {kept.stat().st_size / 1e6:.1f} MB")


def write_tables(root: Path, scenes: int, samples: int, sample_data: int) -> None:
    """The seven tables that are read, streamed; and empty key-frame files."""
    rng = np.random.default_rng(0)
    channels = list(CHANNELS)
    folder = root / "v1.0-trainval"
    write(folder, "sensor", (
        f'"token": "{token("sensor", i)}",\n"channel": "{name}",\n"modality": "{kind}"'
        for i, (name, kind) in enumerate(CHANNELS.items())
    ))  # fmt: skip
    write(folder, "log", (
        f'"token": "{token("log", i)}",\n"logfile": "n015-2018-{i:04d}",\n"vehicle": "n015",\n'
        '"date_captured": "2018-07-24",\n"location": "singapore-onenorth"'
        for i in range(68)
    ))  # fmt: skip
    write(folder, "scene", (
        f'"token": "{token("scene", i)}",\n"log_token": "{token("log", i % 68)}",\n'
        f'"nbr_samples": 40,\n"name": "scene-{i:04d}",\n"description": "Parked truck, turn"'
        for i in range(scenes)
    ))  # fmt: skip
    intrinsic = "[[1266.417203046554,0.0,816.2670197447984],[0.0,1266.4,491.5],[0.0,0.0,1.0]]"
    write(folder, "calibrated_sensor", (
        f'"token": "{token("calibration", s * 12 + c)}",\n'
        f'"sensor_token": "{token("sensor", c)}",\n{pose(rng)},\n'
        f'"camera_intrinsic": {intrinsic if CHANNELS[channels[c]] == "camera" else "[]"}'
        for s in range(scenes) for c in range(12)
    ))  # fmt: skip
    write(folder, "sample", (
        f'"token": "{token("sample", i)}",\n"timestamp": {time_us(i, 0)},\n"prev": "{"0" * 32}",\n'
        f'"next": "{"0" * 32}",\n"scene_token": "{token("scene", i * scenes // samples)}"'
        for i in range(samples)
    ))  # fmt: skip
    write(folder, "ego_pose", (
        f'"token": "{token("data", i)}",\n"timestamp": {time_us(i // 77, i % 77)},\n{pose(rng)}'
        for i in range(sample_data)
    ))  # fmt: skip
    write(folder, "sample_data", records(root, scenes, samples, sample_data))


def records(root: Path, scenes: int, samples: int, sample_data: int) -> Iterator[str]:
    """One sample_data record after the other: per sample 12 key-frame records, then sweeps."""
    channels = list(CHANNELS)
    for name in channels[:7]:
        (root / "samples" / name).mkdir(parents=True)
    for i in range(sample_data):
        sample = min(i * samples // sample_data, samples - 1)
        turn = i - -(-sample * sample_data // samples)
        name, is_key = channels[turn % 12], turn < 12
        suffix = {"camera": "jpg", "lidar": "pcd.bin", "radar": "pcd"}[CHANNELS[name]]
        stamp = time_us(sample, turn)
        file = f"{'samples' if is_key else 'sweeps'}/{name}/n015-2018-07-24-11-22-45+0800__{name}__"
        file += f"{stamp}.{suffix}"
        if is_key and suffix != "pcd":
            (root / file).touch()
        scene = sample * scenes // samples
        yield (
            f'"token": "{token("data", i)}",\n"sample_token": "{token("sample", sample)}",\n'
            f'"ego_pose_token": "{token("data", i)}",\n"calibrated_sensor_token": '
            f'"{token("calibration", scene * 12 + turn % 12)}",\n"timestamp": {stamp},\n'
            f'"fileformat": "{suffix[:3]}",\n"is_key_frame": {str(is_key).lower()},\n'
            f'"height": {900 if suffix == "jpg" else 0},\n"width": {1600 if suffix == "jpg" else 0}'
            f',\n"filename": "{file}",\n"prev": "{"1" * 32}",\n"next": "{"2" * 32}"'
        )


def write(folder: Path, table: str, bodies: Iterator[str]) -> None:
    """A table laid out as nuScenes' are: one field a line."""
    folder.mkdir(exist_ok=True)
    with open(folder / f"{table}.json", "w") as file:
        file.write("[\n")
        for number, body in enumerate(bodies):
            file.write((",\n" if number else "") + "{\n" + body + "\n}")
        file.write("\n]")


def token(kind: str, number: int) -> str:
    """32 hexadecimal digits, as nuScenes has them."""
    return f"{sum(kind.encode()) * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}"


def time_us(sample: int, turn: int) -> int:
    """Microseconds; half a second between samples."""
    return 1532402927647951 + sample * 500_000 + turn * 6_000


def pose(rng: np.random.Generator) -> str:
    """Rotation and translation, a number a line, with as many digits as nuScenes writes."""
    numbers = rng.random(7).tolist()
    rotation, translation = (",\n".join(map(str, part)) for part in (numbers[:4], numbers[4:]))
    return f'"rotation": [\n{rotation}\n],\n"translation": [\n{translation}\n]'


if __name__ == "__main__":
    main()
