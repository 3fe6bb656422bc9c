"""COCO JSON: polygons and run lengths come in by the names of labels, each image for itself."""

import json
import tracemalloc
from contextlib import suppress
from time import process_time
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ImageRefused, ImageTooLarge
from service.images.limits import check_size
from service.imports.coco import Annotated, masks_of, read_coco, runs_inside
from service.rle import counts_of, mask_of, to_text, together
from tests.factories import a_project, png, told, upload
from tests.service.conftest import Alone
from tests.service.test_imports import DISC, HEIGHT, WIDTH, accepted, add_label, bring

SQUARE = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
SQUARE[10:20, 5:25] = True


def coco(*drawn: tuple[str, str, Any], height: int = HEIGHT) -> bytes:
    """COCO JSON of (file name, category, segmentation, or whatever the annotation has instead)."""
    names = sorted({name for name, _, _ in drawn})
    categories = sorted({category for _, category, _ in drawn})
    told_of = {
        "images": [
            {"id": n, "file_name": name, "height": height, "width": WIDTH} for n, name in enumerate(names)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories)],
        "annotations": [
            {
                "id": n,
                "image_id": names.index(name),
                "category_id": categories.index(category),
            }
            | (s if isinstance(s, dict) and "size" not in s else {"segmentation": s})
            for n, (name, category, s) in enumerate(drawn)
        ],
    }
    return json.dumps(told_of).encode()


POLYGON = [[5, 10, 25, 10, 25, 20, 5, 20]]
COMPRESSED = {"size": [HEIGHT, WIDTH], "counts": to_text(counts_of(DISC))}
UNCOMPRESSED = {"size": [HEIGHT, WIDTH], "counts": [int(each) for each in counts_of(DISC)]}


def test_coco_brings_polygons_and_run_lengths_by_the_names_of_labels(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    rim = add_label(alone.api, project.id, "rim")
    data = coco(
        ("0.png", "disc", POLYGON),
        ("0.png", "Rim", COMPRESSED),
        ("folder/1.png", "disc", UNCOMPRESSED),
        ("1.png", "disc", POLYGON),
        ("gone.png", "disc", POLYGON),
    )
    (file,) = told(bring(alone.api, project.id, {"instances.json": data}), 201)["files"]
    assert (file["accepted"], file["missing"]) == (3, ["gone.png"])
    assert len(file["kept"]) == 1  # the same image, drawn upon under two names
    discs = accepted(alone, project.label_id)
    assert np.array_equal(discs[project.image_ids[0]], SQUARE)
    assert np.array_equal(accepted(alone, rim)[project.image_ids[0]], DISC)


def test_what_is_drawn_twice_is_put_together() -> None:
    (image,) = read_coco(coco(("a.png", "x", POLYGON), ("a.png", "x", COMPRESSED)))
    ((name, mask),) = masks_of(image, str)
    assert name == "x" and np.array_equal(mask, SQUARE | DISC)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{}", "image_damaged"),
        (b'{"images": ' + b"[" * 100_000, "image_damaged"),
        (coco(("0.png", "nothing", POLYGON)), "mask_homeless"),
        (coco(("gone.png", "disc", POLYGON)), "mask_homeless"),
        (coco(("0.png", "disc", POLYGON), height=10), "mask_mismatch"),
        (coco(("0.png", "disc", [[1, 2]])), "image_damaged"),
        (coco(("0.png", "disc", {"size": [HEIGHT, WIDTH], "counts": "~~~"})), "image_damaged"),
        (coco(("0.png", "disc", {"size": [HEIGHT, WIDTH], "counts": [5, -3, 9]})), "image_damaged"),
        (coco(("0.png", "disc", {"size": [HEIGHT, WIDTH], "counts": [10**30]})), "image_damaged"),
        (coco(("0.png", "disc", POLYGON), height=2_000_000_000), "image_too_large"),
    ],
)
def test_what_is_no_coco_is_refused(alone: Alone, data: bytes, code: str) -> None:
    project = a_project(alone.api, images=1)
    problem = told(bring(alone.api, project.id, {"a.json": data}), 422)
    assert problem["files"][0]["problem"]["code"] == code, problem
    assert accepted(alone, project.label_id) == {}


BROKEN_ONES: dict[str, tuple[str, Any, str]] = {
    "a polygon of two corners": ("disc", [[1, 2, 3, 4]], "image_damaged"),
    "bad run lengths": ("disc", {"size": [HEIGHT, WIDTH], "counts": "~~~"}, "image_damaged"),
    "run lengths that add up by overflow": (
        "disc",
        {"size": [HEIGHT, WIDTH], "counts": [2**62] * 4 + [HEIGHT * WIDTH]},
        "image_damaged",
    ),
    "run lengths of more than 32 bits": (
        "disc",
        {"size": [HEIGHT, WIDTH], "counts": to_text(np.array([2**33] * 4))},
        "image_damaged",
    ),
    "run lengths without number": ("disc", {"size": [HEIGHT, WIDTH], "counts": [1e30]}, "image_damaged"),
    "more run lengths than pixels": (
        "disc",
        {"size": [HEIGHT, WIDTH], "counts": [0] * 7000 + [HEIGHT * WIDTH]},
        "image_damaged",
    ),
    "a text of more run lengths than pixels": (
        "disc",
        {"size": [HEIGHT, WIDTH], "counts": "0" * 7000 + to_text(np.array([HEIGHT * WIDTH]))},
        "image_damaged",
    ),
    "a box alone": ("disc", {"segmentation": [], "bbox": [4, 4, 9, 9]}, "image_damaged"),
    "an area alone": ("disc", {"segmentation": [], "area": 81, "bbox": []}, "image_damaged"),
    "no segmentation": ("disc", {"bbox": [4, 4, 9, 9], "area": 81}, "image_damaged"),
    "no segmentation and no box": ("disc", {"iscrowd": 0}, "image_damaged"),
    "a category without a label": ("tail", POLYGON, "mask_homeless"),
}


@pytest.mark.parametrize(("category", "drawn", "code"), BROKEN_ONES.values(), ids=BROKEN_ONES)
def test_what_is_wrong_with_one_image_keeps_no_other_out(
    alone: Alone, category: str, drawn: Any, code: str
) -> None:
    project = a_project(alone.api, images=3)
    data = coco(("0.png", "disc", POLYGON), ("1.png", "disc", POLYGON), ("1.png", category, drawn))
    (file,) = told(bring(alone.api, project.id, {"a.json": data}), 201)["files"]
    assert (file["status"], file["accepted"], file["empty"]) == ("imported", 1, 0)
    (refused,) = file["refused"]
    assert (refused["file_name"], refused["problem"]["code"]) == ("1.png", code)
    assert list(accepted(alone, project.label_id)) == project.image_ids[:1]


def test_an_ambiguous_name_keeps_no_other_image_out(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    told(upload(alone.api, project.id, {"a/x.png": png(), "b/x.png": png()}), 201)
    data = coco(("0.png", "disc", POLYGON), ("x.png", "disc", POLYGON), ("gone.png", "disc", POLYGON))
    (file,) = told(bring(alone.api, project.id, {"a.json": data}), 201)["files"]
    assert (file["accepted"], file["missing"]) == (1, ["gone.png"])
    assert "Several images" in file["refused"][0]["problem"]["detail"]


def test_what_else_is_in_the_file_moves_no_mask_to_another_image(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    sent = told(upload(alone.api, project.id, {"y/a.png": png(), "y/b.png": png(), "b_mask.png": png()}), 201)
    ids = {file["filename"]: file["source"]["image_ids"][0] for file in sent["images"]}
    names = ("z/a.png", "a.png", "b_mask.png", "b.png")
    data = coco(*zip(names, ("disc",) * 4, (POLYGON, COMPRESSED, POLYGON, COMPRESSED), strict=True))
    (file,) = told(bring(alone.api, project.id, {"a.json": data}), 201)["files"]
    assert (file["accepted"], file["kept"], file["missing"]) == (3, [], ["z/a.png"])
    found = accepted(alone, project.label_id)
    for name, mask in (("y/a.png", DISC), ("y/b.png", DISC), ("b_mask.png", SQUARE)):
        assert np.array_equal(found[ids[name]], mask)


def test_images_are_found_however_few_are_looked_for_at_a_time(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.imports.reception.AT_ONCE", 2)
    project = a_project(alone.api, images=3)
    names = ("0.png", "gone.png", "1.png", "2.png", "lost.png")
    data = coco(*((name, "disc", POLYGON) for name in names))
    (file,) = told(bring(alone.api, project.id, {"a.json": data}), 201)["files"]
    assert (file["accepted"], sorted(file["missing"])) == (3, ["gone.png", "lost.png"])


def test_an_annotation_without_extent_says_that_there_is_nothing(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    data = coco(("0.png", "disc", {"segmentation": [], "area": 0, "bbox": [0, 0, 0, 0]}))
    (file,) = told(bring(alone.api, project.id, {"a.json": data}), 201)["files"]
    assert (file["accepted"], file["empty"]) == (1, 1)


@settings(max_examples=200, deadline=None)
@given(
    corners=st.lists(
        st.tuples(st.integers(-5, 25).map(float), st.integers(-5, 25).map(float)), min_size=3, max_size=8
    )
)
def test_a_polygon_holds_the_pixels_whose_centres_a_ray_leaves_an_odd_number_of_times(
    corners: list[tuple[float, float]],
) -> None:
    mask = mask_of(runs_inside(np.array(corners), 20, 20), 20, 20).T
    for y, x in np.ndindex(20, 20):
        crossings = 0
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y0 > y + 0.5) != (y1 > y + 0.5):
                crossings += x + 0.5 >= x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        assert mask[y, x] == (crossings % 2 == 1)


def test_outlines_cost_what_they_cross_and_not_what_the_image_has() -> None:
    square = {"segmentation": [[5, 0, 25, 0, 25, 2, 5, 2]]}
    run = {"segmentation": {"size": [2, 2_000_000], "counts": [0, 9, 3_999_991]}}
    begun = process_time()
    ((_, mask),) = masks_of(Annotated("wide.png", 2, 2_000_000, {"x": [square, run] * 1000}), str)
    assert process_time() - begun < 3
    assert np.flatnonzero(mask[0]).tolist() == [*range(25)] and mask.sum() == 4 + 5 + 2 * 20


def test_outlines_that_cross_too_many_rows_are_refused_before_they_are_listed() -> None:
    teeth = {"segmentation": [[each for n in range(1000) for each in (n, n % 2 * 8000)]]}
    image = Annotated("teeth.png", 8000, 8000, {"x": [teeth], "y": [teeth]})
    tracemalloc.start()
    with pytest.raises(ImageTooLarge, match="fewer corners"):
        next(masks_of(image, str))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_all_categories_of_a_label_are_one_mask_made_with_a_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    made, permits = Mock(wraps=together), MagicMock()
    monkeypatch.setattr("service.imports.coco.together", made)
    monkeypatch.setattr("service.imports.coco.DECODING", permits)
    (image,) = read_coco(coco(*(("a.png", str(n), POLYGON) for n in range(50))))
    masks = masks_of(image, lambda _: 1)
    label, mask = next(masks)
    assert label == 1 and np.array_equal(mask, SQUARE) and next(masks, None) is None
    assert [each.call_count for each in (made, permits.__enter__, permits.__exit__)] == [1, 1, 1]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_coco_is_more_than_a_refusal(data: st.DataObject) -> None:
    hurt = bytearray(coco(("0.png", "disc", POLYGON), ("0.png", "rim", COMPRESSED)))
    for _ in range(data.draw(st.integers(1, 8))):
        hurt[data.draw(st.integers(0, len(hurt) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageRefused):
        for image in read_coco(bytes(hurt)):
            with suppress(ImageRefused):
                check_size(image.width, image.height, max_pixels=100_000)
                list(masks_of(image, str))


def test_a_name_that_is_no_text_is_told_of_like_any_other(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    data = coco(("0.png", "disc", POLYGON), ("\ud800.png", "disc", POLYGON))
    (file,) = told(bring(alone.api, project.id, {"a.json": data}), 201)["files"]
    assert (file["accepted"], file["missing"]) == (1, ["?.png"])
