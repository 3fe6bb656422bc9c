"""Simulated annotators over HTTP, and the command that runs them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cli import app
from commands.demo import ANNOTATED, IMAGES, LABEL, PROJECT, prepare
from commands.errors import CommandError
from commands.samples import read_samples
from commands.simulate import Plan, simulate
from commands.users import add_token
from service.client import Accrue
from tests.conftest import ServiceUnderTest

QUIET = Console(quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six discs, each image with its mask beside it, and a bystander without one."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "my images"
    folder.mkdir()
    y, x = np.mgrid[:60, :90]
    for i in range(6):
        disc = np.hypot(y - rng.uniform(20, 40), x - rng.uniform(25, 65)) < 14
        pixels = (disc * 110 + 60 + rng.normal(0, 6, disc.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"disc_{i}.png")
        Image.fromarray(disc).save(folder / f"disc_{i}_mask.png")
    Image.fromarray(pixels).save(folder / "bystander.png")
    return folder


def test_two_annotators_finish_a_folder_and_leave_a_csv_and_a_plot(
    service: ServiceUnderTest, folder: Path, tmp_path: Path
) -> None:
    tokens = [add_token(service.settings, f"annotator {i}") for i in range(2)]
    rows = simulate(
        folder,
        "disc",
        Plan(max_interactions=3),
        images=6,
        annotators=2,
        service=(service.base_url, tokens),
        out=tmp_path / "out",
        console=QUIET,
    )
    assert sorted(row.image for row in rows) == [f"disc_{i}.png" for i in range(6)]
    assert all(row.interactions <= 3 and 0 <= row.final_dice <= 1 for row in rows)
    assert max(row.context for row in rows) >= 4
    with (tmp_path / "out" / "interactions.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [row["position"] for row in written] == ["1", "2", "3", "4", "5", "6"]
    assert [row["image"] for row in written] == [row.image for row in rows]
    assert (tmp_path / "out" / "interactions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("prompt", ["scribble", "box"])
def test_without_context_every_image_begins_empty(
    service: ServiceUnderTest, folder: Path, tmp_path: Path, prompt: str
) -> None:
    rows = simulate(
        folder,
        "disc",
        Plan(prompt=prompt, max_interactions=2),  # type: ignore[arg-type]
        images=3,
        annotators=1,
        use_context=False,
        service=(service.base_url, [service.token]),
        out=tmp_path,
        console=QUIET,
    )
    assert [row.context for row in rows] == [0, 0, 0]
    assert [row.first_dice for row in rows] == [0, 0, 0]
    assert all(row.interactions >= 1 for row in rows)


def test_the_command_starts_a_service_of_its_own_and_prints_a_row_per_image(
    folder: Path, tmp_path: Path
) -> None:
    arguments = ["simulate", str(folder), "--label", "disc", "--images", "2", "--max-interactions", "2"]
    others = {
        "ACCRUE_DATABASE_URL": f"sqlite:///{tmp_path}/theirs.sqlite3",
        "ACCRUE_STORAGE_URL": f"file://{tmp_path}/theirs",
        "ACCRUE_REDIS_URL": "redis://127.0.0.1:9",
    }
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")], env=others)
    assert result.exit_code == 0, result.output
    assert not list(tmp_path.glob("theirs*"))
    assert result.output.count("disc_") >= 2
    assert "2 images" in result.output and "reached Dice 0.9" in result.output


def test_the_demo_is_prepared_once_and_found_again(service: ServiceUnderTest) -> None:
    prepare(service.base_url, service.token, QUIET)
    with Accrue(service.base_url, service.token) as client:
        before = [p for p in client.projects() if p["name"] == PROJECT]
        prepare(service.base_url, service.token, QUIET)
        after = [p for p in client.projects() if p["name"] == PROJECT]
    assert before == after and len(after) == 1
    (label,) = after[0]["labels"]
    assert (label["name"], label["images"], label["accepted"]) == (LABEL, IMAGES, ANNOTATED)


def test_too_few_tokens_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="2 annotators need 2 tokens"):
        simulate(
            folder,
            "disc",
            Plan(),
            images=2,
            annotators=2,
            service=("http://127.0.0.1:9", ["acc_one"]),
            out=tmp_path,
            console=QUIET,
        )


def test_a_pack_is_read_by_the_name_of_its_label(tmp_path: Path) -> None:
    pack = tmp_path / "cells.npz"
    labels = np.zeros((3, 128, 128), np.uint8)
    labels[:, 20:60, 20:60], labels[:2, 80:100, 80:100] = 1, 2
    np.savez(
        pack,
        images=np.random.default_rng(0).integers(0, 255, (3, 128, 128), dtype=np.uint8),
        labels=labels,
        label_names=np.array(["cell", "nucleus"]),
        subject=np.array(["a", "b", "c"]),
    )
    assert [sample.truth.sum() for sample in read_samples(pack, "nucleus")] == [400, 400]
    assert len(read_samples(pack, "cell")) == 3
    with pytest.raises(CommandError, match="no label 'wing'; it has: cell, nucleus"):
        read_samples(pack, "wing")


@pytest.mark.parametrize("values", ["ones", "palette"])
def test_a_mask_is_what_is_not_zero_however_it_is_written(tmp_path: Path, values: str) -> None:
    Image.new("L", (8, 6), 7).save(tmp_path / "a[1].png")
    mask = Image.new("L", (8, 6))
    mask.paste(1, (2, 1, 5, 4))
    if values == "palette":
        mask = mask.convert("P")
        mask.putpalette([0, 0, 0, 128, 0, 0])
    mask.save(tmp_path / "a[1]_mask.png")
    (sample,) = read_samples(tmp_path, "disc")
    assert (sample.name, int(sample.truth.sum())) == ("a[1].png", 9)


def test_sources_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="neither a folder"):
        read_samples(tmp_path / "nowhere", "disc")
    with pytest.raises(CommandError, match="holds no pairs"):
        read_samples(tmp_path, "disc")
    (tmp_path / "broken.npz").write_bytes(b"no pack")
    with pytest.raises(CommandError, match="is not a pack"):
        read_samples(tmp_path / "broken.npz", "disc")
    Image.new("L", (8, 6)).save(tmp_path / "a.png")
    Image.new("L", (6, 8)).save(tmp_path / "a_mask.png")
    with pytest.raises(CommandError, match=r"a_mask\.png: The mask has 6 x 8 pixels, and .a\.png. has 8 x 6"):
        read_samples(tmp_path, "disc")
    (tmp_path / "a_mask.png").write_text("no image")
    with pytest.raises(CommandError, match=r"a_mask\.png: Masks are read as PNG"):
        read_samples(tmp_path, "disc")
