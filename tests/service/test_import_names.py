"""Which image a mask is of where several are called like it: ending and size decide, or it is refused."""

from typing import Any

import numpy as np
import pytest

from tests.exporting import download, finished, put_mask
from tests.factories import AProject, a_project, encoded, pixels, png, told, upload
from tests.files import dicom, nifti, tiff
from tests.service.conftest import Alone
from tests.service.test_coco import POLYGON, SQUARE, coco
from tests.service.test_imports import DISC, accepted, bring

WHITE = DISC.astype(np.uint8) * 255
SMALL = pixels(30, 30)
JPEG = encoded(pixels(), "JPEG")
STACK = np.stack([pixels() for _ in range(4)])
VOLUME = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)


def a_set(alone: Alone, files: dict[str, bytes]) -> tuple[AProject, dict[int, str]]:
    """A project of these files, and the names of its images."""
    project = a_project(alone.api, images=0)
    told(upload(alone.api, project.id, files), 201)
    return project, {
        each["id"]: each["name"] for each in told(alone.api.get(f"/projects/{project.id}/images"))
    }


def homes(alone: Alone, files: dict[str, bytes], name: str, mask: bytes, **form: Any) -> list[str]:
    """The images of ``files`` that the mask is accepted of."""
    project, names = a_set(alone, files)
    told(bring(alone.api, project.id, {name: mask}, **form), 201)
    return [names[image] for image in accepted(alone, project.label_id)]


PAIR = {"s.png": png(), "s.tif": tiff(pixels())}
PREVIEW = {"s.png": png(SMALL), "s.tif": tiff(pixels())}


@pytest.mark.parametrize(
    ("files", "name", "home"),
    [
        (PAIR, "s_mask.tif", "s.tif"),
        (PAIR, "s_mask.png", "s.png"),
        (PAIR, "s_mask.TIF", "s.tif"),
        (PAIR, "s.tif", "s.tif"),
        (PAIR, "s.tif_mask.png", "s.tif"),
        (PREVIEW, "s_mask.png", "s.tif"),
        (PREVIEW | {"s.jpg": JPEG}, "s_mask.tif", "s.tif"),
        ({"s.png": png(SMALL), "s.jpg": JPEG}, "s_mask.tif", "s.jpg"),
        ({"s.png": png(), "s_mask.png": png()}, "s_mask.png", "s.png"),
        ({"f/s.png": png(), "f/s.tif": tiff(pixels())}, "s_mask.tif", "f/s.tif"),
    ],
)
def test_of_several_images_called_alike_a_mask_is_of_the_one_with_its_ending_and_size(
    alone: Alone, files: dict[str, bytes], name: str, home: str
) -> None:
    mask = png(DISC) if name.endswith("png") else tiff(WHITE)
    assert homes(alone, files, name, mask, label="disc") == [home]


def test_a_stack_of_masks_is_of_a_stack_and_no_picture_beside_it(alone: Alone) -> None:
    files = {"s.png": png(), "s.tif": tiff(STACK)}
    mask = tiff(np.stack([WHITE] * 4))
    for name in ("s_mask.tif", "s.tif", "s.tiff"):
        assert len(homes(alone, files, name, mask, label="disc")) == 4


def test_voxels_are_of_a_volume_and_no_picture_beside_it(alone: Alone) -> None:
    files = {"s.png": png(SMALL), "s.nii.gz": nifti(VOLUME)}
    for name in ("s_mask.nii.gz", "s.nii"):
        found = homes(alone, files, name, nifti(np.ones_like(VOLUME)), label="disc")
        assert len(found) == 7 and "s.png" not in found


@pytest.mark.parametrize("name", ["A.ima", "A.IMA", "A.dicom", "A.DICOM", "A.dcm", "A"])
def test_a_mask_finds_a_dicom_file_whatever_its_ending(alone: Alone, name: str) -> None:
    files = {name: dicom(pixels())}
    assert homes(alone, files, "A_mask.png", png(DISC), label="disc") == [name]
    assert homes(alone, files, f"{name}_mask.png", png(DISC), label="disc") == [name]


@pytest.mark.parametrize("mask", [png(DISC), png(WHITE[:9])], ids=["fits both", "fits neither"])
def test_what_could_be_of_two_images_is_refused(alone: Alone, mask: bytes) -> None:
    project, _ = a_set(alone, {"s.jpg": JPEG, "s.tif": tiff(pixels())})
    (file,) = told(bring(alone.api, project.id, {"s_mask.png": mask}, label="disc"), 422)["files"]
    fits = mask == png(DISC)
    assert file["problem"]["code"] == ("mask_homeless" if fits else "mask_mismatch")
    assert not fits or "'s.jpg' or 's.tif'" in file["problem"]["detail"]
    assert accepted(alone, project.label_id) == {}


def test_coco_means_the_image_that_is_called_so_to_the_letter(alone: Alone) -> None:
    for files in (PAIR, {"f/s.png": png(), "f/s.tif": tiff(pixels())}):
        (home,) = homes(alone, files, "a.json", coco(("s.tif", "disc", POLYGON)))
        assert home.endswith("s.tif")
    assert homes(alone, PREVIEW, "a.json", coco(("s.jpg", "disc", POLYGON))) == ["s.tif"]
    for files, name in (({"s.png": png(), "s.tif": tiff(SMALL)}, "s.tif"), (PAIR, "s.jpg")):
        project, _ = a_set(alone, files)
        told(bring(alone.api, project.id, {"a.json": coco((name, "disc", POLYGON))}), 422)
        assert accepted(alone, project.label_id) == {}


def test_coco_of_images_that_are_called_alike_comes_back(alone: Alone) -> None:
    files = {"a.png": png(), "a.jpg": JPEG}
    project, names = a_set(alone, files)
    masks = {"a.png": DISC, "a.jpg": SQUARE}
    for image, name in names.items():
        put_mask(alone, project.label_id, image, masks[name])
    export = download(alone, finished(alone, project.id, "coco"))
    home, names = a_set(alone, files)
    told(bring(alone.api, home.id, {"a.json": export}), 201)
    found = accepted(alone, home.label_id)
    assert len(found) == 2 and all(np.array_equal(found[each], masks[name]) for each, name in names.items())
