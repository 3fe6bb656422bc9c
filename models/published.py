"""The published networks as ``Segmenter``s: one view, the image stretched to 128 x 128, as they were trained.

Which of them looks at an image without context is decided here, the way it is published, and so is how
prompts in image pixels become the boxes, points and ink that these networks know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.checkpoints import load_published
from models.encoding import NEGATIVE, POSITIVE, SIDE, Frame, encode_prompts
from models.multiverseg import MultiverSegNet
from models.prompts import Box, Click, Prompt, Scribble
from models.scribbleprompt import ScribblePromptUNet, encode_channels
from models.scribbleprompt_sam import STATE_SIDE, ScribblePromptSam, load_scribbleprompt_sam

THUMBNAIL = 16  # side of what two images are compared by
SHARPNESS = 8.0  # of relevance: a context image just like the one at hand weighs e**8 times an unlike one
DRAWN = 0.5  # ink from here on makes a pixel a drawn one

Views = Sequence[tuple[int, Frame]]


@dataclass
class Seen:
    """An image in the square (1, 1, side, side), and SAM's embedding of it from when it is opened."""

    square: Tensor
    embedding: Tensor | None = None


@dataclass(frozen=True)
class Pairs:
    """A context: images and masks, both (S, 1, side, side)."""

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def extended(self, other: "Pairs") -> "Pairs":
        return Pairs(torch.cat([self.images, other.images]), torch.cat([self.masks, other.masks]))

    def likeness(self) -> Tensor:
        thumbnails = _thumbnails(self.images)
        return thumbnails @ thumbnails.T

    def select(self, entries: Tensor) -> "Pairs":
        chosen = entries[0].to(self.images.device)  # of the one view
        return Pairs(self.images[chosen], self.masks[chosen])


@dataclass(frozen=True)
class Opened:
    """An image and the context that it is looked at with."""

    seen: Seen
    memory: Pairs | None


class OneView:
    """What the published networks have in common."""

    uses_context = False
    looks_closely = False
    state_side = SIDE

    def scales(self, height: int, width: int) -> tuple[tuple[Frame, ...], ...]:
        return ((Frame(height, width, stretch=True),),)

    def encode(self, squares: Tensor) -> Seen:
        return Seen(squares)

    def remember(self, seen: Seen, masks: Tensor) -> Pairs:
        return Pairs(seen.square, masks)

    def relevance(self, seen: Seen, memory: Pairs) -> Tensor:
        """By likeness of the images; the entries that are read, these networks weigh all the same."""
        likeness = _thumbnails(seen.square) @ _thumbnails(memory.images).T
        return torch.softmax(SHARPNESS * likeness, dim=1)

    def open(self, seen: Seen, memory: Pairs | None) -> Opened:
        return Opened(seen, memory)


class ScribblePromptSegmenter(OneView):
    """ScribblePrompt-UNet, which knows no context."""

    def __init__(self, network: ScribblePromptUNet) -> None:
        self.network = network

    def decode(
        self, opened: Opened, prompts: Sequence[Prompt], views: Views, previous: Tensor | None
    ) -> Tensor:
        logits: Tensor = self.network(_channels(opened, prompts, views, previous))
        return logits


class MultiverSegSegmenter(OneView):
    """MultiverSeg where there is context; where there is none, ScribblePrompt-UNet, as published."""

    uses_context = True

    def __init__(self, network: MultiverSegNet, without_context: ScribblePromptUNet) -> None:
        self.network = network
        self.without_context = without_context

    def decode(
        self, opened: Opened, prompts: Sequence[Prompt], views: Views, previous: Tensor | None
    ) -> Tensor:
        channels, memory = _channels(opened, prompts, views, previous), opened.memory
        if memory is None or not len(memory):
            alone: Tensor = self.without_context(channels)
            return alone
        together: Tensor = self.network(channels, (memory.images[None], memory.masks[None]))
        return together


class ScribblePromptSamSegmenter(OneView):
    """ScribblePrompt-SAM, which knows no context either, and of several boxes the newest."""

    state_side = STATE_SIDE

    def __init__(self, network: ScribblePromptSam) -> None:
        self.network = network

    def open(self, seen: Seen, memory: Pairs | None) -> Opened:
        if seen.embedding is None:
            seen.embedding = self.network.embed(seen.square)
        return Opened(seen, memory)

    def decode(
        self, opened: Opened, prompts: Sequence[Prompt], views: Views, previous: Tensor | None
    ) -> Tensor:
        drawn = _drawn(prompts, views[0][1], opened.seen.square)
        if "boxes" in drawn:
            drawn["boxes"] = drawn["boxes"][:, -1:]
        if "scribbles" in drawn:
            drawn["scribbles"] = drawn["scribbles"] > DRAWN
        logits: Tensor = self.network(opened.seen.embedding, SIDE, previous=previous, **drawn)
        return logits


def multiverseg(weights: Path, scribbleprompt_weights: Path, *, device: str = "cpu") -> MultiverSegSegmenter:
    """MultiverSeg from its two weight files. Raises ValueError for files that are not theirs."""
    network = load_published("MultiverSeg", MultiverSegNet, weights)
    return MultiverSegSegmenter(network.to(device), _unet(scribbleprompt_weights, device))


def scribbleprompt_unet(weights: Path, *, device: str = "cpu") -> ScribblePromptSegmenter:
    """ScribblePrompt-UNet from its weight file. Raises ValueError for a file that is not its own."""
    return ScribblePromptSegmenter(_unet(weights, device))


def scribbleprompt_sam(weights: Path, *, device: str = "cpu") -> ScribblePromptSamSegmenter:
    """ScribblePrompt-SAM from its weight file. Raises ValueError for another file, or without the extra."""
    return ScribblePromptSamSegmenter(load_scribbleprompt_sam(weights).to(device))


def _unet(weights: Path, device: str) -> ScribblePromptUNet:
    return load_published("ScribblePrompt-UNet", ScribblePromptUNet, weights).to(device)


class Drawn(TypedDict, total=False):
    """Prompts as published, in whole pixels of the square; what was not given is not in it."""

    boxes: Tensor  # (1, N, 4)
    points: Tensor  # (1, N, 2)
    labels: Tensor  # (1, N)
    scribbles: Tensor  # (1, 2, side, side)


def _channels(opened: Opened, prompts: Sequence[Prompt], views: Views, previous: Tensor | None) -> Tensor:
    square = opened.seen.square
    return encode_channels(square, previous=previous, **_drawn(prompts, views[0][1], square))


def _drawn(prompts: Sequence[Prompt], frame: Frame, like: Tensor) -> Drawn:
    """Prompts in image pixels -> what the networks know, on the device of ``like``."""
    drawn = Drawn()
    if boxes := [_box(prompt, frame) for prompt in prompts if isinstance(prompt, Box)]:
        drawn["boxes"] = torch.tensor(boxes, device=like.device)[None]
    if clicks := [prompt for prompt in prompts if isinstance(prompt, Click)]:
        places = frame.square_points([(click.x, click.y) for click in clicks])
        inside = places.astype(np.int64).clip(0, frame.side - 1)
        drawn["points"] = torch.from_numpy(inside).to(like.device)[None]
        drawn["labels"] = torch.tensor([[int(click.positive) for click in clicks]], device=like.device)
    if strokes := [prompt for prompt in prompts if isinstance(prompt, Scribble)]:
        ink = encode_prompts(strokes, frame)[[POSITIVE, NEGATIVE]]
        drawn["scribbles"] = torch.from_numpy(ink).to(like.device)[None]
    return drawn


def _box(box: Box, frame: Frame) -> list[int]:
    """x0, y0, x1, y1 in whole square pixels, half-open; at least one pixel is inside."""
    corners = np.sort(frame.square_points([(box.x0, box.y0), (box.x1, box.y1)]), axis=0).astype(np.int64)
    low = corners[0].clip(0, frame.side - 1)
    high = np.maximum(corners[1], low + 1)
    return [*low.tolist(), *high.tolist()]


def _thumbnails(images: Tensor) -> Tensor:
    """images (N, 1, side, side) -> (N, 256), so that dot products are correlations."""
    small = F.adaptive_avg_pool2d(images, THUMBNAIL).flatten(1)
    return F.normalize(small - small.mean(dim=1, keepdim=True), dim=1)
