"""The commands that need no service: evaluate and train, as typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli import app
from commands.evaluate import Score, overall, read_tasks
from models.evaluate import Row, summarise
from models.registry import load
from models.synthetic import sample_task


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Eight images of one synthetic task."""
    images, masks = sample_task(np.random.default_rng(1), 8)
    path = tmp_path / "cells.npz"
    np.savez(
        path,
        images=(images * 255).astype(np.uint8),
        labels=masks.astype(np.uint8),
        label_names=np.array(["cell"]),
        subject=np.array([""] * 8),
    )
    return path


def test_evaluate_prints_a_row_per_task_and_writes_all_it_measured(pack: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", str(pack), "--images", "4", "--seeds", "2", "--budget", "2"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "scores.json")])
    assert result.exit_code == 0, result.output
    assert "cells/cell" in result.output
    report = json.loads((tmp_path / "scores.json").read_text())
    assert report["protocol"]["images"] == 4 and report["seeds"] == 2
    (task,) = report["tasks"]
    assert task["task"] == "cells/cell" and set(task["untouched"]) <= {"1", "2", "4"}
    for kind in ("with_context", "without_context"):
        assert 0 <= task[kind]["interactions"] <= 2 and 0 <= task[kind]["reach_rate"] <= 1
    assert report["overall"]["with_context"] == task["with_context"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "nowhere"], "not a pack"),
        (["evaluate", "{empty}"], "no .npz packs"),
        (["evaluate", "{pack}", "--label", "wing"], "cells/cell"),
        (["evaluate", "{pack}", "--model", "unet"], "memory-v1"),
        (["evaluate", "{pack}", "--weights", "nowhere"], "no weights file"),
        (["train", "--out", "{empty}/run", "--packs", "{empty}"], "DATASETS.md"),
        (["simulate", "nowhere", "--label", "x"], "neither a folder"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(
    pack: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"pack": pack, "empty": tmp_path / "empty"}
    result = CliRunner().invoke(app, [argument.format(**places) for argument in arguments])
    assert result.exit_code == 1
    assert said in result.output and "Traceback" not in result.output


def test_train_writes_weights_that_can_be_evaluated(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--minutes", "0.01", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert load("memory-v1", weights=tmp_path / "weights.safetensors").weights_sha256


def test_every_task_weighs_the_same_in_the_mean() -> None:
    def score(name: str, counts: list[int], untouched: dict[int, float]) -> Score:
        rows = [Row(i, i, n, 0.0, 0.9, True) for i, n in enumerate(counts)]
        return Score(name, summarise([rows]), summarise([rows]), untouched)

    mean = overall([score("a", [4, 2], {1: 0.5}), score("b", [0, 0, 0, 0], {1: 0.7, 2: 0.9})])
    assert mean.with_context.interactions == 1.5
    assert mean.untouched == pytest.approx({1: 0.6, 2: 0.9})
    with pytest.raises(ValueError, match="no task"):
        overall([])


def test_a_folder_of_packs_gives_all_their_tasks(pack: Path) -> None:
    assert [task.name for task in read_tasks([pack.parent], None)] == ["cells/cell"]
