# SPDX-License-Identifier: Apache-2.0
"""LangOcc: from camera images to a voxel field that answers text.

Source: Boeder, Gigengack, Risse, LangOcc (3DV 2025); method.md section 2.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from langocc.field import VoxelField
from langocc.geometry.rig import CameraRig
from langocc.model import initial
from langocc.model.backbone import Backbone, ImageFeatures
from langocc.model.config import ModelConfig
from langocc.model.cost_volume import stereo_cost_volume
from langocc.model.decoder import PointDecoder
from langocc.model.depth_net import DepthNet, LiftInput
from langocc.model.encoder import Encoder3d, Pyramid3d, ResidualBlock3d
from langocc.model.fused import (
    conv_relu,
    fused_cells_from,
    fused_cost_volume,
    fused_splat,
    fused_stereo_grid,
)
from langocc.model.inputs import check_shapes, check_values
from langocc.model.lift import cells_from, splat
from langocc.model.neck import Neck
from langocc.model.projection import camera_numbers, frustum, lift_numbers, stereo_grid
from langocc.render.pointwise import apply_frugally, chunk_rows
from langocc.teachers.reducer import Reducer

STEREO_GRIDS = {"readable": stereo_grid, "fused": fused_stereo_grid}
COST_VOLUMES = {"readable": stereo_cost_volume, "fused": fused_cost_volume}
"""Implementations of the stereo cost volume and of its grid, by `ModelConfig.cost_volume`."""
SPLATS = {"readable": splat, "fused": fused_splat}
CELLS = {"readable": cells_from, "fused": fused_cells_from}
"""Implementations of the sum into voxels and of finding these, by `ModelConfig.splat`."""


class LangOcc(nn.Module):
    """The network.

    Attributes:
        config: What it was built from.
        checks_values: Look for NaN, infinities and singular matrices in each input. That waits for
            a GPU once a step; switch it off where the input is trusted.
    """

    frustum4: Tensor
    frustum16: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Weights start as method.md section 2 says; load a checkpoint for better ones."""
        super().__init__()
        self.config = config
        self.checks_values = True
        width, context = config.backbone.width, config.depth.context_channels
        head = config.head
        # In the published order of parameters: published optimizer states count by it.
        self.backbone = Backbone(config.backbone)
        self.neck = Neck(16 * width, 32 * width, config.neck_channels)
        self.depth_net = DepthNet(
            config.neck_channels,
            config.depth,
            stereo=config.stereo,
            norm_by_batch=config.quirks.camera_norm_by_batch,
        )
        self.encoder = Encoder3d(config.lifted_frames * context, config.encoder)
        self.pyramid = Pyramid3d(config.encoder.channels, config.encoder.out_channels)
        self.pre_process = ResidualBlock3d(context, context, 1, projects=True)
        self.final_conv = nn.Conv3d(
            config.encoder.out_channels, head.feature_channels, 3, padding=1
        )
        self.reducer: Reducer | None = None
        if head.reduced_from is not None:
            self.reducer = Reducer(head.reduced_from, head.embedding_channels).requires_grad_(False)
        self.density_head = PointDecoder(head.feature_channels, head.hidden_channels, 1)
        self.head = PointDecoder(head.feature_channels, head.hidden_channels, config.out_channels)
        (height, width), depth = config.input_size, config.depth
        self.register_buffer("frustum16", frustum((height, width), 16, depth), persistent=False)
        self.register_buffer("frustum4", frustum((height, width), 4, depth), persistent=False)
        self._initialise()
        self._store_channels_last()

    def forward(
        self, images: Float[Tensor, "batch frame cam 3 height width"], rig: CameraRig
    ) -> VoxelField:
        """The field around the vehicle, in the augmented key ego frame.

        Gradients flow through the key frame; earlier frames are context.

        Args:
            images: Normalised images, frames as in `rig`: key, previous, the one before, ...
            rig: Their cameras.

        Raises:
            ValueError: a shape does not fit the configuration, a matrix is singular, a pose is not
                rigid, or a number is not finite.
        """
        self._check(images, rig)
        volumes = []
        before = self._stereo_reference(images)
        for frame in reversed(range(self.config.lifted_frames)):  # oldest first
            with torch.set_grad_enabled(frame == 0 and torch.is_grad_enabled()):
                seen = self.backbone(images[:, frame].flatten(0, 1))
                lift_input = self.locate(seen, before, rig, frame)
                volume = self.lift(lift_input, rig, frame)
                volumes.append(self.pre_process(volume))
            before = seen.stride4
        return self.decode(self.pyramid(self.encoder(torch.cat(volumes, dim=1))))

    def locate(
        self,
        seen: ImageFeatures,
        before: Float[Tensor, "view channel height4 width4"] | None,
        rig: CameraRig,
        frame: int,
    ) -> LiftInput:
        """Depth and context of each pixel of a frame.

        Args:
            seen: The frame's image features.
            before: Stereo features of the frame before; None exactly without stereo.
            rig: The cameras.
            frame: Which frame.
        """
        quirks, cost_volume = self.config.quirks, None
        if before is not None:
            grid = STEREO_GRIDS[self.config.cost_volume]
            cost_volume = COST_VOLUMES[self.config.cost_volume](
                seen.stride4,
                before,
                grid(rig, frame, self.frustum4, self.config.input_size).flatten(0, 1),
                invalid_cost=self.config.depth.invalid_cost,
                zero_is_invalid=quirks.zero_feature_is_invalid,
            )
        numbers = camera_numbers(rig, frame, quirks).flatten(0, 1)
        return self.depth_net(self.neck(seen), numbers, cost_volume)

    def lift(
        self, lift_input: LiftInput, rig: CameraRig, frame: int
    ) -> Float[Tensor, "batch context x y z"]:
        """Context of all pixels of a frame, summed into the voxels of the key ego frame."""
        cells = self.voxels_of_points(rig, frame)
        views = cells.shape[:2]
        return SPLATS[self.config.splat](
            lift_input.depth.unflatten(0, views),
            lift_input.context.unflatten(0, views),
            cells,
            self.config.grid.shape,
        )

    def voxels_of_points(
        self, rig: CameraRig, frame: int
    ) -> Int[Tensor, "batch cam depth height width"]:
        """Voxel of each pixel of a frame at each depth, as `lift.voxel_cells` numbers them."""
        quirks, grid = self.config.quirks, self.config.grid
        numbers = lift_numbers(rig, frame, quirks)
        cells = CELLS[self.config.splat]
        return cells(numbers, self.frustum16, grid, truncated=quirks.truncated_cells)

    def decode(self, volume: Float[Tensor, "batch channel x y z"]) -> VoxelField:
        """Density and voxel features; the head's own answer is left to who asks the field."""
        features = conv_relu(self.final_conv, volume).permute(0, 2, 3, 4, 1).contiguous()
        rows = features.flatten(0, 3)
        if torch.is_grad_enabled():
            # Hidden layers of every voxel would be the largest activations of a training step.
            head = self.density_head
            logits, rows = apply_frugally(
                lambda part: (head(part),), rows, head.parameters(), passes_on=True
            )
            features = rows.view(features.shape)
        else:
            parts = rows.split(chunk_rows(len(rows), rows.device.type))
            logits = torch.cat([self.density_head(part) for part in parts])
        density = self.config.head.density_scale * logits.float().sigmoid()
        density = density.view(features.shape[:4])
        config, on_faces = self.config, self.config.quirks.values_on_faces
        return VoxelField(config.grid, density, features, self.head, config.variant, on_faces)

    def _stereo_reference(
        self, images: Float[Tensor, "batch frame cam 3 height width"]
    ) -> Float[Tensor, "view channel height4 width4"] | None:
        """Stereo features of the oldest frame, which is not lifted."""
        if not self.config.stereo:
            return None
        with torch.no_grad():
            return self.backbone.stereo_features(images[:, -1].flatten(0, 1))

    def _check(
        self, images: Float[Tensor, "batch frame cam 3 height width"], rig: CameraRig
    ) -> None:
        check_shapes(images, rig, self.config)
        views = images.shape[0] * images.shape[2]
        if self.training and views == 1:
            raise ValueError("images: expected two views or more for batch statistics, got 1")
        if self.checks_values and not torch.compiler.is_compiling():
            check_values(images, rig)

    def _initialise(self) -> None:
        """See method.md section 2, 'Initialisation'; the heads have set their own weights."""
        for part in (self.backbone, self.pre_process, self.encoder, self.pyramid):
            initial.initialise_normed(part.modules())
        initial.initialise_depth_net(self.depth_net)
        initial.fill(self.neck.modules(), nn.init.xavier_uniform_)
        initial.fill([self.final_conv], initial.kaiming("fan_out"))
        nn.init.constant_(self.density_head.last.bias, self.config.head.density_bias)

    def _store_channels_last(self) -> None:
        """Keeps 3D kernels as the volumes are kept, so that no convolution reorders its input."""
        for parameter in self.parameters():
            if parameter.dim() == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
