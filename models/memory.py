"""The default network: every accepted pair becomes a memory once; no interaction pays for it again.

Four passes, from rare to frequent (close to a space-time memory network, Oh et al. 2019, with the
in-context task of UniverSeg and MultiverSeg):

* ``encode``   image -> features at strides 1, 2, 4, 8, 16, once per image, query and context alike;
* ``remember`` features and mask -> one memory entry, once per accepted pair;
* ``open``     features and memory -> what an interaction needs, once per image and context;
* ``decode``   that and the prompts -> logits, at every interaction, at a cost without S in it.

Shapes: B images in a batch, S context entries, H = W = side (128), level l has stride 2**l.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import Block, JoiningBlock

READ_LEVELS = (3, 4)  # strides 8 and 16: cells few enough to attend over hundreds of images
SPREAD_LEVELS = (2, 3)  # strides 4 and 8: where ink spreads among the image's own cells
POSITION_CODE = 12


@dataclass(frozen=True)
class MemoryConfig:
    """Widths of the five levels, blocks per level, attention size and width of the prompt pyramid."""

    widths: tuple[int, ...] = (12, 32, 48, 64, 96)
    blocks: tuple[int, ...] = (1, 1, 2, 2, 2)
    prompt_widths: tuple[int, ...] = (8, 16, 24, 32, 48)
    heads: int = 4
    head_width: int = 16


@dataclass(frozen=True)
class Memory:
    """What S context pairs left behind; concatenating along S adds pairs, in any order.

    keys, values: per read level (B, heads, S * cells, width); prototypes: per level
    (B, S, 2, C): the feature sums under foreground and background; areas: (B, S, 2) their pixel shares.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    prototypes: tuple[Tensor, ...]
    areas: Tensor

    def __len__(self) -> int:
        return self.areas.shape[1]

    def extended(self, other: "Memory") -> "Memory":
        """Both memories' entries, as one memory."""
        return Memory(
            tuple(torch.cat(pair, dim=2) for pair in zip(self.keys, other.keys, strict=True)),
            tuple(torch.cat(pair, dim=2) for pair in zip(self.values, other.values, strict=True)),
            tuple(torch.cat(p, dim=1) for p in zip(self.prototypes, other.prototypes, strict=True)),
            torch.cat([self.areas, other.areas], dim=1),
        )

    def to(self, dtype: torch.dtype) -> "Memory":
        """The same in another precision; half of it is enough to keep."""
        return Memory(
            tuple(k.to(dtype) for k in self.keys),
            tuple(v.to(dtype) for v in self.values),
            tuple(p.to(dtype) for p in self.prototypes),
            self.areas.to(dtype),
        )

    def of_one_task(self) -> "Memory":
        """B memories of one entry each -> the memory of one task with B entries."""
        b, s = self.areas.shape[:2]
        return Memory(
            tuple(_by_task(k, 1, b * s) for k in self.keys),
            tuple(_by_task(v, 1, b * s) for v in self.values),
            tuple(p.view(1, b * s, 2, -1) for p in self.prototypes),
            self.areas.view(1, b * s, 2),
        )

    def shared_by(self, views: int) -> "Memory":
        """One task's memory, as ``views`` images read it together; nothing is copied."""
        return Memory(
            tuple(k.expand(views, -1, -1, -1) for k in self.keys),
            tuple(v.expand(views, -1, -1, -1) for v in self.values),
            tuple(p.expand(views, -1, -1, -1) for p in self.prototypes),
            self.areas.expand(views, -1, -1),
        )

    def select(self, entries: Tensor) -> "Memory":
        """Of one task's memory, for each of V images its own n entries: positions (V, n)."""
        return Memory(
            tuple(self._cells_of(k, entries) for k in self.keys),
            tuple(self._cells_of(v, entries) for v in self.values),
            tuple(p[0, entries] for p in self.prototypes),
            self.areas[0, entries],
        )

    def likeness(self) -> Tensor:
        """Cosine similarity of the mean keys of one task's entries: (S, S)."""
        heads, cells, width = self.keys[-1].shape[1:]
        mean = self.keys[-1].view(heads, len(self), cells // len(self), width).mean(dim=2)
        vectors = F.normalize(mean.transpose(0, 1).flatten(1).float(), dim=1)
        return vectors @ vectors.T

    def _cells_of(self, cells: Tensor, entries: Tensor) -> Tensor:
        """(1, heads, S * cells, width) -> (V, heads, n * cells, width)."""
        views = entries.shape[0]
        _, heads, all_cells, width = cells.shape
        by_entry = cells.view(heads, len(self), all_cells // len(self), width)
        return by_entry[:, entries].transpose(0, 1).reshape(views, heads, -1, width)


@dataclass(frozen=True)
class Opened:
    """B images that have read their context: what every interaction on them starts from.

    entered, passed: per level (B, C, h, w), their part of the decoder's first convolution and shortcut;
    cells: per level (B, C, h, w), features relative to the image's mean, of length 1;
    affinities: per spread level (B, cells, cells), rows sum to 1: how ink spreads.
    """

    entered: tuple[Tensor, ...]
    passed: tuple[Tensor, ...]
    cells: tuple[Tensor, ...]
    affinities: tuple[Tensor, ...]

    def views(self, positions: Sequence[int]) -> "Opened":
        """Some of the B images, given by their positions."""
        parts = (self.entered, self.passed, self.cells, self.affinities)
        return Opened(*(tuple(_at(x, positions) for x in part) for part in parts))


class Match(nn.Module):
    """Cosine attention over cells, feature and place weighed by learned temperatures, per head."""

    def __init__(self, inputs: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.project = nn.Conv2d(inputs, heads * width, 1)
        self.temperature = nn.Parameter(torch.full((heads,), 1.5))  # exp(1.5)**2 = 20
        self.place = nn.Parameter(torch.linspace(-1.0, 0.5, heads))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, heads, h * w, width + position code); dot products are the scores."""
        b, _, h, w = features.shape
        cells = self.project(features).view(b, self.heads, self.width, h * w).transpose(2, 3)
        cells = F.normalize(cells, dim=-1) * self.temperature.exp()[:, None, None]
        place = position_code(h, w, features) * self.place.exp()[:, None, None]
        return torch.cat([cells, place.expand(b, -1, -1, -1)], dim=-1)


class Reader(nn.Module):
    """Attention from the cells of an image to the cells of all context images, at one level."""

    def __init__(self, level: int, channels: int, config: MemoryConfig) -> None:
        super().__init__()
        self.stride, self.heads = 2**level, config.heads
        self.match = Match(channels, config.heads, config.head_width)
        self.value = nn.Conv2d(channels + self.stride**2, channels, 3, padding=1)
        # A learned null entry: where an image looks when nothing in the context resembles it.
        self.null_key = nn.Parameter(torch.zeros(config.heads, 1, config.head_width + POSITION_CODE))
        self.null_value = nn.Parameter(torch.zeros(config.heads, 1, channels // config.heads))

    def write(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, h, w), mask (B, 1, H, W) -> keys, values (B, heads, h * w, width)."""
        folded = F.pixel_unshuffle(mask * 2 - 1, self.stride)  # lossless: H * W bits on h * w cells
        value = self.value(torch.cat([features, folded], dim=1))
        b, c, h, w = value.shape
        return self.match(features), value.view(b, self.heads, c // self.heads, h * w).transpose(2, 3)

    def read(self, features: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """features (B, C, h, w) -> what the context says of each cell (B, C, h, w)."""
        b, _, h, w = features.shape
        query = self.match(features)
        keys = torch.cat([self.null_key.expand(b, -1, -1, -1), keys], dim=2)
        values = torch.cat([self.null_value.expand(b, -1, -1, -1), values], dim=2)
        # All of one width, because torch has a kernel for that which is four times as fast.
        own, width = values.shape[-1], max(keys.shape[-1], values.shape[-1])
        query, keys, values = (F.pad(x, (0, width - x.shape[-1])) for x in (query, keys, values))
        found = F.scaled_dot_product_attention(query, keys, values, scale=1.0)[..., :own]
        return found.transpose(2, 3).reshape(b, -1, h, w)


class ContextMemory(nn.Module):
    """The whole network; ``forward`` runs all four passes, serving calls them one by one."""

    def __init__(self, config: MemoryConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MemoryConfig()
        widths, prompts = config.widths, config.prompt_widths
        self.encoder = nn.ModuleList()
        for level, (width, blocks) in enumerate(zip(widths, config.blocks, strict=True)):
            first = Block(1, width) if level == 0 else Block(widths[level - 1], width, stride=2)
            self.encoder.append(nn.Sequential(first, *(Block(width, width) for _ in range(blocks - 1))))
        self.readers = nn.ModuleDict(
            {str(level): Reader(level, widths[level], config) for level in READ_LEVELS}
        )
        self.mixers = nn.ModuleList(
            nn.Conv2d(self._mixed_width(level), width, 1) for level, width in enumerate(widths)
        )
        self.spreaders = nn.ModuleDict(
            {str(level): Match(widths[level], 1, 2 * config.head_width) for level in SPREAD_LEVELS}
        )
        self.prompt_pyramid = nn.ModuleList(
            nn.Conv2d(4 if i == 0 else prompts[i - 1], p, 3, stride=1 + (i > 0), padding=1)
            for i, p in enumerate(prompts)
        )
        self.risers = nn.ModuleList(
            nn.Conv2d(widths[level + 1], widths[level], 1) for level in range(len(widths) - 1)
        )
        self.decoder = nn.ModuleList(
            JoiningBlock(self._decoded_width(level), width) for level, width in enumerate(widths)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)

    def _mixed_width(self, level: int) -> int:
        width, top = self.config.widths, len(self.config.widths) - 1
        read = width[level] if level in READ_LEVELS else 0
        above = width[level + 1] if 2 <= level < top else 0
        return width[level] + 3 + read + above

    def _decoded_width(self, level: int) -> int:
        width, top = self.config.widths[level], len(self.config.widths) - 1
        spread = 3 if level in SPREAD_LEVELS else 0
        return width + (width if level < top else 0) + self.config.prompt_widths[level] + spread + 2

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """images (B, 1, H, W) in [0, 1] -> features per level (B, C_l, H / 2**l, W / 2**l)."""
        features, x = [], images * 2 - 1
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
        return tuple(features)

    def remember(self, features: Sequence[Tensor], masks: Tensor) -> Memory:
        """features of B images, masks (B, 1, H, W) in [0, 1] -> a memory of one entry each."""
        written = [self._reader(level).write(features[level], masks) for level in READ_LEVELS]
        sides = torch.cat([masks, 1 - masks], dim=1)  # (B, 2, H, W)
        prototypes = []
        for level, f in enumerate(features):
            weight = F.avg_pool2d(sides, 2**level) if level else sides
            total = torch.einsum("bchw,bmhw->bmc", f, weight) / weight[0, 0].numel()
            prototypes.append(total[:, None])
        keys, values = zip(*written, strict=True)
        return Memory(keys, values, tuple(prototypes), sides.mean(dim=(2, 3))[:, None])

    def open(self, features: Sequence[Tensor], memory: Memory | None) -> Opened:
        """Read the context (none: only the image itself speaks) and lay out how ink will spread."""
        opened: dict[int, Tensor] = {}
        for level in reversed(range(len(features))):
            parts = [features[level], self._likeness(features[level], memory, level)]
            if level in READ_LEVELS:
                parts.append(self._read(features[level], memory, level))
            if 2 <= level < len(features) - 1:
                parts.append(double(opened[level + 1]))
            opened[level] = F.leaky_relu(self.mixers[level](torch.cat(parts, dim=1)), 0.01)
        levels = [opened[level] for level in range(len(features))]
        ahead = [self._joining(level).ahead(x) for level, x in enumerate(levels)]
        return Opened(
            tuple(entered for entered, _ in ahead),
            tuple(passed for _, passed in ahead),
            tuple(_unit(x - x.mean(dim=(2, 3), keepdim=True)) for x in levels),
            tuple(self._affinity(levels[level], level) for level in SPREAD_LEVELS),
        )

    def relevance(self, features: Sequence[Tensor], memory: Memory) -> Tensor:
        """How much of V images' attention each of one task's S entries gets, at stride 16: (V, S).

        Every other cell is asked: that says as much, and takes half the time.
        """
        level = READ_LEVELS[-1]
        query = self._reader(level).match(features[level])[:, :, ::2]  # (V, heads, cells / 2, width)
        keys = memory.keys[-1].to(query.dtype).expand(query.shape[0], -1, -1, -1)
        attention = torch.softmax(query @ keys.transpose(2, 3), dim=-1)
        return attention.mean(dim=(1, 2)).view(query.shape[0], len(memory), -1).sum(dim=-1)

    def decode(self, opened: Opened, prompts: Tensor) -> Tensor:
        """prompts (B, 4, H, W): box, positive ink, negative ink, previous logits -> logits (B, 1, H, W)."""
        x = torch.cat([prompts[:, :3], torch.tanh(prompts[:, 3:] / 4)], dim=1)
        hints, inks = [], [prompts[:, 1:3]]
        for step in self.prompt_pyramid:
            x = F.leaky_relu(step(x), 0.01)
            hints.append(x)
            inks.append(F.max_pool2d(inks[-1], 2))
        decoded: Tensor | None = None
        for level in reversed(range(len(hints))):
            parts = [hints[level]]
            if decoded is not None:
                parts.append(double(self.risers[level](decoded)))
            if level in SPREAD_LEVELS:
                parts.append(_spread(opened.affinities[SPREAD_LEVELS.index(level)], inks[level]))
            parts.append(_ink_likeness(opened.cells[level], inks[level]))
            joining = self._joining(level)
            decoded = joining.join(opened.entered[level], opened.passed[level], torch.cat(parts, dim=1))
        logits: Tensor = self.head(decoded)
        return logits

    def forward(self, images: Tensor, context: tuple[Tensor, Tensor] | None, prompts: Tensor) -> Tensor:
        """images (B, 1, H, W), context images and masks (B, S, 1, H, W), prompts (B, 4, H, W) -> logits."""
        memory = None if context is None else self.remember_all(*context)
        return self.decode(self.open(self.encode(images), memory), prompts)

    def remember_all(self, images: Tensor, masks: Tensor) -> Memory:
        """images and masks (B, S, 1, H, W) -> the memory of S entries for each of B tasks."""
        b, s = images.shape[:2]
        entries = self.remember(self.encode(images.flatten(0, 1)), masks.flatten(0, 1))
        return Memory(
            tuple(_by_task(k, b, s) for k in entries.keys),
            tuple(_by_task(v, b, s) for v in entries.values),
            tuple(p.view(b, s, 2, -1) for p in entries.prototypes),
            entries.areas.view(b, s, 2),
        )

    def _read(self, features: Tensor, memory: Memory | None, level: int) -> Tensor:
        if memory is None:
            return torch.zeros_like(features)
        index = READ_LEVELS.index(level)
        return self._reader(level).read(features, memory.keys[index], memory.values[index])

    def _reader(self, level: int) -> Reader:
        reader = self.readers[str(level)]
        assert isinstance(reader, Reader)
        return reader

    def _joining(self, level: int) -> JoiningBlock:
        block = self.decoder[level]
        assert isinstance(block, JoiningBlock)
        return block

    def _likeness(self, features: Tensor, memory: Memory | None, level: int) -> Tensor:
        """Cosine to the context's mean foreground and background, and its mean area: (B, 3, h, w)."""
        b, _, h, w = features.shape
        if memory is None:
            return features.new_zeros(b, 3, h, w)
        means = F.normalize(memory.prototypes[level].sum(dim=1), dim=-1)  # (B, 2, C)
        cosines = torch.einsum("bchw,bmc->bmhw", _unit(features), means)
        area = memory.areas[:, :, 0].mean(dim=1).view(b, 1, 1, 1).expand(b, 1, h, w)
        return torch.cat([cosines, area], dim=1)

    def _affinity(self, features: Tensor, level: int) -> Tensor:
        cells = self.spreaders[str(level)](features)[:, 0]  # (B, cells, width)
        return torch.softmax(cells @ cells.transpose(1, 2), dim=-1)


def _spread(affinity: Tensor, ink: Tensor) -> Tensor:
    """affinity (B, cells, cells), ink (B, 2, h, w) -> (B, 3, h, w): log reach of either, and balance."""
    b, _, h, w = ink.shape
    reach = torch.log((ink.flatten(2) @ affinity.transpose(1, 2)).view(b, 2, h, w) + 1e-4) / 4 + 1
    return torch.cat([reach, reach[:, :1] - reach[:, 1:]], dim=1)


def _ink_likeness(cells: Tensor, ink: Tensor) -> Tensor:
    """cells (B, C, h, w) of length 1, ink (B, 2, h, w) -> cosines to what lies under it, (B, 2, h, w).

    Where there is no ink the cosine is 0.
    """
    under = torch.einsum("bchw,bmhw->bmc", cells, ink)
    return torch.einsum("bchw,bmc->bmhw", cells, F.normalize(under, dim=-1))


def _unit(features: Tensor) -> Tensor:
    """(B, C, h, w), each cell's C features scaled to length 1; several times faster than F.normalize."""
    return features * torch.rsqrt((features * features).sum(dim=1, keepdim=True) + 1e-12)


def _at(x: Tensor, positions: Sequence[int]) -> Tensor:
    """``x[positions]``; evenly spaced ones are not copied."""
    first, last = positions[0], positions[-1]
    steps = range(first, last + 1, max(1, (last - first) // max(1, len(positions) - 1)))
    if list(steps) == list(positions):
        return x[first : last + 1 : steps.step]
    return x[list(positions)]


def double(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, 2 h, 2 w), bilinear: ``F.interpolate``, in a third of its time on a CPU."""
    identity = torch.eye(x.shape[3], device=x.device, dtype=x.dtype)
    wide = x @ F.interpolate(identity[None], scale_factor=2.0, mode="linear", align_corners=False)[0]
    above = torch.cat([wide[:, :, :1], wide[:, :, :-1]], dim=2)
    below = torch.cat([wide[:, :, 1:], wide[:, :, -1:]], dim=2)
    return torch.stack([wide.lerp(above, 0.25), wide.lerp(below, 0.25)], dim=3).flatten(2, 3)


def _by_task(entries: Tensor, b: int, s: int) -> Tensor:
    """(B * S, heads, cells, width) -> (B, heads, S * cells, width)."""
    _, heads, cells, width = entries.shape
    return entries.view(b, s, heads, cells, width).transpose(1, 2).reshape(b, heads, s * cells, width)


def position_code(h: int, w: int, like: Tensor) -> Tensor:
    """Sines and cosines of the cell's place, three octaves: (1, 1, h * w, 12) on ``like``'s device."""
    y = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) / h
    x = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) / w
    place = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).view(1, 1, h * w, 2, 1)
    angle = place * torch.pi * torch.tensor([0.5, 1.0, 2.0], device=like.device, dtype=like.dtype)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(3) / 6**0.5
