# SPDX-License-Identifier: Apache-2.0
"""Where the files of a city lie: the published tree, and `city/` with what nuScenes cannot say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CityFolders:
    """Paths in a city's folder.

    Attributes:
        root: The city's folder.
        version: Name of the folder of tables.
    """

    root: Path
    version: str

    @property
    def nuscenes(self) -> Path:
        """Folder for the devkit's `dataroot`."""
        return self.root / "nuscenes"

    @property
    def retrieval(self) -> Path:
        """The retrieval benchmark."""
        return self.root / "retrieval_benchmark"

    @property
    def settings(self) -> Path:
        """What the city was made with; there from the first moment on."""
        return self.root / "city" / "settings.json"

    @property
    def splits(self) -> Path:
        """Which scenes train, validate and test. Written last: a city with it is finished."""
        return self.root / "splits.json"

    def table(self, name: str) -> Path:
        """A nuScenes table."""
        return self.nuscenes / self.version / f"{name}.json"

    def lidarseg(self, lidar_token: str) -> Path:
        """Point labels of a sweep."""
        return self.nuscenes / "lidarseg" / self.version / f"{lidar_token}_lidarseg.bin"

    def panoptic(self, lidar_token: str) -> Path:
        """Panoptic point labels of a sweep."""
        return self.nuscenes / "panoptic" / self.version / f"{lidar_token}_panoptic.npz"

    def occupancy(self, scene: str, sample_token: str) -> Path:
        """Occ3D labels of a key frame."""
        return self.root / "gts" / scene / sample_token / "labels.npz"

    def things(self, scene: str) -> Path:
        """Category, noun, colour and material of a scene's things."""
        return self.root / "city" / f"{scene}.json"

    def point_things(self, scene: str) -> Path:
        """Thing of each LiDAR point: one uint16 array a key frame, named by its sample token."""
        return self.root / "city" / f"{scene}.npz"

    @property
    def parts(self) -> Path:
        """Finished scenes' shares of the tables; gone when the city is finished."""
        return self.root / "city" / "unfinished"

    def part(self, scene: str) -> Path:
        """A finished scene's share of the tables."""
        return self.parts / f"{scene}.json"

    def relative(self, path: Path) -> str:
        """A path as the tables have it."""
        return path.relative_to(self.nuscenes).as_posix()
