"""The commands that need no service: evaluate and train, as typed."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cli import app
from commands.errors import CommandError
from commands.evaluate import Plan, evaluate, read_tasks
from commands.tables import Score, Untouched, calibrated, mean_scores, mean_untouched
from models.catalogue import SHIPPED
from models.evaluate import Estimate, Protocol, Row, summarise
from models.peers import MaskCopy, Picture
from models.registry import load
from models.synthetic import sample_task
from tests.files import nifti


def written(path: Path, images: int, lacking: int = 0) -> Path:
    """A pack of one synthetic task; the last ``lacking`` images have nothing of it."""
    drawn, masks = sample_task(np.random.default_rng(1), images, absent=np.arange(images) >= images - lacking)
    np.savez(
        path,
        images=(drawn * 255).astype(np.uint8),
        labels=masks.astype(np.uint8),
        label_names=np.array(["cell"]),
        subject=np.array([""] * images),
    )
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return written(tmp_path / "cells.npz", 8)


SHORT = ["--images", "3", "--seeds", "1", "--budget", "2"]


def test_evaluate_prints_a_row_per_task_and_writes_all_it_measured(tmp_path: Path) -> None:
    report = evaluated(written(tmp_path / "cells.npz", 12), tmp_path, "--table", "main")
    assert report["settings"]["protocol"]["images"] == 3 and report["settings"]["seeds"] == 1
    scores = report["main"]["tasks"]
    assert [(s["prompt"], s["variant"]) for s in scores] == [
        ("click", "with context"),
        ("click", "without context"),
        ("scribble", "with context"),
        ("scribble", "without context"),
    ]
    for score, mean in zip(scores, report["main"]["overall"], strict=True):
        assert score["task"] == "cells/cell" and mean["task"] == "mean of 1 task"
        assert score["summary"] == mean["summary"]
        assert 0 <= score["summary"]["interactions"] <= 2 and 0 <= score["summary"]["reach_rate"] <= 1
    # Twelve images: eight are asked about, four are left for the context.
    assert set(report["untouched"]["tasks"][0]["dice"]) == {"1", "4"}


@pytest.mark.parametrize(
    ("arguments", "variants"),
    [
        (
            ["ablation", "--against", str(SHIPPED / "memory-v1.safetensors")],
            [
                "predictions join the context",
                "true masks join the context",
                "without context",
                "4 entries, by the policy",
                "4 entries, the newest",
                "without close-ups",
                "the whole image alone",
            ],
        ),
        (
            ["peers"],
            ["with context", "without context", "random walker", "GrabCut", "mask copy"],
        ),
    ],
    ids=["ablation", "peers"],
)
def test_evaluate_compares_variants_by_one_prompt(
    pack: Path, tmp_path: Path, arguments: list[str], variants: list[str]
) -> None:
    report = evaluated(pack, tmp_path, "--prompt", "click", "--table", *arguments)
    found = report[arguments[0]]["overall"]
    assert [score["variant"] for score in found] == variants + arguments[2:]
    if arguments[0] == "ablation":
        assert found[-1]["summary"] == found[0]["summary"]  # the same weights beside themselves


def test_evaluate_measures_what_can_be_relied_on(tmp_path: Path) -> None:
    report = evaluated(written(tmp_path / "cells.npz", 2), tmp_path, "--table", "guarantees")
    (task,) = report["guarantees"]["tasks"]
    assert 0.5 < task["with_context"]["held"] <= 1 and len(task["without_context"]["dice_after"]) == 5
    assert task["order"] < 1e-4
    assert task["right_minus_wrong"] is None  # there is no other task


def test_evaluate_measures_what_is_made_of_images_without_the_object(tmp_path: Path) -> None:
    report = evaluated(written(tmp_path / "cells.npz", 8, lacking=3), tmp_path, "--table", "absence")
    (task,), overall = report["absence"]["tasks"], report["absence"]["overall"]
    assert set(task["empty"]) == set(task["clicks"]) == {"1", "4"}
    assert overall == {**task, "task": "mean of 1 task"}
    pack, path = written(tmp_path / "cells.npz", 8), tmp_path / "scores.json"
    nothing = ["evaluate", str(pack), *SHORT, "--table", "absence", "--json", str(path)]
    assert CliRunner().invoke(app, nothing).exit_code == 0
    assert json.loads(path.read_text()).keys() == {"settings"}


def test_evaluate_measures_uncertainty(tmp_path: Path) -> None:
    report = evaluated(written(tmp_path / "cells.npz", 10), tmp_path, "--table", "calibration")
    rows, found = report["calibration"]["tasks"], report["calibration"]["overall"]
    assert len(rows) == 8  # two images are left for a context, so only its size 1
    assert sum(held["predictions"] for held in found["bins"]) == len(rows)
    assert set(found["correlation"]) == {"S=1", "all"}


def evaluated(pack: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    """The report of an evaluation that succeeded and whose tables name the task or its predictions."""
    path = folder / "scores.json"
    result = CliRunner().invoke(app, ["evaluate", str(pack), *SHORT, *arguments, "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert "cells/cell" in result.output or "untouched predictions" in result.output
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def test_files_with_their_masks_are_tasks_of_their_own_size(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "cells").mkdir(parents=True)
    for n, side in enumerate((40, 56)):
        picture = np.full((side, side), 90, np.uint8)
        for name, values in ((f"{n}.png", picture), (f"{n}_mask.png", 255 * (np.eye(side) > 0))):
            Image.fromarray(values.astype(np.uint8)).save(folder / "cells" / name)
    volume = np.zeros((20, 24, 4), np.int16)
    volume[4:12, 6:14, 1:] = 7
    (folder / "scan.nii.gz").write_bytes(nifti(volume))
    (folder / "scan_mask.nii.gz").write_bytes(nifti((volume > 0).astype(np.uint8)))
    cells, scan = sorted(read_tasks([folder], None), key=lambda task: task.name)
    assert (cells.name, scan.name) == ("mine/cells", "mine/scan.nii.gz")
    assert [mask.shape for mask in cells.masks] == [(40, 40), (56, 56)]
    assert [int(mask.sum()) for mask in scan.masks] == [64] * 3
    for image, mask in zip(scan.images, scan.masks, strict=True):
        assert np.array_equal(image > image.min(), mask)
    (folder / "scan_mask.nii.gz").write_bytes(nifti(volume[:, :, :2]))
    with pytest.raises(CommandError, match=r"scan.nii.gz with scan_mask.nii.gz: The mask has 20 x 24 x 2"):
        read_tasks([folder], None)


def test_an_interrupted_evaluation_shows_what_was_finished(tmp_path: Path) -> None:
    class Impatient(MaskCopy):
        asked = 0

        def encode_image(self, image: ArrayLike) -> Picture:
            self.asked += 1
            if self.asked > 20:
                raise KeyboardInterrupt
            return super().encode_image(image)

    tasks = read_tasks([written(tmp_path / f"{name}.npz", 4) for name in ("first", "second")], None)
    plan = Plan(Impatient(), tasks, Protocol(budget=1), ["click", "scribble"], 1)
    console = Console(record=True, width=160)
    report = tmp_path / "report.json"
    with pytest.raises(CommandError, match="stopped"):
        evaluate(plan, ["main"], console, model="copy", report=report)
    shown = console.export_text()
    assert "first/cell" in shown and "second/cell" not in shown and "mean of 1 task" in shown
    assert {score["task"] for score in json.loads(report.read_text())["main"]["tasks"]} == {"first/cell"}


def test_without_opencv_the_peers_say_so_before_anything_is_measured(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = CliRunner().invoke(app, ["evaluate", str(pack), *SHORT, "--table", "all"])
    assert result.exit_code == 1
    assert "pip install opencv-python-headless" in result.output and "cells/cell" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "nowhere"], "not a pack"),
        (["evaluate", "{empty}"], "neither .npz packs nor two images"),
        (["evaluate", "{pack}", "--label", "wing"], "cells/cell"),
        (["evaluate", "{pack}", "--model", "unet"], "memory-v1"),
        (["evaluate", "{pack}", "--weights", "nowhere"], "no weights file"),
        (["train", "--out", "{empty}/run", "--packs", "{empty}"], "DATASETS.md"),
        (["simulate", "nowhere", "--label", "x"], "neither a folder"),
        (["simulate", "{pack}", "--label", "cell", "--out", "{pack}"], "File exists"),
        (["export", "a project", "--token", "t", "--out", "{empty}"], "is a folder"),
        (["import", "{empty}", "--project", "p", "--token", "t", "--url", "nowhere"], "no address"),
        (["export", "p", "--token", "t", "--out", "p.zip", "--url", "http://a:port"], "no address"),
        (["evaluate", "{pack}", "--json", "{empty}/none/all.json"], "no folder"),
        (["train", "--out", "{damaged}"], "is damaged, or of another network"),
        (["serve", "--data-dir", "{pack}"], "cells.npz"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(
    pack: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(b"PK no checkpoint")
    places = {"pack": pack, "empty": tmp_path / "empty", "damaged": tmp_path / "damaged"}
    result = CliRunner().invoke(app, [argument.format(**places) for argument in arguments])
    assert result.exit_code == 1
    assert said in result.output and "Traceback" not in result.output


@pytest.mark.parametrize("address", ["a word", "postgresql+psycopg://nobody@127.0.0.1:9/nothing"])
def test_a_database_that_cannot_be_used_is_told_in_a_sentence(address: str) -> None:
    result = CliRunner().invoke(app, ["migrate"], env={"ACCRUE_DATABASE_URL": address})
    assert result.exit_code == 1
    assert "accrue: " in result.output and isinstance(result.exception, SystemExit)


def test_train_writes_weights_that_can_be_evaluated(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--minutes", "0.01", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert load("memory-v1", weights=tmp_path / "weights.safetensors").weights_sha256


def test_every_task_weighs_the_same_in_the_mean() -> None:
    def score(task: str, counts: list[int]) -> Score:
        rows = [Row(i, i, n, 0.0, 0.9, n / 4, True) for i, n in enumerate(counts)]
        return Score(task, "click", "with context", summarise([rows]))

    (mean,) = mean_scores([score("a", [4, 2]), score("b", [0, 0, 0, 0])])
    assert mean.task == "mean of 2 tasks"
    assert (mean.summary.interactions, mean.summary.final_hd95) == (1.5, 0.375)


def test_untouched_means_compare_the_same_tasks_at_every_size() -> None:
    few, some = Untouched("few", {1: 0.1, 4: 0.2}), Untouched("some", {1: 0.5, 4: 0.6})
    many = Untouched("many", {1: 0.9, 4: 0.4, 16: 0.8})
    all_three, alone = mean_untouched([few, some, many])
    assert all_three.task == "mean of 3 tasks holding 4" and set(all_three.dice) == {1, 4}
    assert all_three.dice == pytest.approx({1: 0.5, 4: 0.4})
    assert alone == Untouched("mean of 1 task holding 16", many.dice)


def test_calibration_bins_hold_every_prediction_once() -> None:
    certain, unsure = Estimate("a/b", 1, 0.0, 0.9), Estimate("a/b", 4, 0.15, 0.7)
    lost, hopeless = Estimate("a/b", 4, 1.0, 0.1), Estimate("c/d", 4, 0.95, 0.3)
    found = calibrated([certain, unsure, lost, hopeless])
    assert [(b.low, b.predictions) for b in found.bins] == [(0, 1), (pytest.approx(0.1), 1), (0.9, 2)]
    assert (found.bins[-1].dice, found.bins[-1].uncertainty) == pytest.approx((0.2, 0.975))
    assert found.correlation == {"S=1": None, "S=4": pytest.approx(-1), "all": pytest.approx(-1)}


def test_a_folder_of_packs_gives_all_their_tasks(pack: Path) -> None:
    assert [task.name for task in read_tasks([pack.parent], None)] == ["cells/cell"]
