"""ScribblePrompt-UNet: an image and the prompts on it to logits, compatible with the published weight file.

Wong et al., "ScribblePrompt: Fast and Flexible Interactive Segmentation for Any Biomedical Image"
(ECCV 2024). MultiverSeg takes its target in the same channels.

Shapes: B images in a batch, C features, H and W multiples of 16.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 4
IMAGE, BOX, POSITIVE, NEGATIVE, PREVIOUS = range(5)  # channels
CHANNELS = 5


def encode_channels(
    images: Tensor,
    *,
    boxes: Tensor | None = None,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    scribbles: Tensor | None = None,
    previous: Tensor | None = None,
) -> Tensor:
    """images (B, 1, H, W) in [0, 1] -> (B, 5, H, W), with prompts as the published networks know them.

    boxes (B, N, 4): two corners x, y, x, y, painted half-open; points (B, N, 2): x, y, each one single
    pixel, with labels (B, N): 1 on the object, 0 off it; scribbles (B, 2, H, W): positive and negative
    ink in [0, 1]; previous (B, 1, H, W): the last logits, neither squashed nor thresholded. Coordinates
    are pixels of the image and are truncated. Raises ValueError for a point outside the image.
    """
    b, _, h, w = images.shape
    channels = images.new_zeros(b, CHANNELS, h, w)
    channels[:, IMAGE] = images[:, 0]
    if boxes is not None:
        channels[:, BOX] = _filled(boxes, h, w)
    if scribbles is not None:
        channels[:, [POSITIVE, NEGATIVE]] = scribbles.to(images.dtype)
    if points is not None and labels is not None:
        x, y = points.long().unbind(-1)
        if ((x < 0) | (x >= w) | (y < 0) | (y >= h)).any():
            raise ValueError(f"a point lies outside the image of {w} x {h} pixels")
        batch = torch.arange(b, device=images.device)[:, None].expand_as(x)
        channels[batch, torch.where(labels > 0, POSITIVE, NEGATIVE), y, x] = 1.0
    if previous is not None:
        channels[:, PREVIOUS] = previous[:, 0]
    return channels


def _filled(boxes: Tensor, h: int, w: int) -> Tensor:
    """boxes (B, N, 4) -> bool (B, H, W), whatever any of them covers."""
    x0, y0, x1, y1 = boxes.long()[..., None].unbind(dim=-2)
    columns, rows = _between(x0, x1, w), _between(y0, y1, h)  # (B, N, W), (B, N, H)
    return (rows[..., :, None] & columns[..., None, :]).any(dim=1)


def _between(one: Tensor, other: Tensor, size: int) -> Tensor:
    """Coordinates (B, N, 1) in either order -> bool (B, N, size), the lower included, the upper not."""
    pixels = torch.arange(size, device=one.device)
    return (pixels >= torch.minimum(one, other)) & (pixels < torch.maximum(one, other))


class ScribblePromptUNet(nn.Module):
    """A plain UNet without norms; its parameters carry the names of the published file."""

    def __init__(self, features: int = 192) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            _layer(features if level else CHANNELS, features) for level in range(LEVELS)
        )
        self.bottleneck = _layer(features, features)
        self.ups = nn.ModuleList()
        for _ in range(LEVELS):
            self.ups.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
            self.ups.append(_layer(2 * features, features))
        self.final_conv = nn.Sequential(OrderedDict(conv=nn.Sequential(nn.Conv2d(features, 1, 1))))

    def forward(self, channels: Tensor) -> Tensor:
        """(B, 5, H, W) as ``encode_channels`` makes them -> logits (B, 1, H, W)."""
        x, skips = channels, []
        for down in self.downs:
            skips.append(down(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.bottleneck(x)
        for upsample, layer in zip(self.ups[::2], self.ups[1::2], strict=True):
            x = layer(torch.cat([skips.pop(), upsample(x)], dim=1))
        logits: Tensor = self.final_conv(x)
        return logits


def _layer(inputs: int, outputs: int) -> nn.Module:
    """3x3 convolution and a PReLU of one slope."""
    steps = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.PReLU())
    return nn.Sequential(OrderedDict(conv=steps))
