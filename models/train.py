"""Training of the default network: from nothing or from a checkpoint, on CPU or GPU, for a given time.

The recipe follows MultiverSeg and ScribblePrompt (research settings: a batch of different tasks, a
context of random size, a few interactive steps with corrections simulated on the network's own error)
and leaves the schedule to the clock: the learning rate falls along a cosine over ``minutes``.
"""

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.data import EpisodeSampler, read_packs
from models.encoding import SIDE, Frame, encode_prompts
from models.losses import segmentation_loss
from models.memory import ContextMemory, Opened
from models.prompts import Prompt
from models.simulators import PromptKind, correction, first_prompts, random_click
from models.weights_file import save_weights

SQUARE = Frame(SIDE, SIDE)
LOG_STEPS, SAVE_SECONDS = 50, 300.0
Rng = np.random.Generator


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, except how long it takes and on what."""

    batch: int = 4
    largest_context: int = 16  # sizes are log-uniform: the first images of a project matter most
    no_context: float = 0.12  # share of batches with S = 0
    untouched: float = 0.5  # share of elements with context whose first step has no prompt
    steps: int = 3  # predictions per episode: the first, then corrections
    noisy_context: float = 0.25  # share of context masks that are not quite right
    ink_weight: float = 0.3  # extra weight of the pixels under ink: a click must take its sign
    synthetic_share: float = 0.4
    superpixel_share: float = 0.1
    learning_rate: float = 1.5e-3
    warmup: float = 0.02  # share of the time
    weight_decay: float = 1e-4
    ema: float = 0.999
    seed: int = 0


class Batch(NamedTuple):
    """B tasks: images and masks (B, 1 + S, 1, H, W), float32, the query first."""

    images: Tensor
    masks: Tensor


class Episodes(IterableDataset[Batch]):
    """An endless stream of batches; each loader process has its own random numbers."""

    def __init__(self, sampler: EpisodeSampler, recipe: Recipe, start: int) -> None:
        super().__init__()
        self.sampler, self.recipe, self.start = sampler, recipe, start

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        rng = np.random.default_rng([self.recipe.seed, self.start, info.id if info else 0])
        while True:
            yield self._batch(rng)

    def _batch(self, rng: Rng) -> Batch:
        empty = rng.random() < self.recipe.no_context
        size = 0 if empty else int(np.exp(rng.uniform(0, np.log(self.recipe.largest_context + 1))))
        drawn = [self.sampler.draw(rng, size) for _ in range(self.recipe.batch)]
        images = torch.from_numpy(np.stack([images for images, _ in drawn]))[:, :, None]
        masks = torch.from_numpy(np.stack([masks for _, masks in drawn]))[:, :, None].float()
        low, high = images.amin((-2, -1), True), images.amax((-2, -1), True)
        return Batch((images - low) / (high - low).clamp_min(1e-3), masks)


def episode_loss(network: ContextMemory, batch: Batch, rng: Rng, recipe: Recipe) -> Tensor:
    """The mean loss over the interactive steps of a batch: one encoding, one opening, several decodings."""
    opened = open_query(network, batch, rng, recipe)
    truth = batch.masks[:, 0]
    truths = truth[:, 0].bool().cpu().numpy()
    prompts: list[list[Prompt]] = [[] for _ in truths]
    kinds = [_kind(rng) for _ in truths]
    has_context = batch.images.shape[1] > 1
    logits = torch.zeros_like(truth)
    losses = []
    for step in range(recipe.steps):
        predicted = (logits[:, 0] > 0).cpu().numpy()
        for i, given in enumerate(prompts):
            if step == 0 and has_context and rng.random() < recipe.untouched:
                continue
            given += _drawn(rng, kinds[i], truths[i], predicted[i] if step else None)
        ink = torch.from_numpy(np.stack([encode_prompts(p, SQUARE) for p in prompts]))
        ink = ink.to(truth.device)
        logits = network.decode(opened, torch.cat([ink, logits.detach()], dim=1)).float()
        losses.append(segmentation_loss(logits, truth) + recipe.ink_weight * _under_ink(logits, truth, ink))
    return torch.stack(losses).mean()


def open_query(network: ContextMemory, batch: Batch, rng: Rng, recipe: Recipe) -> Opened:
    """Encodes query and context, and lets the query read a context that is a little noisy."""
    features = network.encode(batch.images[:, 0])
    if batch.images.shape[1] == 1:
        return network.open(features, None)
    masks = _disturbed(batch.masks[:, 1:], rng, recipe.noisy_context)
    return network.open(features, network.remember_all(batch.images[:, 1:], masks))


def _kind(rng: Rng) -> PromptKind:
    kinds: tuple[PromptKind, ...] = ("click", "scribble", "box")
    return kinds[int(rng.choice(3, p=(0.55, 0.3, 0.15)))]


def _drawn(rng: Rng, kind: PromptKind, truth: np.ndarray, predicted: np.ndarray | None) -> list[Prompt]:
    """The next prompts of one element: usually one, sometimes more clicks on the same error."""
    if predicted is None:
        return first_prompts(rng, kind, truth)
    given = correction(rng, kind, truth, predicted)
    if kind != "scribble" and rng.random() < 0.4:
        extra = [random_click(rng, truth, predicted) for _ in range(int(rng.integers(1, 4)))]
        given += [click for click in extra if click is not None]
    return given


def _disturbed(masks: Tensor, rng: Rng, share: float) -> Tensor:
    """Context masks as teams accept them: some grown, shrunk or displaced by a pixel or two."""
    b, s = masks.shape[:2]
    flat = masks.flatten(0, 1).clone()
    for i in np.flatnonzero(rng.random(b * s) < share):
        size = int(rng.choice([3, 3, 5]))
        one = flat[i : i + 1]
        match int(rng.integers(3)):
            case 0:
                one = F.max_pool2d(one, size, 1, size // 2)
            case 1:
                one = 1 - F.max_pool2d(1 - one, size, 1, size // 2)
            case _:
                shift = [int(v) for v in rng.integers(-2, 3, 2)]
                one = torch.roll(one, shift, dims=(-2, -1))
        if one.any():
            flat[i : i + 1] = one
    return flat.view_as(masks)


def _under_ink(logits: Tensor, truth: Tensor, ink: Tensor) -> Tensor:
    """Cross-entropy on the pixels that clicks and strokes cover; 0 where there is no ink."""
    weight = ink[:, 1:].amax(dim=1, keepdim=True)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp_min(1.0)


@torch.no_grad()
def collapse_meter(network: ContextMemory, batch: Batch) -> float:
    """Soft Dice of untouched predictions with the right context minus that with another task's.

    Near 0 the network ignores its context (the failure of in-context nets trained on few tasks).
    """
    features = network.encode(batch.images[:, 0])
    memory = network.remember_all(batch.images[:, 1:], batch.masks[:, 1:])
    other = network.remember_all(batch.images[:, 1:].roll(1, 0), batch.masks[:, 1:].roll(1, 0))
    blank = batch.images.new_zeros(batch.images.shape[0], 4, SIDE, SIDE)
    scores = []
    for context in (memory, other):
        p = torch.sigmoid(network.decode(network.open(features, context), blank).float())
        y = batch.masks[:, 0]
        dice = 2 * (p * y).sum((1, 2, 3)) / (p + y).sum((1, 2, 3)).clamp_min(1.0)
        scores.append(dice.mean())
    return float(scores[0] - scores[1])


class Trainer:
    """Network, its moving average, optimiser and clock: what a checkpoint holds."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.network = ContextMemory().to(device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.step, self.seconds = 0, 0.0

    def learn(self, batch: Batch, progress: float) -> float:
        """One optimiser step at ``progress`` in [0, 1] of the schedule; returns the loss."""
        batch = Batch(batch.images.to(self.device), batch.masks.to(self.device))
        rate = self.recipe.learning_rate * _rate(progress, self.recipe.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng([self.recipe.seed, self.step])
        half = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            loss = episode_loss(self.network, batch, rng, self.recipe)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):  # a single bad batch must not end a run of hours
            self.optimiser.step()
            self.step += 1
            self._follow()
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)

    def save(self, path: Path) -> None:
        """Writes a checkpoint, whole or not at all."""
        state = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        draft = path.with_suffix(".draft")
        torch.save(state, draft)
        draft.replace(path)

    def restore(self, path: Path) -> None:
        """Goes on from a checkpoint, with this trainer's recipe."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def _rate(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(
    out: Path,
    *,
    minutes: float,
    packs: Path | None,
    exclude: tuple[str, ...] = (),
    recipe: Recipe | None = None,
    device: str = "cpu",
    loaders: int = 1,
) -> Path:
    """Trains for ``minutes`` in all, going on from ``out``/checkpoint.pt if it is there.

    ``packs`` is a folder of packs with their DATASETS.md: those of licence class A, less ``exclude``, are
    used; None trains on synthetic tasks alone. Returns the path of the weights (the moving average).
    """
    recipe = recipe or Recipe()
    chosen = [p for p in read_packs(packs, ["A"]) if p.name not in exclude] if packs else []
    shares = (recipe.synthetic_share, recipe.superpixel_share) if chosen else (1.0, 0.0)
    sampler = EpisodeSampler(chosen, synthetic_share=shares[0], superpixel_share=shares[1])
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, torch.device(device))
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.restore(checkpoint)
    loader = DataLoader(
        Episodes(sampler, recipe, trainer.step),
        batch_size=None,
        num_workers=loaders,
        prefetch_factor=4 if loaders else None,
    )
    _run(trainer, loader, out, minutes * 60)
    trainer.save(checkpoint)
    weights = out / "weights.safetensors"
    save_weights(trainer.average, weights)
    return weights


def _run(trainer: Trainer, loader: DataLoader[Batch], out: Path, limit: float) -> None:
    """The loop: learn, log every 50 steps, save every five minutes, stop when the time is up."""
    began, saved = time.monotonic() - trainer.seconds, time.monotonic()
    losses: list[float] = []
    with (out / "log.jsonl").open("a") as log, _progress() as progress:
        bar = progress.add_task("Training", total=limit, loss="")
        for batch in loader:
            losses.append(trainer.learn(batch, min(1.0, trainer.seconds / limit)))
            trainer.seconds = time.monotonic() - began
            done = trainer.seconds >= limit
            if len(losses) == LOG_STEPS or done:
                row = _log_row(trainer, batch, losses)
                log.write(json.dumps(row) + "\n")
                log.flush()
                losses.clear()
                progress.update(bar, loss=f"step {row['step']}, loss {row['loss']}")
            progress.update(bar, completed=trainer.seconds)
            if time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(out / "checkpoint.pt")
                saved = time.monotonic()
            if done:
                return


def _log_row(trainer: Trainer, batch: Batch, losses: list[float]) -> dict[str, float]:
    row = {
        "step": trainer.step,
        "seconds": round(trainer.seconds),
        "loss": round(float(np.mean(losses)), 4),
    }
    if batch.images.shape[1] > 1:
        batch = Batch(batch.images.to(trainer.device), batch.masks.to(trainer.device))
        row["collapse_meter"] = round(collapse_meter(trainer.average, batch), 4)
    return row


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=Console(stderr=True),
    )
