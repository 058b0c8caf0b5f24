"""A small random field, its rays and a head, shared by the tests of this room."""

import torch
from torch import nn

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.volume import VoxelHead

GRID = VoxelGrid((-4.0, -3.0, -1.0), (4.0, 3.0, 1.0), 0.5)


class Head(VoxelHead):
    """Two linear layers with a ReLU between: the smallest head with hidden features."""

    def __init__(self, feature: int, hidden: int, out: int) -> None:
        super().__init__()
        self.first = nn.Linear(feature, hidden)
        self.last = nn.Linear(hidden, out)

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        return self.first(features).relu()


def random_head(seed: int = 0, out: int = 12, dtype: torch.dtype = torch.float32) -> Head:
    torch.manual_seed(seed)
    return Head(6, 8, out).to(dtype)


def random_volumes(
    seed: int = 0, batch: int = 2, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Density in (0, 1), mostly thin, and features."""
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(batch, *GRID.shape, generator=generator, dtype=dtype) ** 3
    features = torch.randn(batch, *GRID.shape, 6, generator=generator, dtype=dtype)
    return density, features


def random_rays(
    seed: int = 0, batch: int = 2, rays: int = 40, channels: int = 12, miss: int = 2
) -> RayBatch:
    """Rays from inside the grid; the last `miss` of each scene start far outside, going away."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.rand(batch, rays, 3, generator=generator) * 2 - 1
    directions = torch.randn(batch, rays, 3, generator=generator)
    directions[..., 2] *= 0.2
    origins[:, rays - miss :] = torch.tensor([100.0, 0.0, 0.0])
    directions[:, rays - miss :] = torch.tensor([1.0, 0.0, 0.0])
    features = torch.randn(batch, rays, channels, generator=generator)
    unit = torch.nn.functional.normalize
    return RayBatch(
        origins,
        unit(directions, dim=-1),
        unit(features, dim=-1),
        rgb=torch.rand(batch, rays, 3, generator=generator),
    )
