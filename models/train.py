"""Training of the default network: from nothing or from a checkpoint, on CPU or GPU, for a given time.

The recipe follows MultiverSeg and ScribblePrompt (research settings: a batch of different tasks, a
context of random size, a few interactive steps with corrections simulated on the network's own error)
and leaves the schedule to the clock: the learning rate falls along a cosine over ``minutes``.
"""

import copy
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.data import EpisodeSampler, read_packs
from models.devices import device_called
from models.encoding import SIDE
from models.episodes import Annotators, Batch, Batches, Episode, accepted_context
from models.losses import ink_loss, segmentation_loss, soft_dice_loss
from models.memory import ContextMemory, Opened
from models.parallel import as_the_first_says, average_gradients, rank, run_in_processes
from models.weights_file import config_from, load_weights, save_weights

LOG_STEPS, SAVE_SECONDS = 50, 300.0
CHECKPOINT, WEIGHTS = "checkpoint.pt", "weights.safetensors"
Rng = np.random.Generator


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, except how long it takes and on what."""

    episode: Episode = field(default_factory=Episode)
    learned_context: int = 4  # context images per task that gradients flow through
    ink_weight: float = 0.3  # extra weight of the pixels under ink: a click must take its sign
    decline_weight: float = 0.5  # weight of a correction's harm: the soft Dice it loses
    synthetic_share: float = 0.4
    superpixel_share: float = 0.1
    learning_rate: float = 1.5e-3
    warmup: float = 0.02  # share of the time
    weight_decay: float = 1e-4
    ema: float = 0.999
    half: bool = True  # bf16 where that is safe, on devices that calculate in it
    seed: int = 0


def episode_loss(network: ContextMemory, batch: Batch, rng: Rng, recipe: Recipe, progress: float) -> Tensor:
    """The mean loss over the interactive steps of a batch: one encoding, one opening, several decodings.

    The weights of ink and harm grow with ``progress`` in [0, 1]: early they hold up the learning of all else.
    """
    truth = batch.masks[:, 0]
    annotators = Annotators(rng, truth, recipe.episode, has_context=batch.images.shape[1] > 1)
    opened = open_query(network, batch, rng, recipe, annotators.misled)
    logits, before, losses = None, None, []
    for _ in range(batch.steps):
        ink = annotators.prompt(logits).to(truth.device)
        fed_back = torch.zeros_like(truth) if logits is None else logits.detach()
        logits = network.decode(opened, torch.cat([ink, fed_back], dim=1)).float()
        under = progress * recipe.ink_weight * ink_loss(logits, truth, ink)
        losses.append(segmentation_loss(logits, truth) + under)
        dice_loss = soft_dice_loss(logits, truth)
        if before is not None:
            harm = (dice_loss - before).clamp_min(0).mean()
            losses[-1] = losses[-1] + progress * recipe.decline_weight * harm
        before = dice_loss.detach()
    return torch.stack(losses).mean()


def open_query(
    network: ContextMemory, batch: Batch, rng: Rng, recipe: Recipe, misled: NDArray[np.bool_]
) -> Opened:
    """Encodes query and context, and lets the query read a context with all its faults.

    Only the first few context images are learned from; the others are read as they are, which halves the
    cost of a step with a large context.
    """
    features = network.encode(batch.images[:, 0])
    if batch.images.shape[1] == 1:
        return network.open(features, None)
    masks = accepted_context(rng, batch.masks[:, 1:].cpu(), recipe.episode).to(batch.masks.device)
    images = batch.images[:, 1:]
    others = torch.as_tensor(np.where(misled, np.roll(np.arange(len(misled)), 1), np.arange(len(misled))))
    images, masks = images[others], masks[others]
    learned = recipe.learned_context
    memory = network.remember_all(images[:, :learned], masks[:, :learned])
    if images.shape[1] > learned:
        with torch.no_grad():
            rest = network.remember_all(images[:, learned:], masks[:, learned:])
        memory = memory.extended(rest)
    return network.open(features, memory)


@torch.no_grad()
def collapse_meter(network: ContextMemory, batch: Batch) -> float:
    """Soft Dice of untouched predictions with the right context minus that with another task's.

    Near 0 the network ignores its context (the failure of in-context nets trained on few tasks). Queries
    without the object do not count.
    """
    truth = batch.masks[:, 0]
    features = network.encode(batch.images[:, 0])
    memory = network.remember_all(batch.images[:, 1:], batch.masks[:, 1:])
    other = network.remember_all(batch.images[:, 1:].roll(1, 0), batch.masks[:, 1:].roll(1, 0))
    blank = batch.images.new_zeros(batch.images.shape[0], 4, SIDE, SIDE)
    scores = []
    for context in (memory, other):
        p = torch.sigmoid(network.decode(network.open(features, context), blank).float())
        dice = 2 * (p * truth).sum((1, 2, 3)) / (p + truth).sum((1, 2, 3)).clamp_min(1.0)
        scores.append(dice.sum() / truth.amax((1, 2, 3)).sum().clamp_min(1.0))
    return float(scores[0] - scores[1])


class Trainer:
    """Network, its moving average, optimiser and clock: what a checkpoint holds.

    Without a ``network`` to begin with it begins from nothing.
    """

    def __init__(self, recipe: Recipe, device: torch.device, network: ContextMemory | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.half = recipe.half and _calculates_in_bf16(device)
        self.network = (network or ContextMemory()).to(device).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.step, self.seconds = 0, 0.0

    def learn(self, batch: Batch, progress: float) -> float:
        """One optimiser step at ``progress`` in [0, 1] of the schedule; returns the loss."""
        batch = batch.to(self.device)
        rate = self.recipe.learning_rate * _rate(progress, self.recipe.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng([self.recipe.seed, self.step, rank()])
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            loss = episode_loss(self.network, batch, rng, self.recipe, progress)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.network.parameters())
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
            "config": asdict(self.network.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        draft = path.with_suffix(".draft")
        torch.save(state, draft)
        draft.replace(path)

    @classmethod
    def resumed(cls, path: Path, recipe: Recipe, device: torch.device) -> Self:
        """Goes on from a checkpoint, with another recipe if need be."""
        state = torch.load(path, map_location=device, weights_only=True)
        trainer = cls(recipe, device, ContextMemory(config_from(state.get("config", {}))))
        trainer.network.load_state_dict(state["network"])
        trainer.average.load_state_dict(state["average"])
        trainer.optimiser.load_state_dict(state["optimiser"])
        for group in trainer.optimiser.param_groups:
            group["weight_decay"] = recipe.weight_decay
        trainer.step, trainer.seconds = int(state["step"]), float(state["seconds"])
        return trainer


def _calculates_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than float32 there; a CPU that has to imitate it is many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


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
    start: Path | None = None,
    recipe: Recipe | None = None,
    device: str = "cpu",
    loaders: int = 1,
    processes: int = 1,
) -> Path:
    """Trains for ``minutes`` in all, going on from ``out``/checkpoint.pt if it is there.

    Otherwise it begins with the weights ``start``, or from nothing. ``packs`` is a folder of packs with their
    DATASETS.md: those of licence class A, less ``exclude``, are used; None trains on synthetic tasks alone.
    With several ``processes`` (on a CPU) every step learns from a batch of each.
    Returns the path of the weights (the moving average).
    """
    device = device_called(device)
    if processes > 1 and device != "cpu":
        raise ValueError(f"Several processes train together on a CPU only, not on {device}.")
    if minutes <= 0:
        raise ValueError(f"training takes more than {minutes:g} minutes")
    if start is not None:
        load_weights(start)  # a wrong file is refused here, once, and so is a checkpoint
    recipe = recipe or Recipe()
    if (out / CHECKPOINT).exists():
        _require_whole(out / CHECKPOINT, recipe)
    free = read_packs(packs, ["A"]) if packs else []
    if unknown := set(exclude) - {pack.name for pack in free}:
        raise ValueError(f"no pack of class A is called {sorted(unknown)[0]!r}, which is to be left out")
    chosen = [pack for pack in free if pack.name not in exclude]
    shares = (recipe.synthetic_share, recipe.superpixel_share) if chosen else (1.0, 0.0)
    sampler = EpisodeSampler(chosen, synthetic_share=shares[0], superpixel_share=shares[1])
    out.mkdir(parents=True, exist_ok=True)
    run_in_processes(processes, _run, recipe, sampler, out, start, device, loaders, minutes * 60)
    return out / WEIGHTS


def _require_whole(checkpoint: Path, recipe: Recipe) -> None:
    """Raises ValueError for a file that is no checkpoint of this network."""
    try:
        Trainer.resumed(checkpoint, recipe, torch.device("cpu"))
    except (UnpicklingError, RuntimeError, LookupError, TypeError, EOFError) as error:
        raise ValueError(f"{checkpoint} is damaged, or of another network. Name another folder.") from error


def _run(
    recipe: Recipe,
    sampler: EpisodeSampler,
    out: Path,
    start: Path | None,
    device: str,
    loaders: int,
    limit: float,
) -> None:
    """The run of one process; the first one writes."""
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        trainer = Trainer.resumed(checkpoint, recipe, torch.device(device))
    else:
        trainer = Trainer(recipe, torch.device(device), load_weights(start) if start else None)
    loader = DataLoader(
        Batches(sampler, recipe.episode, seed=recipe.seed, start=trainer.step, part=rank()),
        batch_size=None,
        num_workers=loaders,
        prefetch_factor=4 if loaders else None,
    )
    _learn(trainer, loader, out, limit)
    if rank() == 0:
        trainer.save(checkpoint)
        save_weights(trainer.average, out / WEIGHTS)


def _learn(trainer: Trainer, loader: DataLoader[Batch], out: Path, limit: float) -> None:
    """The loop: learn, log every 50 steps, save every five minutes, stop when the time is up."""
    first = rank() == 0
    began, saved = time.monotonic() - trainer.seconds, time.monotonic()
    losses: list[float] = []
    with (out / "log.jsonl" if first else Path(os.devnull)).open("a") as log, _progress(first) as progress:
        bar = progress.add_task("Training", total=limit, loss="")
        for batch in loader:
            losses.append(trainer.learn(batch, min(1.0, trainer.seconds / limit)))
            trainer.seconds = as_the_first_says(time.monotonic() - began)
            done = trainer.seconds >= limit
            if len(losses) == LOG_STEPS or done:
                row = _log_row(trainer, batch, losses)
                log.write(json.dumps(row) + "\n")
                log.flush()
                losses.clear()
                progress.update(bar, loss=f"step {row['step']}, loss {row['loss']}")
            progress.update(bar, completed=trainer.seconds)
            if first and time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(out / CHECKPOINT)
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
        batch = batch.to(trainer.device)
        row["collapse_meter"] = round(collapse_meter(trainer.average, batch), 4)
    return row


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=Console(stderr=True),
        disable=not shown,
    )
