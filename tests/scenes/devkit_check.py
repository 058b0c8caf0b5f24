# SPDX-License-Identifier: Apache-2.0
"""Opens a city with nuScenes' official devkit: tables, boxes, pictures, point labels.

Not a test of this environment, because the devkit wants numpy < 2 and much else. Run it in its own:

    python -m venv devkit && devkit/bin/pip install "numpy<2" nuscenes-devkit
    langocc city CITY
    devkit/bin/python tests/scenes/devkit_check.py CITY PICTURES
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.data_io import load_bin_file
from nuscenes.utils.geometry_utils import points_in_box


def main(root: Path, pictures: Path) -> None:
    version = next(p.name for p in (root / "nuscenes").glob("v1.0-*"))
    nusc = NuScenes(version, str(root / "nuscenes"), verbose=True)
    nusc.list_scenes()
    nusc.list_lidarseg_categories(sort_by="count")
    nusc.list_panoptic_instances()
    check_points(nusc)
    check_chains(nusc)
    draw(nusc, pictures)
    print("the devkit has no complaint")


def check_points(nusc: NuScenes) -> None:
    """Point labels fit the sweeps, boxes hold the points of their instances."""
    inside = labelled = 0
    for sample in nusc.sample:
        lidar = sample["data"]["LIDAR_TOP"]
        path, boxes, _ = nusc.get_sample_data(lidar)
        points = LidarPointCloud.from_file(path).points[:3]
        lidarseg = load_bin_file(path_of(nusc, "lidarseg", lidar), "lidarseg")
        panoptic = load_bin_file(path_of(nusc, "panoptic", lidar), "panoptic")
        assert points.shape[1] == len(lidarseg) == len(panoptic)
        assert np.array_equal(panoptic // 1000, lidarseg)
        for box in boxes:
            category = nusc.lidarseg_name2idx_mapping[box.name]
            annotation = nusc.get("sample_annotation", box.token)
            mine = points_in_box(box, points, wlh_factor=1.02) & (lidarseg == category)
            inside += min(int(mine.sum()), annotation["num_lidar_pts"])
            labelled += annotation["num_lidar_pts"]
    print(f"points of instances inside their boxes: {inside} of {labelled}")
    assert inside >= 0.98 * labelled


def check_chains(nusc: NuScenes) -> None:
    """Records lead from first to last."""
    for scene in nusc.scene:
        token, last, count = scene["first_sample_token"], "", 0
        while token:
            last, token, count = token, nusc.get("sample", token)["next"], count + 1
        assert (last, count) == (scene["last_sample_token"], scene["nbr_samples"])
    for instance in nusc.instance:
        token, last, count = instance["first_annotation_token"], "", 0
        while token:
            last, token, count = token, nusc.get("sample_annotation", token)["next"], count + 1
        assert (last, count) == (instance["last_annotation_token"], instance["nbr_annotations"])


def draw(nusc: NuScenes, pictures: Path) -> None:
    """The devkit's own pictures."""
    pictures.mkdir(parents=True, exist_ok=True)
    sample = nusc.get("sample", nusc.scene[0]["first_sample_token"])
    nusc.render_sample(sample["token"], out_path=str(pictures / "sample.png"), verbose=False)
    plt.close("all")
    for name in ("CAM_FRONT", "CAM_BACK_LEFT"):
        nusc.render_pointcloud_in_image(
            sample["token"],
            camera_channel=name,
            out_path=str(pictures / f"points_{name}.png"),
            show_lidarseg=True,
            verbose=False,
        )
    lidar = sample["data"]["LIDAR_TOP"]
    for kind in ("show_lidarseg", "show_panoptic"):
        nusc.render_sample_data(
            lidar, out_path=str(pictures / f"{kind}.png"), verbose=False, **{kind: True}
        )
    nusc.render_annotation(sample["anns"][0], out_path=str(pictures / "annotation.png"))
    nusc.render_egoposes_on_map(
        log_location=nusc.log[0]["location"], out_path=str(pictures / "map.png")
    )


def path_of(nusc: NuScenes, kind: str, lidar: str) -> str:
    return str(Path(nusc.dataroot) / nusc.get(kind, lidar)["filename"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
