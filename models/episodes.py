"""One training episode: a batch of tasks, contexts not quite right, prompts on the network's own errors.

The interactive part follows ScribblePrompt (Wong et al., ECCV 2024): prompts first, then corrections of
what the network made of them, its last logits fed back. Contexts here hold masks as teams accept them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from models.data import EpisodeSampler
from models.encoding import NEGATIVE, POSITIVE, SIDE, Floats, Frame, encode_prompts
from models.noise import smooth_noise
from models.prompts import Prompt
from models.simulators import (
    PromptKind,
    any_correction,
    any_first,
    correction,
    first_prompts,
    random_click,
)

SQUARE = Frame(SIDE, SIDE)
Mask = NDArray[np.bool_]
Rng = np.random.Generator


@dataclass(frozen=True)
class Episode:
    """What decides a batch and how it is annotated; the shares are of elements, unless they say otherwise."""

    batch: int = 4
    largest_context: int = 16  # sizes are log-uniform: the first images of a project matter most
    no_context: float = 0.12  # share of batches with S = 0
    misled: float = 0.06  # share given another task's context: prompts must then win
    untouched: float = 0.5  # share of those with context whose first step has no prompt
    by_protocol: float = 0.4  # share annotated as evaluation does; the others prompt in all kinds of ways
    burst: float = 0.15  # share whose first step holds many prompts, as late in an annotation
    sloppy: float = 0.5  # share whose context has masks that are not quite right
    steps: tuple[int, ...] = (2, 3, 3, 3, 4, 4, 6)  # predictions per batch, one of these


class Batch(NamedTuple):
    """B tasks: images and masks (B, 1 + S, 1, H, W), float32, the query first.

    ``steps`` is how many predictions their annotators see.
    """

    images: Tensor
    masks: Tensor
    steps: int

    def to(self, device: torch.device) -> "Batch":
        """The same on ``device``."""
        return self._replace(images=self.images.to(device), masks=self.masks.to(device))


class Batches(IterableDataset[Batch]):
    """An endless stream of batches; each part of a training and each of its loaders has its own.

    At every step all parts have batches of the same size, so that none waits long for another.
    """

    def __init__(
        self, sampler: EpisodeSampler, episode: Episode, *, seed: int, start: int, part: int = 0
    ) -> None:
        super().__init__()
        self.sampler, self.episode = sampler, episode
        self.seeds, self.part = (seed, start), part

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        loader = info.id if info else 0
        together = np.random.default_rng([*self.seeds, loader])
        alone = np.random.default_rng([*self.seeds, loader, 1 + self.part])
        while True:
            yield self._batch(together, alone)

    def _batch(self, together: Rng, rng: Rng) -> Batch:
        empty = together.random() < self.episode.no_context
        size = 0 if empty else int(np.exp(together.uniform(0, np.log(self.episode.largest_context + 1))))
        steps = int(together.choice(self.episode.steps))
        drawn = [self.sampler.draw(rng, size) for _ in range(self.episode.batch)]
        images = torch.from_numpy(np.stack([images for images, _ in drawn]))[:, :, None]
        masks = torch.from_numpy(np.stack([masks for _, masks in drawn]))[:, :, None].float()
        low, high = images.amin((-2, -1), True), images.amax((-2, -1), True)
        return Batch((images - low) / (high - low).clamp_min(1e-3), masks, steps)


class Annotators:
    """One simulated annotator per element of a batch: they see the last masks and prompt."""

    def __init__(self, rng: Rng, truth: Tensor, episode: Episode, *, has_context: bool) -> None:
        """``truth`` is (B, 1, H, W), 0 or 1."""
        self._rng, self._episode = rng, episode
        self._truths: NDArray[np.bool_] = truth[:, 0].bool().cpu().numpy()
        count = len(self._truths)
        self._ink = np.zeros((count, 3, SIDE, SIDE), np.float32)
        self._kinds = [_kind(rng) for _ in range(count)]
        self._by_protocol = rng.random(count) < episode.by_protocol
        # What is not in an image can only be told from the context, and nobody prompts for it at first.
        absent = ~self._truths.any((1, 2)) & has_context
        self.misled = (rng.random(count) < episode.misled) & has_context & ~absent
        self._waiting = (rng.random(count) < episode.untouched) & has_context & ~self.misled | absent

    def prompt(self, predicted: Tensor | None) -> Tensor:
        """Encoded prompts (B, 3, H, W) so far, after one more step; ``predicted`` are the last logits."""
        seen = None if predicted is None else (predicted[:, 0] > 0).cpu().numpy()
        for i in range(len(self._truths)):
            if self._waiting[i]:
                self._waiting[i] = False
            else:
                given = self._first(i) if seen is None else self._next(i, seen[i])
                self._ink[i] = painted_over(self._ink[i], encode_prompts(given, SQUARE))
        return torch.from_numpy(self._ink.copy())

    def _first(self, i: int) -> list[Prompt]:
        truth = self._truths[i]
        if self._by_protocol[i]:
            given = first_prompts(self._rng, self._kinds[i], truth)
        else:
            given = any_first(self._rng, truth)
        if self._rng.random() < self._episode.burst:
            fake = sloppy_mask(self._rng, truth, 4.0)
            given += self._clicks(truth, fake, int(self._rng.integers(2, 10)))
        return given

    def _next(self, i: int, seen: Mask) -> list[Prompt]:
        if self._by_protocol[i]:
            return correction(self._rng, self._kinds[i], self._truths[i], seen)
        return any_correction(self._rng, self._truths[i], seen)

    def _clicks(self, truth: Mask, seen: Mask, count: int) -> list[Prompt]:
        clicks = [random_click(self._rng, truth, seen) for _ in range(count)]
        return [click for click in clicks if click is not None]


def painted_over(ink: Floats, fresh: Floats) -> Floats:
    """Encoded prompts (3, H, W) on top of older ones: what encoding all of them in order gives."""
    painted = np.maximum(ink, fresh)
    for own, other in ((POSITIVE, NEGATIVE), (NEGATIVE, POSITIVE)):
        painted[own] = np.maximum(np.minimum(ink[own], 1 - fresh[other]), fresh[own])
    return painted


def _kind(rng: Rng) -> PromptKind:
    kinds: tuple[PromptKind, ...] = ("click", "scribble", "box")
    return kinds[int(rng.choice(3, p=(0.55, 0.3, 0.15)))]


def accepted_context(rng: Rng, masks: Tensor, episode: Episode) -> Tensor:
    """Context masks (B, S, 1, H, W) as teams accept them: in some tasks many are off by a pixel or two."""
    disturbed = masks.clone()
    for task in np.flatnonzero(rng.random(len(masks)) < episode.sloppy):
        share, amount = rng.uniform(0.2, 1), rng.uniform(0.5, 3)
        for s in np.flatnonzero(rng.random(masks.shape[1]) < share):
            mask = sloppy_mask(rng, masks[task, s, 0].bool().numpy(), amount)
            disturbed[task, s, 0] = torch.from_numpy(mask)
    return disturbed


def sloppy_mask(rng: Rng, mask: Mask, amount: float) -> Mask:
    """The mask with a border that wanders by about ``amount`` pixels, less where it is thin.

    Returns the mask itself when nothing of it would be left.
    """
    side = mask.shape[0]
    depth = ndimage.distance_transform_edt(mask)
    amount = min(amount, 0.5 * float(depth[mask].mean())) if mask.any() else amount
    wander = smooth_noise(rng, 1, side, rng.uniform(2, 12))[0] + rng.normal(0, 0.5)
    soft = ndimage.gaussian_filter(mask.astype(np.float32), amount, truncate=2)
    wandered: Mask = soft > 0.5 + 0.2 * wander.clip(-2, 2)
    return wandered if wandered.any() else mask
