"""MultiverSeg: a UNet over a target and its context, compatible with the published weight files.

Wong et al., "MultiverSeg" (ICCV 2025). In every block the target's features meet those of each context
entry (cross convolution), so an interaction costs in proportion to the context. Computed as it is drawn,
the network copies the target to every entry, concatenates, doubles before it convolves, and ends with a
convolution that nobody reads. Here it is computed with half the products or fewer, entry by entry, and
the results are the same.

Shapes: B targets in a batch, S context entries, C features, H and W multiples of 8.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 4
STRIDE = 2 ** (LEVELS - 1)  # of the deepest level
SLOPE = 0.01
TARGET_CHANNELS = 5  # image, box, positive and negative ink, last logits
ENTRY_CHANNELS = 2  # image, label
UNKNOWN = 0.5  # image and label of the entry that stands for an empty context
# Entries computed together: few enough for a CPU's cache, or enough to keep a GPU busy.
CPU_CHUNK, GPU_CHUNK = 1, 16

# What is drawn as one tensor, concatenated along the channels: a decoder's (half the size, skip), else (x,).
Parts = tuple[Tensor, ...]


class CrossConv(nn.Module):
    """One 3x3 convolution over the concatenation of target and entry, which is never made.

    Over a concatenation convolutions add up, and the target's share is the same for all entries.
    """

    def __init__(self, target: Sequence[int], entry: Sequence[int], features: int) -> None:
        super().__init__()
        self.channels = [*target, *entry]
        self.cross_conv = nn.Conv2d(sum(self.channels), features, 3, padding=1)

    def forward(self, target: Parts, entries: Iterable[Parts]) -> Iterator[Tensor]:
        """target (B, C_u, H, W), chunks of entries (B * s, C_v, H, W) -> chunks of (B * s, C, H, W)."""
        weights = [_laid_out(w) for w in torch.split(self.cross_conv.weight, self.channels, dim=1)]
        for_target, for_entry = weights[: len(target)], weights[len(target) :]
        share = _convolved(target, for_target, self.cross_conv.bias)[:, None]
        for chunk in entries:
            crossed = _convolved(chunk, for_entry)
            _by_target(crossed, len(share)).add_(share)
            yield F.leaky_relu_(crossed, SLOPE)


class Norm(nn.GroupNorm):
    """GroupNorm of one group: (B, C, H, W) -> (B, C, H, W), to the same digits in either memory layout.

    On a CPU GroupNorm itself takes the variance of channels-last tensors as a difference of large sums.
    """

    def __init__(self, features: int) -> None:
        super().__init__(1, features)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_contiguous():
            return super().forward(x)
        rows = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(rows, rows.shape[1:], eps=self.eps).mul_(self.weight).add_(self.bias)
        return normed.permute(0, 3, 1, 2)


class ConvOp(nn.Module):
    """Convolution, activation, norm, in the published order: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(features, features, 3, padding=1)
        self.norml = Norm(features)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norml(F.leaky_relu_(self.conv(x), SLOPE))
        return normed


class CrossBlock(nn.Module):
    """Target and entries meet, then each goes on through a ConvOp of its own."""

    def __init__(self, target: Sequence[int], entry: Sequence[int], features: int) -> None:
        super().__init__()
        self.cross = CrossConv(target, entry, features)
        self.target = nn.Sequential(OrderedDict(vmapped=ConvOp(features)))
        self.support = nn.Sequential(OrderedDict(vmapped=ConvOp(features)))

    def forward(
        self, target: Parts, entries: Iterable[Parts], *, last: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """target (B, C_u, H, W), chunks of entries (B * s, C_v, H, W) -> both with C channels.

        The new target is the mean of what it was with each entry. After the ``last`` block nobody reads
        the entries: there are none.
        """
        met, seen = [], 0
        total: Tensor | float = 0.0
        for crossed in self.cross(target, entries):
            for with_entry in _by_target(crossed, len(target[0])).unbind(dim=1):
                total += with_entry
                seen += 1
            if not last:
                met.append(self.support(crossed))
        return self.target(total / seen), met


class MultiverSegNet(nn.Module):
    """The whole network; its parameters carry the names of the published files."""

    def __init__(self, features: int = 256) -> None:
        super().__init__()
        self.features = features
        one, two = (features,), (features, features)
        first = CrossBlock((TARGET_CHANNELS,), (ENTRY_CHANNELS,), features)
        self.enc_blocks = nn.ModuleList([first, *(CrossBlock(one, one, features) for _ in range(LEVELS - 1))])
        self.dec_blocks = nn.ModuleList(CrossBlock(two, two, features) for _ in range(LEVELS - 1))
        self.out_conv = nn.Sequential(OrderedDict(conv=nn.Conv2d(features, 1, 1)))

    def forward(self, target: Tensor, context: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """target (B, 5, H, W), context images and labels (B, S, 1, H, W) in [0, 1] -> logits (B, 1, H, W).

        The target's channels are those of ``scribbleprompt.encode_channels``. An empty context is one
        entry about which nothing is known, as published. Raises ValueError for sides that do not halve.
        """
        h, w = target.shape[2:]
        if h % STRIDE or w % STRIDE:
            raise ValueError(f"the sides must be multiples of {STRIDE}, not {h} and {w}")
        x, entries = _laid_out(target), _chunks(target, context)
        skips = []
        for level, block in enumerate(self.enc_blocks):
            if level:
                x, entries = _halved(x), map(_halved, entries)
            x, entries = block((x,), zip(entries))
            skips.append((x, entries))
        skips.pop()
        for block in self.dec_blocks:
            skip, entry_skips = skips.pop()
            x, entries = block((x, skip), zip(entries, entry_skips, strict=True), last=not skips)
        logits: Tensor = self.out_conv(x)
        return logits


def _chunks(target: Tensor, context: tuple[Tensor, Tensor] | None) -> Iterable[Tensor]:
    """The context as chunks of (B * s, 2, H, W)."""
    if context is None or not context[0].shape[1]:
        context = (target.new_full((len(target), 1, 1, *target.shape[2:]), UNKNOWN),) * 2
    size = CPU_CHUNK if target.is_cpu else GPU_CHUNK
    for pairs in torch.split(torch.cat(context, dim=2), size, dim=1):
        yield _laid_out(pairs.flatten(0, 1))


def _convolved(parts: Parts, weights: Sequence[Tensor], bias: Tensor | None = None) -> Tensor:
    """The 3x3 convolution over the concatenation of the parts, the small one doubled."""
    *small, full = parts
    total = F.conv2d(full, weights[-1], bias, padding=1)
    for part in small:
        total.add_(_convolved_double(part, weights[0]))
    return total


def _convolved_double(x: Tensor, weight: Tensor) -> Tensor:
    """The 3x3 convolution of an image doubled bilinearly, for a quarter of the products.

    A tap mixes channels and doubling mixes places, so either may come first: taps are taken of the small
    image, and their results doubled and added up, columns first, then rows.
    """
    h, w = x.shape[2:]

    def tap(row: int, column: int) -> Tensor:
        return _resized(F.conv2d(x, weight[:, :, row, column, None, None]), h, 2 * w)

    def line(row: int) -> Tensor:
        return _resized(_shifted_sum(lambda column: tap(row, column), dim=3), 2 * h, 2 * w)

    return _shifted_sum(line, dim=2)


def _shifted_sum(part: Callable[[int], Tensor], dim: int) -> Tensor:
    """At i, part 0 of i - 1, part 1 of i and part 2 of i + 1; nothing comes from beyond the borders."""
    total = part(1)
    length = total.shape[dim] - 1
    total.narrow(dim, 1, length).add_(part(0).narrow(dim, 0, length))
    total.narrow(dim, 0, length).add_(part(2).narrow(dim, 1, length))
    return total


def _resized(x: Tensor, h: int, w: int) -> Tensor:
    return F.interpolate(x, (h, w), mode="bilinear", align_corners=True)


def _by_target(chunk: Tensor, targets: int) -> Tensor:
    """(B * s, C, H, W) -> the same memory as (B, s, C, H, W)."""
    return chunk.view(targets, -1, *chunk.shape[1:])


def _laid_out(x: Tensor) -> Tensor:
    """Channels last where that is faster, which is on a CPU, and safe, which is without gradients."""
    faster = x.is_cpu and not torch.is_grad_enabled()
    return x.contiguous(memory_format=torch.channels_last if faster else torch.contiguous_format)


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)
