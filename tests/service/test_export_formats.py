"""Masks leave in every format as they were drawn, to the pixel, and are on the voxels they came from."""

import csv
import gzip
import io
import json
from datetime import timedelta
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools.coco import COCO
from sqlalchemy import select

from service.clock import now
from service.db import unit_of_work
from service.masks import Mask
from service.rle import counts_of, from_text, mask_of, to_text
from service.tables import Annotation, Comment, ContextEntry, Role
from tests.exporting import document, download, files, finished, picture, put_mask, rectangle, unpacked
from tests.factories import a_project, pixels, png, told, upload
from tests.files import dicom, nifti, pages
from tests.service.conftest import Alone
from tests.service.hands import change_settings, review_next, take_next
from tests.service.people import a_member

masks = arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


def a_label(alone: Alone, project_id: int, name: str) -> int:
    return int(told(alone.api.post(f"/projects/{project_id}/labels", json={"name": name}), 201)["id"])


def an_image(alone: Alone, project_id: int, name: str, array: np.ndarray | None = None) -> int:
    uploaded = told(upload(alone.api, project_id, {name: png(array)}), 201)["images"][0]
    return int(uploaded["image"]["id"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(masks, min_size=1, max_size=3))
def test_any_masks_come_back_bit_exact_from_png_coco_numpy_and_nifti(alone: Alone, drawn: list[Mask]) -> None:
    project = a_project(alone.api, images=0)
    ids = []
    for n, mask in enumerate(drawn):
        ids.append(an_image(alone, project.id, f"{n}.png", pixels(*mask.shape)))
        put_mask(alone, project.label_id, ids[-1], mask)
    separate = files(alone, project.id, "png")
    packed = np.load(io.BytesIO(download(alone, finished(alone, project.id, "numpy"))))
    volumes = files(alone, project.id, "nifti")
    coco = document(alone, project.id, "coco")
    segmented = {each["image_id"]: each["segmentation"] for each in coco["annotations"]}
    for n, (image_id, mask) in enumerate(zip(ids, drawn, strict=True)):
        np.testing.assert_array_equal(picture(separate[f"masks/disc/{n}.png"]), mask)
        np.testing.assert_array_equal(packed[f"masks/{n}"], mask[None])
        volume = nibabel.Nifti1Image.from_bytes(gunzip(volumes[f"volumes/{n}.nii.gz"]))
        np.testing.assert_array_equal(np.asarray(volume.dataobj)[:, :, 0].T, mask)
        told_of = segmented[image_id]
        np.testing.assert_array_equal(mask_of(from_text(told_of["counts"]), *told_of["size"]), mask)


def gunzip(data: bytes) -> bytes:
    return gzip.decompress(data)


def test_coco_is_read_by_cocos_own_tools(alone: Alone, tmp_path: Path) -> None:
    project = a_project(alone.api, images=3)
    other = a_label(alone, project.id, "ring")
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(3, 4, 30, 20))
    put_mask(alone, other, project.image_ids[0], rectangle(0, 0, 64, 48))
    put_mask(alone, project.label_id, project.image_ids[2], rectangle(0, 0, 0, 0))
    path = tmp_path / "coco.json"
    path.write_bytes(download(alone, finished(alone, project.id, "coco")))
    coco = COCO(str(path))
    assert coco.getImgIds() == [project.image_ids[0], project.image_ids[2]]
    assert [cat["name"] for cat in coco.loadCats(coco.getCatIds())] == ["disc", "ring"]
    (disc,) = coco.loadAnns(coco.getAnnIds(project.image_ids[0], catIds=[project.label_id]))
    assert (disc["bbox"], disc["area"]) == ([3, 4, 27, 16], 27 * 16)
    np.testing.assert_array_equal(coco.annToMask(disc), rectangle(3, 4, 30, 20))
    (empty,) = coco.loadAnns(coco.getAnnIds(project.image_ids[2]))
    assert empty["area"] == 0 and not coco.annToMask(empty).any()


def test_a_label_map_has_the_labels_values_and_says_where_they_overlap(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    other = a_label(alone, project.id, "ring")
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(0, 0, 20, 20))
    put_mask(alone, other, project.image_ids[0], rectangle(10, 10, 40, 40))
    export = finished(alone, project.id, "labelmap")
    assert export["report"] == [{"item": "0.png", "what": "100 pixels of other labels are under 'ring'"}]
    found = unpacked(download(alone, export))
    values = picture(found["labelmaps/0.png"])
    expected = rectangle(0, 0, 20, 20) * 1
    expected[10:40, 10:40] = 2
    np.testing.assert_array_equal(values, expected)
    assert json.loads(found["labels.json"])["labels"] == [
        {"value": 1, "name": "disc", "folder": "disc"},
        {"value": 2, "name": "ring", "folder": "ring"},
    ]


def test_names_are_safe_and_none_is_given_twice(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    evil = a_label(alone, project.id, "../../disc")
    first = an_image(alone, project.id, "same.png")
    second = an_image(alone, project.id, "SAME.png")
    for label in (project.label_id, evil):
        for image in (first, second):
            put_mask(alone, label, image, rectangle(0, 0, 5, 5))
    found = files(alone, project.id, "png", images=True)
    again = f"SAME-{second}"
    assert set(found) == {
        *(f"masks/{label}/{image}.png" for label in ("disc", "_.._disc") for image in ("same", again)),
        "images/same.png",
        f"images/{again}.png",
        "labels.json",
    }


def test_images_of_one_name_stay_in_their_folders(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    for name in ("a/img.png", "b/img.png", "replica-2/a/img.png"):
        put_mask(alone, project.label_id, an_image(alone, project.id, name), rectangle(0, 0, 5, 5))
    assert set(files(alone, project.id, "png")) - {"labels.json"} == {
        f"masks/disc/{name}.png" for name in ("a/img", "b/img", "_replica-2/a/img")
    }
    names = [each["file_name"] for each in document(alone, project.id, "coco")["images"]]
    assert names == ["a/img.png", "b/img.png", "replica-2/a/img.png"]


def test_what_further_annotators_drew_is_beside_the_first_ones(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(0, 0, 5, 5))
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(0, 0, 9, 9), replica=1)
    found = files(alone, project.id, "png")
    assert picture(found["masks/disc/0.png"]).sum() == 25
    assert picture(found["masks/disc/replica-2/0.png"]).sum() == 81
    assert [each["area"] for each in document(alone, project.id, "coco")["annotations"]] == [25]


@pytest.mark.parametrize(
    ("form", "options"),
    [("coco", {}), ("labelmap", {}), ("numpy", {}), ("nifti", {}), ("nifti", {"separate": True})],
)
def test_what_further_annotators_made_is_reported_where_there_is_no_place_for_it(
    alone: Alone, form: str, options: dict[str, bool]
) -> None:
    project = a_project(alone.api, images=2)
    for image_id in project.image_ids:
        put_mask(alone, project.label_id, image_id, rectangle(0, 0, 5, 5))
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(0, 0, 9, 9), replica=1)
    assert finished(alone, project.id, form, **options)["report"] == [
        {"item": "0.png", "what": "further annotators' masks left out: 1; PNG and JSON have them all"}
    ]


def test_labels_and_states_are_chosen(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    other = a_label(alone, project.id, "ring")
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(0, 0, 5, 5))
    put_mask(alone, other, project.image_ids[0], rectangle(0, 0, 5, 5))
    assert "masks/disc/0.png" in files(alone, project.id, "png")
    assert set(files(alone, project.id, "png", labels=[other])) == {"masks/ring/0.png", "labels.json"}


@pytest.mark.parametrize("state", ["submitted", "returned"])
def test_what_waits_for_a_decision_is_exported_as_it_was_submitted_last(alone: Alone, state: str) -> None:
    project = a_project(alone.api, images=2)
    alone.accept(project.label_id)
    change_settings(alone, project.id, review_every=1)
    author = a_member(alone, project.id, Role.ANNOTATOR)
    take_next(alone, author, project.label_id).submit()
    review_next(alone, alone.api, project.label_id).send_back()
    hand = take_next(alone, author, project.label_id)
    hand.draw()
    hand.submit()
    mask = hand.mask()
    if state == "returned":
        review_next(alone, alone.api, project.label_id).send_back()
    found = files(alone, project.id, "png", states=[state])
    assert set(found) == {"masks/disc/1.png", "labels.json"}
    assert np.array_equal(picture(found["masks/disc/1.png"]) > 0, mask)
    (drawn,) = document(alone, project.id, "coco", states=[state])["annotations"]
    assert drawn["area"] == mask.sum()
    annotations = {each["id"]: each for each in document(alone, project.id, "json")["annotations"]}
    assert annotations[hand.id]["mask"]["counts"] == to_text(counts_of(mask))


def rotated(rng: np.random.Generator) -> np.ndarray:
    """An affine that turns, stretches and shifts, with no axis along the patient's."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * rng.uniform(0.3, 4, size=3)
    affine[:3, 3] = rng.uniform(-200, 200, size=3)
    return affine


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_nifti_volume_comes_back_on_its_own_voxels(alone: Alone, seed: int, separate: bool) -> None:
    rng = np.random.default_rng(seed)
    phantom = np.zeros((13, 17, 7), dtype=np.int16)
    phantom[2:9, 3:5, 1:6], phantom[8, 3:16, 2:4], phantom[3, 9:12, 5] = 100, 100, 100
    affine = rotated(rng)
    data = nifti(phantom, affine)
    project = a_project(alone.api, images=0)
    answer = upload(alone.api, project.id, {"scan.nii.gz": data}, data={"axis": str(seed % 3)})
    source = told(answer, 201)["images"][0]["source"]
    for image_id in source["image_ids"]:
        values = picture(alone.api.get(f"/images/{image_id}/pixels").content)
        offset = told(alone.api.get(f"/images/{image_id}"))["offset"]
        put_mask(alone, project.label_id, image_id, values + offset == 100)
    found = files(alone, project.id, "nifti", separate=separate)
    original = nibabel.Nifti1Image.from_bytes(gunzip(data))
    name = "volumes/disc/scan.nii.gz" if separate else "volumes/scan.nii.gz"
    exported = nibabel.Nifti1Image.from_bytes(gunzip(found[name]))
    np.testing.assert_array_equal(np.asarray(exported.dataobj), phantom == 100)
    assert exported.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(exported.affine, original.affine)
    np.testing.assert_array_equal(exported.get_sform(), original.get_sform())
    assert exported.header.get_zooms() == original.header.get_zooms()


PHANTOM = np.zeros((6, 5, 4), dtype=np.int16)
PHANTOM[1:3, 2, 1:] = 7


@pytest.mark.parametrize(
    "image",
    [
        nibabel.Nifti1Image(PHANTOM, np.eye(4), nibabel.Nifti1Header(endianness=">")),
        nibabel.Nifti2Image(PHANTOM, np.diag([1, -2, 3, 1])),
        nibabel.Nifti1Image(PHANTOM[..., 2], np.diag([-1, 1, 2, 1])),
        nibabel.Nifti1Image(PHANTOM[..., None], np.eye(4)),
    ],
    ids=["big-endian", "version 2", "a plane", "four dimensions"],
)
def test_a_nifti_file_keeps_its_shape_and_kind(alone: Alone, image: nibabel.Nifti1Image) -> None:
    data = image.to_bytes()
    project = a_project(alone.api, images=0)
    source = told(upload(alone.api, project.id, {"scan.nii": data}), 201)["images"][0]
    ids = source["source"]["image_ids"] if source["source"] else [source["image"]["id"]]
    for image_id in ids:
        found = told(alone.api.get(f"/images/{image_id}"))
        values = picture(alone.api.get(f"/images/{image_id}/pixels").content)
        put_mask(alone, project.label_id, image_id, values * found["scale"] + found["offset"] == 7)
    exported = type(image).from_bytes(gunzip(files(alone, project.id, "nifti")["volumes/scan.nii.gz"]))
    assert exported.shape == image.shape
    assert exported.header.endianness == image.header.endianness
    np.testing.assert_array_equal(np.asarray(exported.dataobj), np.asarray(image.dataobj) == 7)
    np.testing.assert_array_equal(exported.affine, type(image).from_bytes(data).affine)


def test_a_dicom_series_becomes_a_volume_where_its_slices_lie(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    plane = ["0", "1", "0", "0", "0", "-1"]  # sagittal: columns to the back, rows to the feet
    names = {f"{x}.dcm": x for x in (6.0, 0.0, 3.0)}
    arrays = {name: pixels(8, 10) for name in names}
    for name, x in names.items():
        data = dicom(
            arrays[name],
            ImageOrientationPatient=plane,
            ImagePositionPatient=[str(x), "-20", "30"],
            PixelSpacing=["2", "0.5"],
        )
        image = told(upload(alone.api, project.id, {name: data}), 201)["images"][0]["image"]
        put_mask(alone, project.label_id, image["id"], rectangle(int(x), 1, 8, 3, height=8, width=10))
    ((name, data),) = [each for each in files(alone, project.id, "nifti").items() if ".nii" in each[0]]
    volume = nibabel.Nifti1Image.from_bytes(gunzip(data))
    for index, x in enumerate(sorted(names.values(), reverse=bool(volume.affine[0, 2] > 0))):
        plane_of = np.asarray(volume.dataobj)[:, :, index].T
        np.testing.assert_array_equal(plane_of, rectangle(int(x), 1, 8, 3, height=8, width=10))
        corner = volume.affine @ [0, 0, index, 1]
        np.testing.assert_allclose(corner[:3], [-x, 20, 30])
    step = volume.affine @ [1, 0, 0, 0], volume.affine @ [0, 1, 0, 0]
    np.testing.assert_allclose(step, [[0, -0.5, 0, 0], [0, 0, -2, 0]])


def test_pages_of_a_tiff_are_the_slices_of_a_volume(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    data = pages(*[pixels(9, 7) for _ in range(3)])
    source = told(upload(alone.api, project.id, {"cells.tif": data}), 201)["images"][0]["source"]
    put_mask(alone, project.label_id, source["image_ids"][1], rectangle(1, 2, 5, 8, height=9, width=7))
    volume = nibabel.Nifti1Image.from_bytes(gunzip(files(alone, project.id, "nifti")["volumes/cells.nii.gz"]))
    voxels = np.asarray(volume.dataobj)
    assert voxels.shape == (7, 9, 3) and not voxels[:, :, [0, 2]].any()
    np.testing.assert_array_equal(voxels[:, :, 1].T, rectangle(1, 2, 5, 8, height=9, width=7))


def test_numpy_packs_tell_what_was_annotated_and_hold_the_images(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    other = a_label(alone, project.id, "ring")
    array = pixels(20, 30, "uint16")
    image = an_image(alone, project.id, "deep.png", array)
    put_mask(alone, other, image, rectangle(1, 1, 4, 4, height=20, width=30))
    packed = np.load(io.BytesIO(download(alone, finished(alone, project.id, "numpy", images=True))))
    assert packed["labels"].tolist() == ["disc", "ring"]
    assert packed["annotated/deep"].tolist() == [False, True]
    assert packed["masks/deep"].sum(axis=(1, 2)).tolist() == [0, 9]
    np.testing.assert_array_equal(packed["images/deep"], array)


def test_the_values_of_images_can_be_had_back(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    put_mask(alone, project.label_id, project.image_ids[0], rectangle(0, 0, 5, 5))
    floats = np.random.default_rng(0).random((8, 9, 3), dtype=np.float32) * np.float32([1, 0.1, 0.01])
    whole = np.linspace(-1000, 1000, 8 * 9).astype(np.int16).reshape(8, 9, 1)
    for name, volume in {"float.nii": floats, "ct.nii": whole}.items():
        made = upload(alone.api, project.id, {name: nifti(volume, compressed=False)})
        for image in told(alone.api.get(f"/projects/{project.id}/images"))[-volume.shape[2] :]:
            put_mask(alone, project.label_id, image["id"], np.ones((9, 8), dtype=np.bool_))
        assert made.status_code == 201
    images = {f"float #{n + 1}": floats[::-1, ::-1, n].T for n in range(3)} | {"ct": whole[::-1, ::-1, 0].T}
    packed = np.load(io.BytesIO(download(alone, finished(alone, project.id, "numpy", images=True))))
    assert (packed["images/0"].dtype, packed["images/ct"].dtype) == (np.uint8, np.int32)
    found = files(alone, project.id, "png", images=True)
    scales = json.loads(found["labels.json"])["scales"]
    assert scales.keys() == images.keys()
    for stem, values in images.items():
        scale, offset = scales[stem]
        shown = picture(found[f"images/{stem}.png"]) * scale + offset
        np.testing.assert_allclose(shown, values, atol=scale / 2 if scale != 1 else 0)
        np.testing.assert_allclose(packed[f"images/{stem}"], shown, rtol=1e-6)
    assert json.loads(files(alone, project.id, "labelmap")["labels.json"])["scales"] == {}


def test_csv_tells_what_each_image_took_in_order_of_acceptance(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    for image_id, minutes in zip(project.image_ids, (2, 1, 3), strict=True):
        put_mask(alone, project.label_id, image_id, rectangle(0, 0, 5, 5))
        with unit_of_work(alone.sessions) as session:
            annotation = session.query(Annotation).filter_by(image_id=image_id).one()
            annotation.accepted_at = now() - timedelta(minutes=9 - minutes)
    lines = download(alone, finished(alone, project.id, "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [row["image"] for row in rows] == ["1.png", "0.png", "2.png"]
    assert [row["position"] for row in rows] == ["1", "2", "3"]
    assert {row["running_mean"] for row in rows} == {"0.0"}


def test_csv_tells_what_a_reviewer_returned_and_not_what_its_author_took_back(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, alone.api, project.label_id)
    hand.submit()
    hand.post("withdraw", {"reason": "too soon"}, versioned=True)
    assert returned(alone, project.id) == ["0"]
    change_settings(alone, project.id, review_every=1)
    take_next(alone, alone.api, project.label_id).submit()
    review_next(alone, a_member(alone, project.id, Role.REVIEWER), project.label_id).send_back()
    assert returned(alone, project.id) == ["1"]


def returned(alone: Alone, project_id: int) -> list[str]:
    """How often each annotation that was returned has been, as the CSV tells."""
    lines = download(alone, finished(alone, project_id, "csv", states=["returned"])).decode()
    return [row["returned"] for row in csv.DictReader(io.StringIO(lines))]


def test_json_has_everything(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    accepted = alone.accept(project.label_id)
    with unit_of_work(alone.sessions) as session:
        user = session.get_one(Annotation, accepted["id"]).accepted_by
        session.add(Comment(annotation_id=accepted["id"], user_id=user, text="=look", x=1.5, y=2.5))
        session.scalars(select(ContextEntry)).one().pinned_by = user
    found = document(alone, project.id, "json")
    assert found["projects"][0]["id"] == project.id
    assert [image["id"] for image in found["images"]] == project.image_ids
    assert len(found["sources"]) == 2 and len(found["annotations"]) == 2 and len(found["context"]) == 1
    annotation = next(each for each in found["annotations"] if each["id"] == accepted["id"])
    assert annotation["accepted_by"] == found["context"][0]["pinned_by"] == "somebody"
    assert annotation["comments"][0]["text"] == "=look"
    assert [each["n"] for each in annotation["predictions"]] == [0]
    shape = annotation["mask"]["size"]
    assert mask_of(from_text(annotation["mask"]["counts"]), *shape).sum() == 16 * 16


@pytest.mark.parametrize("separate", [False, True])
def test_an_image_too_long_for_a_nifti_1_header_gets_one_of_version_2(alone: Alone, separate: bool) -> None:
    project = a_project(alone.api, images=0)
    image_id = an_image(alone, project.id, "strip.png", np.zeros((2, 33_000), dtype=np.uint8))
    put_mask(alone, project.label_id, image_id, rectangle(32_990, 0, 33_000, 2, height=2, width=33_000))
    found = files(alone, project.id, "nifti", separate=separate)
    (data,) = [each for name, each in found.items() if name.endswith("strip.nii.gz")]
    voxels = np.asarray(nibabel.Nifti2Image.from_bytes(gunzip(data)).dataobj)
    assert voxels.shape == (33_000, 2, 1)
    assert voxels[32_990:].all() and not voxels[:32_990].any()
