"""Packs on disk, and the tasks in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data import read_pack, read_packs, tasks_of
from tests.models.packs import pack_of, squares

HEADER = "| name | modality | N | class | notes |\n| --- | --- | --- | --- | --- |\n"


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def arrays(count: int = 4, side: int = 16) -> dict[str, NDArray[np.generic]]:
    labels = np.zeros((count, side, side), np.uint8)
    labels[:, 2:7, 2:7] = 1
    return {
        "images": rng(0).integers(0, 256, labels.shape, dtype=np.uint8),
        "labels": labels,
        "label_names": np.array(["cell"]),
        "subject": np.array([f"s{i // 2}" for i in range(count)]),
    }


def row(name: str, licence: str = "A") -> str:
    return f"| {name} | CT of {name} | 4 | {licence} | made up |\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Packs a, b and c, each of the licence class it is named after, with the table one level above."""
    train = tmp_path / "train"
    train.mkdir()
    for name in "abc":
        np.savez_compressed(train / f"{name}.npz", allow_pickle=False, **arrays())
    rows = "".join(row(name, name.upper()) for name in "cab")
    (tmp_path / "DATASETS.md").write_text(f"# Packs\n\nSome words.\n\n{HEADER}{rows}\nMore words.\n")
    return train


@pytest.mark.parametrize(("licences", "expected"), [("A", "a"), (["C", "A"], "ac"), ("ABC", "abc"), ([], "")])
def test_only_packs_of_the_given_licence_classes_are_read(
    folder: Path, licences: Sequence[str], expected: str
) -> None:
    packs = read_packs(folder, licences)
    assert [pack.name for pack in packs] == list(expected)


def test_a_pack_comes_back_as_it_was_saved(folder: Path) -> None:
    (pack,) = read_packs(folder, "A")
    saved = arrays()
    np.testing.assert_array_equal(pack.images, saved["images"])
    np.testing.assert_array_equal(pack.labels, saved["labels"])
    assert pack.label_names == ("cell",) and pack.subjects == ("s0", "s0", "s1", "s1")
    assert {type(name) for name in pack.label_names + pack.subjects} == {str}


def test_the_table_beside_the_packs_goes_before_the_one_above(folder: Path) -> None:
    (folder / "DATASETS.md").write_text(HEADER + row("a", "C") + row("b", "C") + row("c", "C"))
    assert len(read_packs(folder, "C")) == 3 and read_packs(folder, "A") == []


def test_packs_without_a_table_are_refused(folder: Path) -> None:
    (folder.parent / "DATASETS.md").unlink()
    with pytest.raises(ValueError, match=r"no DATASETS\.md in or above"):
        read_packs(folder, "ABC")


def test_a_pack_that_the_table_does_not_list_is_refused(folder: Path) -> None:
    np.savez(folder / "stray.npz", allow_pickle=False, **arrays())
    with pytest.raises(ValueError, match=r"stray\.npz is not in DATASETS\.md"):
        read_packs(folder, "A")


@pytest.mark.parametrize(
    "broken",
    [row("d", "D"), row("d", ""), "| d | CT | A |\n", "| d |\n", row("a | b")],
    ids=["unknown class", "no class", "too few cells", "one cell", "too many cells"],
)
def test_a_broken_row_is_refused_and_named(folder: Path, broken: str) -> None:
    table = folder.parent / "DATASETS.md"
    table.write_text(HEADER + row("a") + broken + row("b") + row("c"))
    with pytest.raises(ValueError, match=r"DATASETS\.md: row '[ad]' is broken"):
        read_packs(folder, "A")


@pytest.mark.parametrize("text", ["", "No table here.\n", "| name | modality |\n| --- | --- |\n| a | CT |\n"])
def test_a_table_without_the_columns_is_refused(folder: Path, text: str) -> None:
    (folder.parent / "DATASETS.md").write_text(text)
    with pytest.raises(ValueError, match="needs a table with the columns name and class"):
        read_packs(folder, "A")


def save_damaged(path: Path) -> None:
    """A pack whose first compressed stream is no stream."""
    np.savez_compressed(path, allow_pickle=False, **arrays())
    content = bytearray(path.read_bytes())
    content[60:64] = b"\xff" * 4
    path.write_bytes(content)


def save_bare_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 8, 8), np.uint8))


@pytest.mark.parametrize(
    "save",
    [
        lambda path: path.write_text("not a pack"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 cut off"),
        lambda path: path.mkdir(),
        lambda path: None,
        save_bare_array,
        save_damaged,
    ],
    ids=["text", "nothing", "cut off", "a folder", "missing", "a bare array", "damaged"],
)
def test_a_file_that_is_no_pack_is_refused(tmp_path: Path, save: Callable[[Path], object]) -> None:
    path = tmp_path / "odd.npz"
    save(path)
    with pytest.raises(ValueError, match=r"odd\.npz is not a pack"):
        read_pack(path)


@pytest.mark.parametrize("missing", ["images", "labels", "label_names", "subject"])
def test_a_pack_without_one_of_its_arrays_is_refused(tmp_path: Path, missing: str) -> None:
    kept = {name: array for name, array in arrays().items() if name != missing}
    np.savez(tmp_path / "odd.npz", allow_pickle=False, **kept)
    with pytest.raises(ValueError, match=f"odd.npz is not a pack.*{missing}"):
        read_pack(tmp_path / "odd.npz")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"labels": np.zeros((3, 16, 16), np.uint8)}, "differ"),
        ({"images": np.zeros((16, 16), np.uint8), "labels": np.zeros((16, 16), np.uint8)}, "differ"),
        ({"images": np.zeros((4, 16, 16), np.float32)}, "must be uint8"),
        ({"subject": np.array(["s0"])}, "4 images, but 1 subjects"),
        ({"subject": np.array("s0")}, "is not a pack"),
        ({"label_names": np.array("cell")}, "is not a pack"),
    ],
    ids=["fewer labels", "one image", "float images", "too few subjects", "one subject", "one name"],
)
def test_arrays_that_do_not_fit_together_are_refused(
    tmp_path: Path, changed: dict[str, NDArray[np.generic]], complaint: str
) -> None:
    np.savez(tmp_path / "odd.npz", allow_pickle=False, **(arrays() | changed))
    with pytest.raises(ValueError, match=complaint):
        read_pack(tmp_path / "odd.npz")


def test_every_label_becomes_a_task_over_the_images_that_hold_it() -> None:
    pack = pack_of(squares((4, 4), (4, 0), (0, 5), (4, 4)), ("a", "b", "c", "d"), ("liver", "lung"))
    liver, lung = tasks_of(pack)
    assert (liver.name, lung.name) == ("p/liver", "p/lung")
    np.testing.assert_allclose(lung.images[:, 0, 0] * 255, [0, 20, 30], rtol=1e-5)
    assert lung.images.dtype == np.float32 and lung.masks.dtype == np.bool_
    np.testing.assert_array_equal(lung.masks.sum((1, 2)), [16, 20, 16])
    assert [len(task.lacking) for task in (liver, lung)] == [1, 1]
    np.testing.assert_allclose(lung.lacking[0] * 255, 10, rtol=1e-5)


def test_images_with_too_few_pixels_are_left_out_and_lack_it_only_without_any() -> None:
    (task,) = tasks_of(pack_of(squares((4,), (5,), (3,), (0,))))
    np.testing.assert_array_equal(task.masks.sum((1, 2)), [16, 20])
    assert len(task.lacking) == 1


def test_labels_with_a_single_image_are_left_out() -> None:
    pack = pack_of(squares((4, 4), (4, 0), (4, 0)), names=("x", "y"))
    assert [task.name for task in tasks_of(pack)] == ["p/x"]
