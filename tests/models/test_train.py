"""Training: it learns, it resumes, and what it writes can be loaded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data import EpisodeSampler
from models.encoding import SIDE
from models.episodes import Batch, Batches, Episode
from models.memory import ContextMemory, MemoryConfig
from models.registry import load
from models.train import Recipe, Trainer, collapse_meter, open_query, train
from models.weights_file import load_weights, save_weights

SYNTHETIC = EpisodeSampler([], synthetic_share=1.0, superpixel_share=0.0)
EPISODE = Episode(batch=2, largest_context=2, no_context=0.0, sloppy=0.0, steps=(2,))
SMALL = Recipe(episode=EPISODE)
NARROW = MemoryConfig(widths=(8, 16, 16, 16, 32))  # not what a run from nothing has
NOBODY, EVERYBODY = np.zeros(2, np.bool_), np.ones(2, np.bool_)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return next(iter(Batches(SYNTHETIC, EPISODE, seed=0, start=0)))


def without_prompts(
    trainer: Trainer, batch: Batch, misled: NDArray[np.bool_], recipe: Recipe = SMALL
) -> Tensor:
    """What the network makes of the queries when nobody prompts."""
    opened = open_query(trainer.network, batch, np.random.default_rng(0), recipe, misled)
    return trainer.network.decode(opened, torch.zeros(2, 4, SIDE, SIDE))


def with_contexts_swapped(batch: Batch) -> Batch:
    images, masks = (torch.cat([part[:, :1], part[:, 1:].roll(1, 0)], dim=1) for part in batch[:2])
    return batch._replace(images=images, masks=masks)


def test_the_loss_falls_on_a_batch_seen_again_and_again(batch: Batch) -> None:
    trainer = Trainer(SMALL, torch.device("cpu"))
    losses = [trainer.learn(batch, 0.1) for _ in range(25)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert trainer.step == 25


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path, batch: Batch) -> None:
    first = Trainer(SMALL, torch.device("cpu"), ContextMemory(NARROW))
    first.learn(batch, 0.5)
    first.save(tmp_path / "checkpoint.pt")
    straight = [first.learn(batch, 0.5) for _ in range(2)]
    second = Trainer.resumed(tmp_path / "checkpoint.pt", SMALL, torch.device("cpu"))
    resumed = [second.learn(batch, 0.5) for _ in range(2)]
    assert resumed == pytest.approx(straight, rel=1e-4)
    assert second.step == first.step


def test_a_run_begins_with_given_weights(tmp_path: Path, batch: Batch) -> None:
    given = ContextMemory(NARROW)
    save_weights(given, tmp_path / "weights.safetensors")
    trainer = Trainer(SMALL, torch.device("cpu"), load_weights(tmp_path / "weights.safetensors"))
    for network in (trainer.network, trainer.average):
        torch.testing.assert_close(network.state_dict(), given.state_dict(), atol=1e-3, rtol=1e-3)
    assert np.isfinite(trainer.learn(batch, 0.5)) and trainer.step == 1


def test_a_batch_that_explodes_leaves_the_network_as_it_was(batch: Batch) -> None:
    trainer = Trainer(SMALL, torch.device("cpu"))
    before = {name: p.clone() for name, p in trainer.network.named_parameters()}
    trainer.learn(batch._replace(images=batch.images * float("nan")), 0.5)
    for name, parameter in trainer.network.named_parameters():
        assert torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("able", [False, True])
def test_a_cpu_calculates_in_half_precision_only_if_it_can(
    monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    assert Trainer(replace(SMALL, half=True), torch.device("cpu")).half is able
    assert not Trainer(replace(SMALL, half=False), torch.device("cpu")).half


def test_the_collapse_meter_is_zero_when_both_contexts_are_the_same(batch: Batch) -> None:
    network = Trainer(SMALL, torch.device("cpu")).average
    twice = Batch(batch.images[:1].repeat(2, 1, 1, 1, 1), batch.masks[:1].repeat(2, 1, 1, 1, 1), 3)
    assert collapse_meter(network, twice) == pytest.approx(0, abs=1e-5)


def test_the_collapse_meter_leaves_out_queries_without_the_object(batch: Batch) -> None:
    network = Trainer(SMALL, torch.device("cpu")).average
    masks = batch.masks.clone()
    meters = [collapse_meter(network, batch)]
    for query in (1, 0):
        masks[query, 0] = 0
        meters.append(collapse_meter(network, batch._replace(masks=masks)))
    first = meters[1]  # that of the first query alone
    assert first not in (0, pytest.approx(meters[0]), pytest.approx(meters[0] / 2)) and meters[2] == 0


def test_a_misled_element_reads_the_context_of_another(batch: Batch) -> None:
    trainer = Trainer(SMALL, torch.device("cpu"))
    trainer.network.eval()
    with torch.no_grad():
        own, misled = (without_prompts(trainer, batch, who) for who in (NOBODY, EVERYBODY))
        swapped = without_prompts(trainer, with_contexts_swapped(batch), NOBODY)
    torch.testing.assert_close(misled, swapped)
    assert not torch.allclose(misled, own)


def test_images_beyond_those_learned_from_are_read_all_the_same() -> None:
    stream = Batches(SYNTHETIC, replace(EPISODE, largest_context=5), seed=0, start=0)
    large = next(batch for batch in stream if batch.images.shape[1] > 3)
    trainer = Trainer(SMALL, torch.device("cpu"))
    trainer.network.eval()
    few, all_of_them = (replace(SMALL, learned_context=count) for count in (1, 99))
    learned = without_prompts(trainer, large, NOBODY, few)
    torch.testing.assert_close(learned, without_prompts(trainer, large, NOBODY, all_of_them))
    assert learned.requires_grad


def test_a_query_without_context_is_learned_from(batch: Batch) -> None:
    alone = batch._replace(images=batch.images[:, :1], masks=batch.masks[:, :1])
    trainer = Trainer(SMALL, torch.device("cpu"))
    assert np.isfinite(trainer.learn(alone, 0.5)) and trainer.step == 1


def test_a_short_run_ends_with_weights_that_load_and_a_log(tmp_path: Path) -> None:
    weights = train(tmp_path, minutes=0.02, packs=None, recipe=SMALL, loaders=0)
    assert len(load("memory-v1", weights=weights).encode_context([])) == 0
    log = (tmp_path / "log.jsonl").read_text()
    assert '"loss"' in log and '"step"' in log
