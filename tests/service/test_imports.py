"""Masks that were drawn elsewhere: onto their image's pixels, into the context, over nobody's work."""

import io
from datetime import timedelta
from time import process_time
from typing import Any
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import event, select, update

from service.clock import now
from service.db import reading, unit_of_work
from service.imports import pictures
from service.imports.legend import meant
from service.imports.reading import Home, names_by_folder, values_of
from service.jobs import Job
from service.masks import from_png
from service.tables import Annotation, Lease, Origin, Source, Submission
from service.tables import Image as StoredImage
from tests.factories import a_project, draw, open_next, pixels, png, told, upload
from tests.files import nifti, tiff, zipped
from tests.service.conftest import Alone
from tests.service.hands import a_hand

HEIGHT, WIDTH = 48, 64
DISC = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([[[20]], [[30]]]))) < 9


def bring(api: httpx.Client, project_id: int, files: dict[str, bytes], **form: Any) -> httpx.Response:
    """The answer to an import of masks."""
    parts = [("files", (name, data)) for name, data in files.items()]
    return api.post(f"/projects/{project_id}/masks", files=parts, data=form)


def add_label(api: httpx.Client, project_id: int, name: str) -> int:
    return int(told(api.post(f"/projects/{project_id}/labels", json={"name": name}), 201)["id"])


def accepted(alone: Alone, label_id: int) -> dict[int, np.ndarray]:
    """The accepted masks of a label, by image."""
    with reading(alone.sessions) as session:
        rows = session.execute(
            select(Annotation.image_id, Annotation.id).where(
                Annotation.label_id == label_id, Annotation.state == "accepted"
            )
        ).all()
    return {image: from_png(alone.api.get(f"/annotations/{each}/mask").content) for image, each in rows}


def stack(alone: Alone, data: bytes, name: str = "scan.nii.gz") -> tuple[int, int, list[int]]:
    """A project with one label and the slices of one file."""
    project = a_project(alone.api, images=0)
    (file,) = told(upload(alone.api, project.id, {name: data}), 201)["images"]
    return project.id, project.label_id, file["source"]["image_ids"]


@pytest.mark.parametrize("name", ["0.png", "0_mask.png", "0-mask.tif", "scans/0_MASK.PNG"])
def test_a_mask_named_like_its_image_is_accepted_as_context(alone: Alone, name: str) -> None:
    project = a_project(alone.api, images=3)
    data = png(DISC) if name.lower().endswith("png") else tiff(DISC.astype(np.uint8) * 255)
    (file,) = told(bring(alone.api, project.id, {name: data}, label="disc"), 201)["files"]
    assert (file["status"], file["accepted"], file["empty"], file["kept"]) == ("imported", 1, 0, [])
    masks = accepted(alone, project.label_id)
    assert list(masks) == project.image_ids[:1]
    assert np.array_equal(masks[project.image_ids[0]], DISC)
    (entry,) = told(alone.api.get(f"/labels/{project.label_id}/context"))
    assert entry["image_id"] == project.image_ids[0]
    with reading(alone.sessions) as session:
        submission = session.scalars(select(Submission)).one()
        assert submission.origin is Origin.IMPORTED
        assert session.get_one(Annotation, submission.annotation_id).imported
    ahead = {row for job, row, _ in alone.jobs.sent if job is Job.PREDICT_FIRST}
    assert ahead, "the next images are predicted with it"


def test_nothing_that_a_person_did_is_overwritten(alone: Alone) -> None:
    project = a_project(alone.api, images=4)
    first = alone.accept(project.label_id)
    drawn = open_next(alone.api, project.label_id)
    told(draw(alone.api, drawn), 202)
    alone.api.post(f"/annotations/{drawn.id}/release", headers=drawn.lease)
    masks = {f"{n}_mask.png": png(DISC) for n in (0, 1, 3)}
    files = told(bring(alone.api, project.id, masks, label_id=project.label_id), 201)["files"]
    assert [file["accepted"] for file in files] == [0, 0, 1]
    assert [file["kept"][0]["reason"] for file in files[:2]] == [
        "it is accepted already",
        "somebody works on it",
    ]
    assert not np.array_equal(accepted(alone, project.label_id)[first["image_id"]], DISC)
    assert told(alone.api.get(f"/annotations/{drawn.id}"))["state"] == "open"
    held = open_next(alone.api, project.label_id)
    (file,) = told(bring(alone.api, project.id, {"1.png": png(DISC)}, label="disc"), 201)["files"]
    assert (held.id, file["accepted"]) == (drawn.id, 0)
    again = told(bring(alone.api, project.id, masks, label="disc"), 201)["files"]
    assert [file["accepted"] for file in again] == [0, 0, 0]


def test_an_image_that_was_left_as_it_was_before_an_open_page_is_free(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    open_next(alone.api, project.label_id)
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Lease).values(idle_at=now() - timedelta(seconds=1)))
    (file,) = told(bring(alone.api, project.id, {"0.png": png(DISC)}, label="disc"), 201)["files"]
    assert (file["accepted"], file["kept"]) == (1, [])


def test_a_label_map_has_a_value_for_each_label(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    second = add_label(alone.api, project.id, "rim")
    values = DISC.astype(np.uint8)
    values[40:, :10] = 2
    palette = Image.fromarray(values)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    stream = io.BytesIO()
    palette.save(stream, format="PNG")
    files = {"0.png": png(values), "1.png": stream.getvalue(), "2.png": png(np.dstack([values] * 3))}
    told(bring(alone.api, project.id, files), 201)
    for label_id, value in ((project.label_id, 1), (second, 2)):
        masks = accepted(alone, label_id)
        assert len(masks) == 3
        assert all(np.array_equal(mask, values == value) for mask in masks.values())


def test_one_value_of_a_mask_can_be_chosen(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    values = DISC.astype(np.uint8) * 7
    values[0] = 3
    told(bring(alone.api, project.id, {"0.png": png(values)}, label="disc", value="7"), 201)
    assert np.array_equal(accepted(alone, project.label_id)[project.image_ids[0]], DISC)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_nifti_mask_lands_on_the_very_same_voxels(alone: Alone, axis: int) -> None:
    affine = np.array([[0, 0.5, 0, 4], [-2, 0, 0, 1], [0, 0.1, 3, 8], [0, 0, 0, 1]])
    volume = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
    project = a_project(alone.api, images=0)
    answer = upload(alone.api, project.id, {"scan.nii.gz": nifti(volume, affine)}, data={"axis": str(axis)})
    source = told(answer, 201)["images"][0]["source"]
    truth = (volume % 5 == 0).astype(np.uint8)
    truth[0], truth[:, 0], truth[:, :, 0] = 0, 0, 0
    data = {"scan_mask.nii.gz": nifti(truth, affine)}
    (file,) = told(bring(alone.api, project.id, data, blank="empty"), 201)["files"]
    count = volume.shape[axis]
    assert (file["accepted"], file["empty"]) == (count, 1)
    masks = accepted(alone, project.label_id)
    for image in told(alone.api.get(f"/projects/{project.id}/images")):
        stored = Image.open(io.BytesIO(alone.api.get(f"/images/{image['id']}/pixels").content))
        values = np.asarray(stored) * image["scale"] + image["offset"]
        expected = truth.ravel()[values.astype(int)]  # a voxel's value is its index
        assert np.array_equal(masks[image["id"]], expected)
    assert len(masks) == len(source["image_ids"]) == count
    context = told(alone.api.get(f"/labels/{project.label_id}/context"))
    assert len(context) == count - 1, "the empty one shows the network nothing"


def test_a_nifti_mask_that_is_stored_scaled_is_what_it_stands_for(alone: Alone) -> None:
    volume = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
    project_id, label_id, _ = stack(alone, nifti(volume))
    truth = (volume > 300).astype(np.int32)
    stored = (truth * 65535 - 32768).astype(np.int16)
    data = nifti(stored, scl_slope=1 / 65535, scl_inter=32768 / 65535)
    told(bring(alone.api, project_id, {"scan_mask.nii.gz": data}, label="disc"), 201)
    assert sum(int(mask.sum()) for mask in accepted(alone, label_id).values()) == truth.sum()


def test_an_import_that_is_withdrawn_is_no_return_of_anybodys_work(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    told(bring(alone.api, project.id, {"0_mask.png": png(DISC)}, label="disc"), 201)
    (entry,) = told(alone.api.get(f"/labels/{project.label_id}/context"))
    path = f"/annotations/{entry['annotation_id']}/withdraw"
    told(alone.api.post(path, json={"reason": "wrong"}, headers={"If-Match": "*"}))
    people = told(alone.api.get(f"/projects/{project.id}/metrics"))["annotators"]
    assert [each["work"]["reviewed"] for each in people] in ([], [0])


def test_masks_are_taken_where_the_first_of_two_annotators_place_is_gone(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    path = f"/projects/{project.id}"
    change = {"If-Match": "*"}
    told(alone.api.patch(path, json={"overlap": 2}, headers=change))
    with unit_of_work(alone.sessions) as session:
        # Somebody has begun with the second place of the first image.
        second = session.scalars(select(Annotation).where(Annotation.replica == 1).order_by(Annotation.id))
        begun = second.first()
        assert begun is not None
        begun_id, image_id = begun.id, begun.image_id
    hand = a_hand(alone, alone.api, f"/annotations/{begun_id}/open")
    hand.draw()
    told(alone.api.patch(path, json={"overlap": 1}, headers=change))
    names = {f"{n}_mask.png": png(DISC) for n in range(2)}
    (first, other) = told(bring(alone.api, project.id, names, label="disc"), 201)["files"]
    assert (first["accepted"], other["accepted"]) == (0, 1)
    assert set(accepted(alone, project.label_id)) == set(project.image_ids) - {image_id}


def test_a_mask_of_another_place_or_size_is_refused(alone: Alone) -> None:
    volume = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
    project_id, label_id, _ = stack(alone, nifti(volume))
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    upload(alone.api, project_id, {"0.png": png()})
    files = {
        "scan_mask.nii.gz": nifti((volume > 9).astype(np.uint8), shifted),
        "scan.nii": nifti(np.ones((9, 8, 6), dtype=np.uint8), compressed=False),
        "0_mask.png": png(np.ones((5, 5), dtype=np.uint8)),
        "0.png": nifti(np.ones((9, 8, 7), dtype=np.uint8)),
        "scan_mask.tif": tiff(np.ones((3, 8, 9), dtype=np.uint8)),
        "other_mask.png": png(DISC),
        "0.jpg": b"\xff\xd8\xff no mask",
        "0_mask.tif": tiff(np.dstack([pixels() for _ in range(3)]), photometric="rgb"),
    }
    problem = told(bring(alone.api, project_id, files, label="disc"), 422)
    assert problem["code"] == "masks_refused"
    codes = [file["problem"]["code"] for file in problem["files"]]
    assert codes == ["mask_mismatch"] * 5 + ["mask_homeless"] + ["image_unknown"] * 2, problem["files"]
    assert accepted(alone, label_id) == {}


def test_no_slice_is_read_of_a_mask_that_has_too_many(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    project = a_project(alone.api, images=1)
    monkeypatch.setattr("service.images.tiff._samples", Mock(side_effect=AssertionError))
    data = {"0_mask.tif": tiff(np.zeros((50, HEIGHT, WIDTH), dtype=np.uint8), compression="zlib")}
    (file,) = told(bring(alone.api, project.id, data, label="disc"), 422)["files"]
    assert "has 50 slices" in file["problem"]["detail"]


def test_the_slices_of_a_mask_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = Mock(wraps=pictures.whole)
    monkeypatch.setattr(pictures, "whole", slices)
    images = [StoredImage(name=f"{n}.png", height=HEIGHT, width=WIDTH, frame=n) for n in range(3)]
    values = np.stack([DISC * n for n in range(3)]).astype(np.uint8)
    found = values_of(tiff(values), Home(Source(name="cells.tif"), images), max_pixels=10_000)
    for n, (image, of_image) in enumerate(found):
        assert image is images[n] and np.array_equal(of_image, values[n])
        assert slices.call_count == n + 1


def test_slices_of_which_a_mask_says_nothing_are_left_open(alone: Alone) -> None:
    volume = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
    project_id, label_id, ids = stack(alone, nifti(volume))
    rim = add_label(alone.api, project_id, "rim")
    values = np.zeros((9, 8, 7), dtype=np.uint8)
    values[2:5, 2:5, 3:5] = 1
    values[6, :, 3] = 2
    (file,) = told(bring(alone.api, project_id, {"scan.nii.gz": nifti(values)}), 201)["files"]
    assert (file["accepted"], file["empty"], file["blank"]) == (3, 0, 11)
    assert (sorted(accepted(alone, label_id)), list(accepted(alone, rim))) == (ids[3:5], ids[3:4])
    data = {"scan.nii.gz": nifti(values)}
    (file,) = told(bring(alone.api, project_id, data, blank="empty"), 201)["files"]
    assert (file["accepted"], file["empty"], file["blank"]) == (11, 11, 0)
    assert told(bring(alone.api, project_id, data, blank="maybe"), 422)["code"] == "invalid"


def test_pages_of_which_a_stack_of_masks_says_nothing_are_left_open(alone: Alone) -> None:
    project_id, label_id, ids = stack(alone, tiff(np.stack([pixels() for _ in range(3)])), "cells.tif")
    data = {"cells.tif": tiff(np.stack([DISC * 0, DISC * 1, DISC * 0]).astype(np.uint8))}
    (file,) = told(bring(alone.api, project_id, data, label="disc"), 201)["files"]
    assert (file["accepted"], file["blank"], list(accepted(alone, label_id))) == (1, 2, ids[1:2])


def test_black_and_white_is_of_no_label_in_particular_where_there_are_several(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    add_label(alone.api, project.id, "rim")
    for values in (DISC, DISC.astype(np.uint8)):
        problem = told(bring(alone.api, project.id, {"0.png": png(values)}), 422)["files"][0]["problem"]
        assert problem["code"] == "mask_unlabelled" and "in the field `label`" in problem["detail"]
    assert accepted(alone, project.label_id) == {}
    told(bring(alone.api, project.id, {"0.png": png(DISC)}, label="disc"), 201)


@pytest.mark.parametrize("name", ["cells #2.png", "cells #2_mask.png", "cells.tif #2.png"])
def test_one_slice_of_a_file_is_found_by_its_number(alone: Alone, name: str) -> None:
    project_id, label_id, ids = stack(alone, tiff(np.stack([pixels() for _ in range(3)])), "cells.tif")
    told(bring(alone.api, project_id, {name: png(DISC)}), 201)
    assert list(accepted(alone, label_id)) == ids[1:2]


def test_a_label_is_said_by_its_name_or_by_its_id_and_neither_is_taken_for_the_other(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    named = add_label(alone.api, project.id, str(project.label_id))
    told(bring(alone.api, project.id, {"0.png": png(DISC)}, label=str(project.label_id)), 201)
    assert list(accepted(alone, named)) == project.image_ids[:1]
    told(bring(alone.api, project.id, {"1.png": png(DISC)}, label_id=project.label_id), 201)
    assert list(accepted(alone, project.label_id)) == project.image_ids[1:]
    both = {"label": "disc", "label_id": project.label_id}
    for wrong in ({"label": str(named)}, {"label_id": named + 1}, {"label_id": "disc"}, both):
        assert told(bring(alone.api, project.id, {"0.png": png()}, **wrong), 422)["code"] == "invalid"


def test_a_value_that_no_label_has_is_refused(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    add_label(alone.api, project.id, "rim")
    problem = told(bring(alone.api, project.id, {"0.png": png(DISC.astype(np.uint8) * 255)}), 422)
    refused = problem["files"][0]["problem"]
    assert refused["code"] == "mask_unlabelled" and "the field `label`" in refused["detail"]
    unknown = bring(alone.api, project.id, {"0.png": png(DISC)}, label="nobody's")
    assert told(unknown, 422)["code"] == "invalid"


def test_a_stack_of_masks_is_taken_page_by_page(alone: Alone) -> None:
    stack_of = np.stack([pixels(dtype="uint16") for _ in range(4)])
    project_id, label_id, image_ids = stack(alone, tiff(stack_of), "cells.tif")
    ids = (stack_of > 40_000) * np.arange(1, 5, dtype=np.uint16)[:, None, None]
    told(bring(alone.api, project_id, {"cells_mask.tif": tiff(ids)}, label="disc"), 201)
    masks = accepted(alone, label_id)
    assert all(np.array_equal(masks[i], page > 0) for i, page in zip(image_ids, ids, strict=True))


def test_an_archive_of_masks_is_told_of_file_by_file(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    archive = zipped({"masks/0.png": png(DISC), "masks/1_mask.png": png(DISC), "readme.txt": b"hello"})
    files = told(bring(alone.api, project.id, {"masks.zip": archive}, label="disc"), 201)["files"]
    assert [(file["filename"], file["status"]) for file in files] == [
        ("masks/0.png", "imported"),
        ("masks/1_mask.png", "imported"),
        ("readme.txt", "refused"),
    ]
    assert len(accepted(alone, project.label_id)) == 2


def test_masks_are_of_the_image_in_their_own_folder(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    volume = np.arange(9 * 8 * 3, dtype=np.int16).reshape(9, 8, 3)
    images = {f"{folder}/img1.png": png() for folder in "ab"} | {"b/only.png": png()}
    pack = zipped(images | {"v/scan.nii.gz": nifti(volume)})
    sent = told(upload(alone.api, project.id, {"images.zip": pack}), 201)["images"]
    ids = {file["filename"]: file["source"]["image_ids"][0] for file in sent}
    masks = {
        "b/img1_mask.png": png(DISC),
        "export/a/img1.png": png(~DISC),
        "only_mask.png": png(DISC),
        "v/scan_mask.nii.gz": nifti((volume > 100).astype(np.uint8)),
        "img1_mask.png": png(DISC),
        "c/img1_mask.png": png(DISC),
        "a/only_mask.png": png(DISC),
    }
    files = told(bring(alone.api, project.id, {"masks.zip": zipped(masks)}, label="disc"), 201)["files"]
    assert [file["status"] for file in files] == ["imported"] * 4 + ["refused"] * 3, files
    assert "Several images" in files[4]["problem"]["detail"]
    found = accepted(alone, project.label_id)
    assert np.array_equal(found[ids["b/img1.png"]], DISC) and np.array_equal(found[ids["a/img1.png"]], ~DISC)
    assert np.array_equal(found[ids["b/only.png"]], DISC)
    assert set(ids.values()) <= set(found)


def test_of_very_many_folders_the_first_ones_or_all_may_be_other_ones_than_the_images() -> None:
    levels = names_by_folder("/".join(str(n % 10) for n in range(120)) + "/a_mask.png")
    assert [ranks[0][0].count("/") for ranks in levels] == [*range(120, 104, -1), 0]
    assert levels[0][0][0].startswith("0/1/2") and levels[-1][0][0] == "a"
    assert sum(len(name) for ranks in levels for names in ranks for name in names) < 200_000
    for folders in (0, 1, 9, 15, 16):
        levels = names_by_folder("a/" * folders + "b.png")
        assert [ranks[0][0].count("/") for ranks in levels] == [*range(folders, -1, -1)]


def test_a_label_is_not_looked_for_under_a_name_that_none_can_have() -> None:
    begun = process_time()
    assert meant(["disc"], "\u0301\u0316" * 25_000) is None
    assert process_time() - begun < 0.5
    assert meant(["disc", "caf\u00e9"], "CAFE\u0301") == "caf\u00e9"


def test_what_is_in_folders_is_read_once_for_all_masks_without_one(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    told(upload(alone.api, project.id, {f"f/{n}.png": png() for n in range(3)}), 201)
    searches: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if " LIKE " in statement:
            searches.append(statement)

    engine = alone.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    files = {f"{n}_mask.png": png(DISC) for n in range(3)}
    told(bring(alone.api, project.id, files, label="disc"), 201)
    event.remove(engine, "before_cursor_execute", note)
    assert len(accepted(alone, project.label_id)) == 3
    assert len(searches) == 2, "of images and of files"
