"""Training in several processes: one network, learned from the batches of all of them."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from models.data import EpisodeSampler
from models.episodes import Batches, Episode
from models.parallel import as_the_first_says, average_gradients, rank, run_in_processes
from models.train import Recipe, Trainer, train

RECIPE = Recipe(episode=Episode(batch=1, largest_context=1, steps=(2,)), half=False)
SYNTHETIC = EpisodeSampler([], synthetic_share=1.0, superpixel_share=0.0)


def learn_two_steps(out: Path) -> None:
    trainer = Trainer(RECIPE, torch.device("cpu"))
    stream = iter(Batches(SYNTHETIC, RECIPE.episode, seed=0, start=0, part=rank()))
    for _ in range(2):
        trainer.learn(next(stream), 0.5)
    torch.save(trainer.network.state_dict(), out / f"{rank()}.pt")


def average_of_what_each_has(out: Path) -> None:
    both, one = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    both.grad = torch.tensor([1.0, 2.0]) * (1 + rank())
    if rank() == 1:
        one.grad = torch.tensor([4.0])
    average_gradients([both, one])
    torch.save([both.grad, one.grad, as_the_first_says(7.5 + rank())], out / f"{rank()}.pt")


def fail_in_the_second(_: Path) -> None:
    if rank() == 1:
        raise ValueError("the second has had enough")
    time.sleep(600)  # in a step that takes for ever; one that averages with the second fails itself


def test_gradients_are_averaged_and_the_first_ones_clock_rules(tmp_path: Path) -> None:
    run_in_processes(2, average_of_what_each_has, tmp_path)
    for part in "01":
        both, one, said = torch.load(tmp_path / f"{part}.pt")
        assert both.tolist() == [1.5, 3.0] and one.tolist() == [2.0] and said == 7.5


def test_all_processes_have_the_same_weights_after_other_batches(tmp_path: Path) -> None:
    run_in_processes(2, learn_two_steps, tmp_path)
    first, second = (torch.load(tmp_path / f"{part}.pt") for part in "01")
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    (tmp_path / "alone").mkdir()
    run_in_processes(1, learn_two_steps, tmp_path / "alone")
    alone = torch.load(tmp_path / "alone" / "0.pt")
    assert any(not torch.equal(first[name], alone[name]) for name in first)


def test_the_error_of_one_ends_them_all(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="the second has had enough"):
        run_in_processes(2, fail_in_the_second, tmp_path)


def test_none_outlives_the_one_that_started_them_even_if_it_is_killed() -> None:
    work = "import time; from models.parallel import run_in_processes; run_in_processes(2, time.sleep, 600)"
    with subprocess.Popen([sys.executable, "-c", work]) as first:
        started = psutil.Process(first.pid)
        deadline = time.monotonic() + 60
        while len(started.children()) < 3 and time.monotonic() < deadline:  # the two, and a tracker
            time.sleep(0.1)
        others = started.children()
        first.kill()
    assert len(others) == 3
    _, left = psutil.wait_procs(others, timeout=60)
    assert not left


def test_two_processes_train_go_on_and_write_once(tmp_path: Path) -> None:
    for minutes in (0.02, 0.04):
        weights = train(tmp_path, minutes=minutes, packs=None, recipe=RECIPE, loaders=0, processes=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "log.jsonl", weights.name]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_weights_that_are_none_are_refused_before_anything_starts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"broken\.safetensors"):
        train(out, minutes=1, packs=None, start=tmp_path / "broken.safetensors", processes=2)
    assert not out.exists()


def test_several_processes_on_a_gpu_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.train.device_called", lambda name: name)
    with pytest.raises(ValueError, match="on a CPU only"):
        train(tmp_path, minutes=1, packs=None, recipe=RECIPE, device="cuda", processes=2)
    assert not any(tmp_path.iterdir())
