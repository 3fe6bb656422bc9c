"""What a project exports can be imported again: the same masks, to the pixel, under the same labels."""

import json
import unicodedata
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import select

from service.db import reading
from service.masks import Mask, from_png
from service.tables import Annotation, Image, Label, State
from tests.exporting import download, finished, put_mask, unpacked
from tests.factories import encoded, pixels, png, told, upload
from tests.files import dicom, nifti, tiff, zipped
from tests.service.conftest import Alone

LABELS = ("cell body", "rim/inner")
# A volume that is not stored as it is shown, a stack of pages, one of two channels, a series of files, and
# images in folders.
AFFINE = np.array([[0, 0.5, 0, 4], [-2, 0, 0, 1], [0, 0.1, 3, 8], [0, 0, 0, 1]])
FILES = {
    "scan.nii.gz": nifti(np.arange(12 * 9 * 4, dtype=np.int16).reshape(12, 9, 4), AFFINE),
    "deep/stack.tif": tiff(np.stack([pixels(10, 14, "uint16") for _ in range(3)])),
    "channels.tif": tiff(
        np.stack([[pixels(7, 9), pixels(7, 9)] for _ in range(3)]), imagej=True, metadata={"axes": "ZCYX"}
    ),
    "plain.png": png(pixels(11, 13)),
    "deep/plain.png": png(pixels(11, 13)),
    **{
        f"ct/IM{n}.dcm": dicom(
            pixels(8, 10),
            InstanceNumber=str(n),
            ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
            ImagePositionPatient=["-7", "3", str(5 - 2 * n)],
        )
        for n in (1, 2)
    },
}

Masks = dict[tuple[str, str], Mask]


@dataclass(frozen=True)
class Set:
    """A project of all kinds of files: the ids of its labels by name, and its images."""

    id: int
    labels: dict[str, int]
    images: dict[str, Image]


def a_set(alone: Alone, labels: tuple[str, ...] = LABELS, files: dict[str, bytes] = FILES) -> Set:
    project = told(alone.api.post("/projects", json={"name": f"set {uuid4()}"}), 201)["id"]
    path = f"/projects/{project}/labels"
    ids = {name: told(alone.api.post(path, json={"name": name}), 201)["id"] for name in labels}
    told(upload(alone.api, project, {"files.zip": zipped(files)}), 201)
    with reading(alone.sessions) as session:
        images = session.scalars(select(Image).where(Image.project_id == project))
        return Set(project, ids, {image.name: image for image in images})


def drawn(alone: Alone, project: Set) -> Masks:
    """Masks of the labels side by side; some images have one of them, one has neither."""
    rng = np.random.default_rng(0)
    made: Masks = {}
    for place, (name, image) in enumerate(sorted(project.images.items())):
        for side, label in enumerate(LABELS):
            mask = rng.random((image.height, image.width)) < 0.4
            mask[:, image.width // 2 :] &= bool(side)
            mask[:, : image.width // 2] &= not side
            if place % 4 not in (side, 3):
                put_mask(alone, project.labels[label], image.id, mask)
                made[name, label] = mask
    return made


def accepted(alone: Alone, project: Set) -> Masks:
    """What is accepted in the project, by image and label."""
    with reading(alone.sessions) as session:
        rows = session.execute(
            select(Image.name, Label.name, Annotation.mask_digest)
            .join(Image, Image.id == Annotation.image_id)
            .join(Label, Label.id == Annotation.label_id)
            .where(Label.project_id == project.id, Annotation.state == State.ACCEPTED)
        ).all()
    return {(image, label): from_png(alone.storage.get(str(digest))) for image, label, digest in rows}


def same(found: Masks, expected: Masks) -> bool:
    return found.keys() == expected.keys() and all(
        np.array_equal(found[each], mask) for each, mask in expected.items()
    )


def bring_back(alone: Alone, project: Set, name: str, data: bytes, **form: str) -> Any:
    answer = alone.api.post(f"/projects/{project.id}/masks", files=[("files", (name, data))], data=form)
    return told(answer, 201)["files"]


@pytest.mark.parametrize("wanted", [LABELS, LABELS[:1], LABELS[1:]], ids=["all", "first", "second"])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("png", {}),
        ("png", {"images": True}),
        ("labelmap", {}),
        ("nifti", {}),
        ("nifti", {"separate": True}),
        ("coco", {}),
    ],
    ids=["png", "png with images", "labelmap", "nifti", "separate nifti", "coco"],
)
def test_an_export_comes_back_as_it_was(
    alone: Alone, form: str, options: dict[str, bool], wanted: tuple[str, ...]
) -> None:
    origin = a_set(alone)
    truth = {key: mask for key, mask in drawn(alone, origin).items() if key[1] in wanted}
    chosen = [origin.labels[name] for name in wanted]
    export = finished(alone, origin.id, form, labels=chosen, **options)
    data = download(alone, export)
    home = a_set(alone, LABELS[::-1])  # in another order, so that no value is what it was by chance
    files = bring_back(alone, home, "export.json" if form == "coco" else "export.zip", data)
    assert [file for file in files if file["status"] == "refused"] == []
    assert same(accepted(alone, home), truth)
    blank = [line for line in export["report"] if line["what"].endswith("slices have no mask and are 0")]
    assert bool(blank) == (form == "nifti"), "what nobody has annotated is 0 in a volume, and left open again"


def test_files_beside_their_list_of_labels_are_of_these_labels(alone: Alone) -> None:
    origin, home = a_set(alone), a_set(alone, LABELS[::-1])
    truth = drawn(alone, origin)
    files = unpacked(download(alone, finished(alone, origin.id, "png", labels=[*origin.labels.values()])))
    parts = [("files", (f"mine/{name}", data)) for name, data in files.items()]
    answer = told(alone.api.post(f"/projects/{home.id}/masks", files=parts), 201)["files"]
    assert len(answer) == len(files) - 1, "the list is no mask"
    assert same(accepted(alone, home), truth)
    alone_ = alone.api.post(
        f"/projects/{home.id}/masks", files=[("files", ("labels.json", files["labels.json"]))]
    )
    assert told(alone_, 422)["detail"] == "There is no mask among these files."


def test_what_a_list_of_labels_leaves_open_is_refused_with_a_sentence(alone: Alone) -> None:
    origin = a_set(alone)
    drawn(alone, origin)
    data = download(alone, finished(alone, origin.id, "png"))
    other = a_set(alone, ("cell body",))
    files = bring_back(alone, other, "export.zip", data)
    refused = {file["problem"]["detail"] for file in files if file["status"] == "refused"}
    assert refused == {"The project has no label called 'rim/inner'. Add it, or say which it is of."}
    assert {label for _, label in accepted(alone, other)} == {"cell body"}
    both = alone.api.post(
        f"/projects/{origin.id}/masks",
        files=[("files", ("export.zip", data))],
        data={"label": LABELS[0]},
    )
    assert "lists 2 labels" in told(both, 422)["files"][0]["problem"]["detail"]


def test_the_masks_of_further_annotators_do_not_take_the_place_of_the_first(alone: Alone) -> None:
    origin, home = a_set(alone), a_set(alone)
    image, label = origin.images["plain.png"], origin.labels[LABELS[0]]
    first, second = (pixels(image.height, image.width) > limit for limit in (60, 120))
    put_mask(alone, label, image.id, first)
    put_mask(alone, label, image.id, second, replica=1)
    files = bring_back(alone, home, "x.zip", download(alone, finished(alone, origin.id, "png")))
    assert sorted(file["status"] for file in files) == ["imported", "refused"]
    assert same(accepted(alone, home), {("plain.png", LABELS[0]): first})


@pytest.mark.parametrize("labels", [LABELS, LABELS[:1]], ids=["two labels", "one label"])
@pytest.mark.parametrize("form", ["png", "labelmap", "nifti", "coco"])
def test_an_image_on_which_there_is_nothing_comes_back_as_one(
    alone: Alone, form: str, labels: tuple[str, ...]
) -> None:
    files = {f"{n}.png": png(pixels(11, 13)) for n in range(4)}
    origin, home = a_set(alone, labels, files), a_set(alone, labels[::-1], files)
    blank, some = np.zeros((11, 13), dtype=np.bool_), pixels(11, 13) > 99
    truth = {("0.png", labels[0]): blank, ("1.png", labels[0]): some, ("2.png", labels[-1]): blank}
    truth |= {("1.png", labels[-1]): blank} if len(labels) > 1 else {}
    for (name, label), mask in truth.items():
        put_mask(alone, origin.labels[label], origin.images[name].id, mask)
    export = finished(alone, origin.id, form)
    assert export["report"] == []
    bring_back(alone, home, "export.json" if form == "coco" else "export.zip", download(alone, export))
    assert same(accepted(alone, home), truth)


def test_empty_slices_of_a_volume_are_told_of(alone: Alone) -> None:
    origin = a_set(alone)
    for n, mask in enumerate([np.zeros((10, 14), dtype=np.bool_), np.ones((10, 14), dtype=np.bool_)]):
        put_mask(alone, origin.labels[LABELS[0]], origin.images[f"deep/stack.tif #{n + 1}"].id, mask)
    for options in ({}, {"separate": True}):
        told_of = [line["what"] for line in finished(alone, origin.id, "nifti", **options)["report"]]
        assert [line.split(";")[0] for line in told_of][:2] == [
            "slices annotated as empty: 1",
            "1 of 3 slices have no mask and are 0",
        ]


ODD_NAMES = (
    *(
        "twin.png",
        "twin.jpg",
        "deep/twin.png",
        "t12:30:01.png",
        ".hidden.png",
        "con.png",
        "b .png",
        "x.tif.png",
    ),
    *("x" * 110 + "1.png", "x" * 110 + "2.png", "pat:1/a.png", "Zellkörper 1.png", "plane.tif"),
)


def odd_set(alone: Alone) -> Set:
    """A project of images whose names are not those that files of an export can have."""
    project = a_set(alone)
    planes = tiff(np.stack([pixels(11, 13)] * 2), planarconfig="separate")
    for name in ODD_NAMES:
        jpeg = encoded(pixels(11, 13), "JPEG") if name.endswith(".jpg") else png(pixels(11, 13))
        told(upload(alone.api, project.id, {name: planes if name.endswith(".tif") else jpeg}), 201)
    told(upload(alone.api, project.id, {"plane:2.tif": planes}), 201)
    with reading(alone.sessions) as session:
        images = session.scalars(select(Image).where(Image.project_id == project.id, Image.height == 11))
        return Set(project.id, project.labels, {image.name: image for image in images})


@pytest.mark.parametrize("form", ["png", "labelmap", "nifti"])
def test_images_go_back_that_cannot_be_called_in_an_export_what_they_are_called(
    alone: Alone, form: str
) -> None:
    origin, home = odd_set(alone), odd_set(alone)
    assert len(origin.images) > len(ODD_NAMES) + 2
    truth = drawn(alone, origin)
    export = download(alone, finished(alone, origin.id, form))
    files = bring_back(alone, home, "export.zip", export)
    assert [file for file in files if file["status"] == "refused"] == []
    assert same(accepted(alone, home), truth)


def test_a_list_of_labels_says_of_few_images_what_they_are_called(alone: Alone) -> None:
    origin = odd_set(alone)
    drawn(alone, origin)
    listed = json.loads(unpacked(download(alone, finished(alone, origin.id, "png")))["labels.json"])
    assert listed["names"]["twin"] == "twin.png" and listed["names"]["_con"] == "con.png"
    assert {"Zellkörper 1.png", "deep/twin.png", "deep/plain.png"}.isdisjoint(listed["names"].values())


def test_an_export_that_a_mac_has_packed_again_is_the_same(alone: Alone) -> None:
    typed = unicodedata.normalize("NFD", "Körper")
    origin, home = a_set(alone, (typed, "Zelle")), a_set(alone, ("Zelle", "Körper"))
    mask = pixels(11, 13) > 99
    put_mask(alone, origin.labels[typed], origin.images["plain.png"].id, mask)
    files = unpacked(download(alone, finished(alone, origin.id, "png")))
    packed = {unicodedata.normalize("NFD", name): data for name, data in files.items()}
    bring_back(alone, home, "again.zip", zipped(packed))
    assert same(accepted(alone, home), {("plain.png", "Körper"): mask})


def test_masks_in_a_folder_that_is_of_no_listed_label_are_of_none(alone: Alone) -> None:
    origin, home = a_set(alone), a_set(alone)
    drawn(alone, origin)
    files = unpacked(download(alone, finished(alone, origin.id, "png")))
    image = home.images["plain.png"]
    mask = png(np.ones((image.height, image.width), dtype=np.bool_))
    other = {"labels.json": files["labels.json"], "masks/nuclei/plain.png": mask, "masks/plain.png": mask}
    parts = [("files", each) for each in other.items()]
    answer = told(alone.api.post(f"/projects/{home.id}/masks", files=parts), 422)["files"]
    assert ["labels.json" in file["problem"]["detail"] for file in answer] == [True, True]
    assert accepted(alone, home) == {}


def test_a_label_that_there_is_nothing_of_may_be_missing_where_the_masks_go(alone: Alone) -> None:
    origin, home = a_set(alone, ("cell", "rim")), a_set(alone, ("cell",))
    image, mask = origin.images["plain.png"], pixels(11, 13) > 99
    put_mask(alone, origin.labels["cell"], image.id, mask)
    put_mask(alone, origin.labels["rim"], image.id, np.zeros_like(mask))
    bring_back(alone, home, "export.zip", download(alone, finished(alone, origin.id, "labelmap")))
    assert same(accepted(alone, home), {("plain.png", "cell"): mask})
