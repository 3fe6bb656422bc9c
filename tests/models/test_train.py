"""Training: it learns, it resumes, and what it writes can be loaded."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.data import EpisodeSampler
from models.registry import load
from models.train import Batch, Episodes, Recipe, Trainer, collapse_meter, train

SYNTHETIC = EpisodeSampler([], synthetic_share=1.0, superpixel_share=0.0)
SMALL = Recipe(batch=2, largest_context=2, no_context=0.0, steps=2)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return next(iter(Episodes(SYNTHETIC, SMALL, 0)))


def test_a_batch_holds_queries_and_contexts_scaled_as_the_predictor_scales(batch: Batch) -> None:
    assert batch.images.shape == batch.masks.shape
    assert batch.images.shape[0] == 2 and batch.images.shape[1] in (2, 3)
    assert batch.images.amin((-2, -1)).max() == 0 and batch.images.amax((-2, -1)).min() == 1
    assert set(batch.masks.unique().tolist()) <= {0.0, 1.0}


def test_the_loss_falls_on_a_batch_seen_again_and_again(batch: Batch) -> None:
    trainer = Trainer(SMALL, torch.device("cpu"))
    losses = [trainer.learn(batch, 0.1) for _ in range(25)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert trainer.step == 25


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path, batch: Batch) -> None:
    first = Trainer(SMALL, torch.device("cpu"))
    first.learn(batch, 0.5)
    first.save(tmp_path / "checkpoint.pt")
    straight = [first.learn(batch, 0.5) for _ in range(2)]
    second = Trainer(SMALL, torch.device("cpu"))
    second.restore(tmp_path / "checkpoint.pt")
    resumed = [second.learn(batch, 0.5) for _ in range(2)]
    assert resumed == pytest.approx(straight, rel=1e-4)
    assert second.step == first.step


def test_a_batch_that_explodes_leaves_the_network_as_it_was(batch: Batch) -> None:
    trainer = Trainer(SMALL, torch.device("cpu"))
    before = {name: p.clone() for name, p in trainer.network.named_parameters()}
    trainer.learn(Batch(batch.images * float("nan"), batch.masks), 0.5)
    for name, parameter in trainer.network.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_the_collapse_meter_is_zero_when_both_contexts_are_the_same(batch: Batch) -> None:
    network = Trainer(SMALL, torch.device("cpu")).average
    twice = Batch(batch.images[:1].repeat(2, 1, 1, 1, 1), batch.masks[:1].repeat(2, 1, 1, 1, 1))
    assert collapse_meter(network, twice) == pytest.approx(0, abs=1e-5)


def test_a_short_run_ends_with_weights_that_load_and_a_log(tmp_path: Path) -> None:
    weights = train(tmp_path, minutes=0.02, packs=None, recipe=SMALL, loaders=0)
    assert len(load("memory-v1", weights=weights).encode_context([])) == 0
    log = (tmp_path / "log.jsonl").read_text()
    assert '"loss"' in log and '"step"' in log
