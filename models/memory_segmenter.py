"""The context memory as a ``Segmenter``: the whole image, and four overlapping tiles of it."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor

from models.encoding import SIDE, Frame, Window, encode_prompts
from models.memory import ContextMemory, Memory, Opened
from models.prompts import Prompt

OVERLAP = 1.25  # a tile's side, in halves of the image's
SMALLEST_TILED = 32  # image pixels along the shorter side: less is nothing to look at closely

Seen = tuple[Tensor, ...]


class MemorySegmenter:
    """Whole and tiles each have a memory of their own; a tile reads the tiles of all context images."""

    uses_context = True
    looks_closely = True
    state_side = SIDE

    def __init__(self, network: ContextMemory) -> None:
        self.network = network

    def scales(self, height: int, width: int) -> tuple[tuple[Frame, ...], ...]:
        whole = (Frame(height, width),)
        if min(height, width) < SMALLEST_TILED:
            return (whole,)
        tiles = tuple(
            Frame(height, width, window=Window(left, top, right, bottom))
            for top, bottom in _halves(height)
            for left, right in _halves(width)
        )
        return whole, tiles

    def encode(self, squares: Tensor) -> Seen:
        return self.network.encode(squares)

    def remember(self, seen: Seen, masks: Tensor) -> Memory:
        return self.network.remember(seen, masks).of_one_task().to(torch.float16)

    def relevance(self, seen: Seen, memory: Memory) -> Tensor:
        return self.network.relevance(seen, memory)

    def open(self, seen: Seen, memory: Memory | None) -> Opened:
        if memory is not None and memory.areas.shape[0] != seen[0].shape[0]:
            memory = memory.shared_by(seen[0].shape[0])
        return self.network.open(seen, None if memory is None else memory.to(seen[0].dtype))

    def decode(
        self,
        opened: Opened,
        prompts: Sequence[Prompt],
        views: Sequence[tuple[int, Frame]],
        previous: Tensor | None,
    ) -> Tensor:
        like = opened.cells[0]
        channels = np.stack([encode_prompts(prompts, frame) for _, frame in views])
        ink = torch.from_numpy(channels).to(like.device)
        fed_back = like.new_zeros(len(views), 1, SIDE, SIDE) if previous is None else previous.to(like)
        chosen = opened.views([position for position, _ in views])
        return self.network.decode(chosen, torch.cat([ink, fed_back], dim=1)).float()


def _halves(side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two overlapping parts of a side: (first, past the last) pixel."""
    length = min(side, ceil(side / 2 * OVERLAP))
    return (0, length), (side - length, side)
