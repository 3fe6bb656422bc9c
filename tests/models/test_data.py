"""Packs on disk, the tasks in them, and the episodes drawn from them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models import data
from models.data import EpisodeSampler, Pack, read_pack, read_packs, tasks_of

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]

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
    assert [pack.licence for pack in packs] == list(expected.upper())
    assert [pack.modality for pack in packs] == [f"CT of {name}" for name in expected]


def test_names_narrow_what_is_read_and_do_not_widen_the_licences(folder: Path) -> None:
    assert [pack.name for pack in read_packs(folder, "AB", ["c", "b"])] == ["b"]


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
    assert len(read_packs(folder, "A", ["a"])) == 1  # nobody asked for the stray one


def test_an_unknown_name_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no such packs.*: d, e"):
        read_packs(folder, "A", ["a", "e", "d"])


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
    with pytest.raises(ValueError, match="needs a table with the columns name, modality and class"):
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


def test_a_pack_read_on_its_own_counts_as_unlicensed(folder: Path) -> None:
    assert read_pack(folder / "a.npz").licence == "C"


def pack_of(labels: NDArray[np.uint8], subjects: Sequence[str] = (), names: Sequence[str] = ("x",)) -> Pack:
    """A pack in which every image is grey in a grey of its own, 10 more than the one before."""
    count = len(labels)
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None] * 10, labels.shape)
    return Pack("p", "CT", "A", images.copy(), labels, tuple(names), tuple(subjects) or ("",) * count)


def squares(*widths: Sequence[int], side: int = 16) -> NDArray[np.uint8]:
    """One label map per argument: label k as a block of that many pixels' width, 4 rows high."""
    labels = np.zeros((len(widths), side, side), np.uint8)
    for image, given in zip(labels, widths, strict=True):
        for k, width in enumerate(given):
            image[4 * k : 4 * k + 4, :width] = k + 1
    return labels


def test_every_label_becomes_a_task_over_the_images_that_hold_it() -> None:
    pack = pack_of(squares((4, 4), (4, 0), (0, 5), (4, 4)), ("a", "b", "c", "d"), ("liver", "lung"))
    liver, lung = tasks_of(pack)
    assert (liver.name, lung.name) == ("p/liver", "p/lung")
    assert liver.subjects == ("a", "b", "d") and lung.subjects == ("a", "c", "d")
    np.testing.assert_allclose(lung.images[:, 0, 0] * 255, [0, 20, 30], rtol=1e-5)
    assert lung.images.dtype == np.float32 and lung.masks.dtype == np.bool_
    np.testing.assert_array_equal(lung.masks.sum((1, 2)), [16, 20, 16])
    assert [len(task.lacking) for task in (liver, lung)] == [1, 1]
    np.testing.assert_allclose(lung.lacking[0] * 255, 10, rtol=1e-5)


@pytest.mark.parametrize(("min_pixels", "expected"), [(16, 3), (17, 2), (20, 2), (1, 4), (21, None)])
def test_images_with_too_few_pixels_are_left_out(min_pixels: int, expected: int | None) -> None:
    tasks = tasks_of(pack_of(squares((4,), (5,), (5,), (1,))), min_pixels=min_pixels)
    assert [len(task.images) for task in tasks] == ([expected] if expected else [])


@pytest.mark.parametrize(("min_images", "expected"), [(1, 2), (2, 1), (3, 1), (4, 0)])
def test_labels_with_too_few_images_are_left_out(min_images: int, expected: int) -> None:
    pack = pack_of(squares((4, 4), (4, 0), (4, 0)), names=("x", "y"))
    assert len(tasks_of(pack, min_images=min_images)) == expected


@pytest.fixture
def unaugmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes as drawn, so that their images can be told."""
    for name in ("augment_task", "augment_images"):
        monkeypatch.setattr(data, name, lambda _, images, masks: (images, masks))


def sampler(packs: Sequence[Pack], synthetic: float = 0, superpixel: float = 0) -> EpisodeSampler:
    return EpisodeSampler(packs, synthetic_share=synthetic, superpixel_share=superpixel, side=16)


def drawn_images(source: EpisodeSampler, seed: int, context_size: int) -> list[int]:
    """Which images of a pack_of() an unaugmented episode consists of, the query first."""
    images, _ = source.draw(rng(seed), context_size)
    return [round(float(image[-1, -1]) * 25.5) for image in images]


@pytest.mark.usefixtures("unaugmented")
def test_the_query_is_not_in_its_own_context_and_no_image_comes_twice() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6))])
    episodes = [drawn_images(source, seed, 4) for seed in range(60)]
    assert all(len(set(episode)) == 5 for episode in episodes)
    assert {episode[0] for episode in episodes} == set(range(6))


@pytest.mark.usefixtures("unaugmented")
def test_a_context_larger_than_the_pack_repeats_images_but_never_the_query() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 3))])
    for seed in range(20):
        query, *context = drawn_images(source, seed, 9)
        assert len(context) == 9 and query not in context


@pytest.mark.usefixtures("unaugmented")
def test_the_context_mostly_avoids_the_subject_of_the_query() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 8), ["a"] * 4 + ["b"] * 4)])
    episodes = [drawn_images(source, seed, 3) for seed in range(300)]
    strangers = [all((i < 4) != (query < 4) for i in context) for query, *context in episodes]
    # 70 % avoid it, and so does every ninth of the rest by chance.
    assert 0.63 < np.mean(strangers) < 0.84


@pytest.mark.usefixtures("unaugmented")
def test_the_own_subject_fills_in_where_strangers_are_too_few() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6), ["a"] * 5 + ["b"])])
    assert all(len(set(drawn_images(source, seed, 5))) == 6 for seed in range(20))


@pytest.mark.usefixtures("unaugmented")
def test_unknown_subjects_are_not_taken_for_one_subject() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 8), [""] * 4 + ["b"] * 4)])
    episodes = [drawn_images(source, seed, 3) for seed in range(200)]
    unknown = [context for query, *context in episodes if query < 4]
    assert np.mean([all(i >= 4 for i in context) for context in unknown]) < 0.3


@pytest.mark.usefixtures("unaugmented")
def test_an_episode_asks_for_one_label_in_images_that_hold_it() -> None:
    labels = squares((4, 6), (4, 0), (0, 6), (4, 6), (3, 6))
    source = sampler([pack_of(labels, names=("x", "y"))])
    asked = set()
    for seed in range(40):
        _, masks = source.draw(rng(seed), 1)
        number = {(labels[i] == k).tobytes(): k for i in range(5) for k in (1, 2)}
        values = {number[mask.tobytes()] for mask in masks}
        assert len(values) == 1 and (masks.sum((1, 2)) >= 16).all()
        asked |= values
    assert asked == {1, 2}


@pytest.mark.usefixtures("unaugmented")
@pytest.mark.parametrize(("lacking", "expected"), [(2, False), (3, True)])
def test_some_episodes_hold_images_without_the_object_where_a_pack_has_enough(
    lacking: int, expected: bool
) -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6, *[(0,)] * lacking))])
    episodes = [~source.draw(rng(seed), 4)[1].any((1, 2)) for seed in range(200)]
    query, first, others = (np.mean([e[place] for e in episodes]) for place in (0, 1, slice(2, None)))
    assert first == 0  # or nothing would say what is meant
    assert (0.03 < query < 0.2) == (0.02 < others < 0.15) == expected
    assert not any(source.draw(rng(seed), 0)[1].sum() == 0 for seed in range(50))


@pytest.mark.usefixtures("unaugmented")
def test_a_query_without_the_object_is_not_in_its_own_context_either() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6, *[(0,)] * 3))])
    episodes = [drawn_images(source, seed, 8) for seed in range(400)]
    lacking = [episode for episode in episodes if episode[0] >= 6]
    assert len(lacking) > 20 and any(set(context) & {6, 7, 8} for _, *context in lacking)
    assert all(query not in context for query, *context in lacking)


@pytest.mark.usefixtures("unaugmented")
@pytest.mark.parametrize(("synthetic", "superpixel"), [(0.5, 0.2), (0.0, 0.6), (1.0, 0.0), (0.0, 0.0)])
def test_the_shares_are_kept(monkeypatch: pytest.MonkeyPatch, synthetic: float, superpixel: float) -> None:
    def made_up(_: np.random.Generator, count: int, side: int, *_absent: Masks) -> tuple[Images, Masks]:
        return np.full((count, side, side), 0.999, np.float32), np.ones((count, side, side), np.bool_)

    monkeypatch.setattr(data, "sample_task", made_up)
    source, generator = sampler([pack_of(squares(*[(4,)] * 6))], synthetic, superpixel), rng(1)
    seen = {"synthetic": 0, "superpixel": 0, "real": 0}
    for _ in range(400):
        images, _masks = source.draw(generator, 1)
        same = (images[0] == images[1]).all()
        seen["synthetic" if images[0, 0, 0] > 0.99 else "superpixel" if same else "real"] += 1
    expected = np.array([synthetic, superpixel, 1 - synthetic - superpixel])
    assert np.abs(np.array(list(seen.values())) / 400 - expected).max() < 0.08
    assert all((seen[kind] == 0) == (share == 0) for kind, share in zip(seen, expected, strict=True))


@pytest.mark.usefixtures("unaugmented")
def test_a_superpixel_is_a_piece_of_its_image() -> None:
    labels = np.zeros((2, 64, 64), np.uint8)
    labels[:, 16:48, 10:40] = 1
    pack = Pack("p", "CT", "A", labels * 200 + 20, labels, ("x",), ("", ""))
    source = EpisodeSampler([pack], synthetic_share=0, superpixel_share=1, side=64)
    for seed in range(10):
        images, masks = source.draw(rng(seed), 3)
        assert (images == images[0]).all() and (masks == masks[0]).all()
        assert ndimage.label(masks[0], np.ones((3, 3)))[1] == 1
        assert 0.004 < masks[0].mean() < 1
        # What is seen here is one square; a piece ends where the square does.
        inside, outside = labels[0] == 1, labels[0] == 0
        deep = ndimage.binary_erosion(inside, iterations=4), ndimage.binary_erosion(outside, iterations=4)
        assert all(np.unique(masks[0][region]).size == 1 for region in deep)


@pytest.mark.usefixtures("unaugmented")
def test_an_image_of_another_size_is_brought_to_the_side_with_its_mask() -> None:
    labels = np.zeros((3, 50, 70), np.uint8)
    labels[:, 10:30, 20:60] = 1
    pack = Pack("p", "CT", "A", labels * 255, labels, ("x",), ("",) * 3)
    source = EpisodeSampler([pack], synthetic_share=0, superpixel_share=0, side=32)
    images, masks = source.draw(rng(0), 2)
    assert images.shape == masks.shape == (3, 32, 32)
    assert images.dtype == np.float32 and masks.dtype == np.bool_
    assert ((images > 0.5) == masks).mean() > 0.99 and 0.2 < masks.mean() < 0.26


@pytest.mark.parametrize("context_size", [0, 1, 5])
@pytest.mark.parametrize(("synthetic", "superpixel"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_episodes_have_the_right_shape_and_range(
    context_size: int, synthetic: float, superpixel: float
) -> None:
    packs = [pack_of(squares(*[(9, 9)] * 4, side=48), names=("x", "y"))]
    source = EpisodeSampler(packs, synthetic_share=synthetic, superpixel_share=superpixel, side=48)
    for seed in range(3):
        images, masks = source.draw(rng(seed), context_size)
        assert images.shape == masks.shape == (1 + context_size, 48, 48)
        assert images.dtype == np.float32 and masks.dtype == np.bool_
        assert images.min() >= 0 and images.max() <= 1 and masks[0].any()


def test_without_packs_there_are_synthetic_episodes() -> None:
    images, masks = EpisodeSampler([], synthetic_share=1, superpixel_share=0).draw(rng(0), 2)
    assert images.shape == masks.shape == (3, 128, 128) and masks.any()


def test_a_seed_repeats_an_episode() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6))], 0.3, 0.3)
    for seed in range(8):
        for one, other in zip(source.draw(rng(seed), 2), source.draw(rng(seed), 2), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shares", [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.5), (1.1, 0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="synthetic_share and superpixel_share"):
        sampler([pack_of(squares((4,), (4,)))], *shares)


@pytest.mark.parametrize(
    "packs",
    [[], [pack_of(squares((4,), (0,), (0,)))], [pack_of(squares((3,), (3,)))]],
    ids=["none", "a label on one image", "too few pixels"],
)
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.9, 0.1)])
def test_packs_without_a_usable_label_are_refused(packs: list[Pack], shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no pack holds a usable label"):
        sampler(packs, *shares)


@pytest.mark.usefixtures("unaugmented")
def test_a_pack_without_a_usable_label_is_passed_over() -> None:
    bare, usable = pack_of(squares((4,), (0,))), pack_of(squares(*[(4,)] * 3))
    usable.images[:] += 100
    source = sampler([bare, usable])
    assert all(min(drawn_images(source, seed, 1)) >= 10 for seed in range(20))
