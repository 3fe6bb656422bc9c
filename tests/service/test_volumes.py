"""Volumes: slices that stay together, the files they came in, archives of them, and what is known already."""

import gzip
import io
from hashlib import sha256
from time import perf_counter

import httpx
import nibabel
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert, select

from service.db import unit_of_work
from service.imports.queries import slices
from service.tables import Image as Row
from service.tables import Source
from tests.exporting import download, finished, put_mask, unpacked
from tests.factories import a_project, pixels, png, told, upload
from tests.files import dicom, enhanced, nifti, put_back, tiff, zipped
from tests.service.conftest import Alone

VOLUME = np.arange(12 * 10 * 6, dtype=np.int16).reshape(12, 10, 6) * 3 - 500
AFFINE = np.array([[0, -2, 0, 9], [1.5, 0, 0, -4], [0, 0, 5, 7], [0, 0, 0, 1]], dtype=np.float64)


def stored(api: httpx.Client, image: dict) -> np.ndarray:
    """The values of an image, from what a browser would get."""
    found = Image.open(io.BytesIO(api.get(f"/images/{image['id']}/pixels").content))
    values: np.ndarray = np.asarray(found) * image["scale"] + image["offset"]
    return values


def test_a_volume_is_a_series_and_masks_of_it_go_back_onto_its_voxels(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    data = nifti(VOLUME, AFFINE)
    told_of = told(upload(api, project.id, {"scan.nii.gz": data}), 201)["images"][0]
    source = told_of["source"]
    assert told_of["image"] is None and len(source["image_ids"]) == 6
    images = told(api.get(f"/projects/{project.id}/images", params={"source_id": source["id"]}))
    assert [image["id"] for image in images] == source["image_ids"]
    assert [image["name"] for image in images] == [f"scan.nii.gz #{n}" for n in range(1, 7)]
    assert [image["place"] for image in images] == list(range(6))
    assert images[0]["spacing"] == [2.0, 1.5]
    masks = np.zeros(VOLUME.shape, dtype=np.uint8)
    for image in images:
        put_back(masks, source["geometry"], image["frame"], 1, stored(api, image) > 300)
    original = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
    assert np.array_equal(masks, original.get_fdata() > 300)
    assert np.allclose(source["geometry"]["affine"], original.affine)
    assert told(api.get(f"/sources/{source['id']}")) == source


def test_the_axis_can_be_chosen(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    for axis, count in (("0", 12), ("1", 10)):
        data = nifti(VOLUME + int(axis))
        answer = upload(api, project.id, {"scan.nii.gz": data}, data={"axis": axis})
        assert len(told(answer, 201)["images"][0]["source"]["image_ids"]) == count
    answer = upload(api, project.id, {"scan.nii.gz": nifti(VOLUME)}, data={"axis": "3"})
    assert told(answer, 422)["code"] == "invalid"


def test_every_slice_is_annotated_for_every_label(api: httpx.Client) -> None:
    project = a_project(api, images=1)
    upload(api, project.id, {"scan.nii": nifti(VOLUME, compressed=False)})
    assert told(api.get(f"/projects/{project.id}"))["labels"][0]["images"] == 7


def test_a_slice_knows_its_neighbours_although_each_came_in_a_file_of_its_own(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    plane = ["1", "0", "0", "0", "1", "0"]
    files = {
        f"{z}.dcm": dicom(pixels(), ImageOrientationPatient=plane, ImagePositionPatient=["0", "0", str(z)])
        for z in (20, 5, 10)
    }
    files["other.png"] = png()
    uploaded = told(upload(api, project.id, files), 201)["images"]
    ids = {each["filename"]: each["image"]["id"] for each in uploaded}
    assert sorted(ids, key=ids.__getitem__) == ["5.dcm", "10.dcm", "20.dcm", "other.png"]
    middle = told(api.get(f"/images/{ids['10.dcm']}"))
    assert (middle["before_id"], middle["behind_id"]) == (ids["5.dcm"], ids["20.dcm"])
    assert (middle["series_number"], middle["series_count"]) == (2, 3)
    alone = told(api.get(f"/images/{ids['other.png']}"))
    assert (alone["before_id"], alone["behind_id"], alone["series_count"]) == (None, None, 1)
    found = told(api.get(f"/projects/{project.id}/images", params={"series": middle["series"]}))
    assert len(found) == 3


def test_an_archive_is_told_of_file_by_file(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    archive = zipped(
        {"scans/a.png": png(), "b.tif": tiff(pixels()), "page.html": b"<html>", "../c.png": png()}
    )
    uploaded = told(upload(api, project.id, {"all.zip": archive, "d.png": png()}), 201)["images"]
    assert [(each["filename"], each["status"]) for each in uploaded] == [
        ("scans/a.png", "stored"),
        ("b.tif", "stored"),
        ("page.html", "refused"),
        ("c.png", "refused"),
        ("d.png", "stored"),
    ]
    again = told(upload(api, project.id, {"again.zip": archive}), 201)["images"]
    assert [each["status"] for each in again] == ["duplicate", "duplicate", "refused", "refused"]


def test_files_that_are_there_are_known_by_their_digest(api: httpx.Client) -> None:
    project, other = a_project(api, images=0), a_project(api, images=0)
    files = {"a.png": png(), "scan.nii.gz": nifti(VOLUME)}
    upload(api, project.id, files)
    digests = sorted(sha256(data).hexdigest() for data in files.values())
    body = {"digests": [*digests, "0" * 64]}
    assert told(api.post(f"/projects/{project.id}/images/known", json=body)) == {"digests": digests}
    assert told(api.post(f"/projects/{other.id}/images/known", json=body)) == {"digests": []}
    wrong = api.post(f"/projects/{project.id}/images/known", json={"digests": ["../etc"]})
    assert told(wrong, 422)["code"] == "invalid"


def test_what_fails_at_its_last_slice_leaves_nothing_behind(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(alone.api, images=0)
    kept = []
    monkeypatch.setattr(alone.storage, "put", lambda data, durable=True: kept.append(data))
    stack = np.stack([pixels(dtype="uint16") for _ in range(5)])
    data = tiff(stack, compression="zlib")
    data = data[:-3000] + bytes(3000)  # in the last page
    answer = upload(alone.api, project.id, {"stack.tif": data})
    assert told(answer, 422)["images"][0]["problem"]["code"] == "image_damaged"
    assert kept == [] and told(alone.api.get(f"/projects/{project.id}/images")) == []


def test_a_thumbnail_looks_through_the_window(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    values = np.full((64, 64), 1000, dtype=np.uint16)
    values[:, 32:] = 2000
    values[0, 0] = 60_000  # would blacken the rest
    data = dicom(values, WindowCenter="1500.5", WindowWidth="1001")
    image = told(upload(api, project.id, {"scan.dcm": data}), 201)["images"][0]["image"]
    small = Image.open(io.BytesIO(api.get(f"/images/{image['id']}/thumbnail?size=64").content))
    assert small.getpixel((5, 60)) == 0 and small.getpixel((60, 60)) == 255


def test_a_thumbnail_is_turned_by_a_negative_slope(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    values = np.full((64, 64), 1000, dtype=np.uint16)
    values[:, 32:] = 2000
    data = dicom(values, RescaleSlope="-1", RescaleIntercept="0", WindowCenter="-1500", WindowWidth="1001")
    image = told(upload(api, project.id, {"scan.dcm": data}), 201)["images"][0]["image"]
    small = Image.open(io.BytesIO(api.get(f"/images/{image['id']}/thumbnail?size=64").content))
    assert small.getpixel((5, 60)) == 255 and small.getpixel((60, 60)) == 0


def volumes(alone: Alone, files: dict[str, bytes]) -> tuple[dict[str, nibabel.Nifti1Image], list[dict]]:
    """The volumes exported of ``files``, and the report; slice n has n + 1 pixels of its first row masked."""
    project = a_project(alone.api, images=0)
    told(upload(alone.api, project.id, files), 201)
    for image in told(alone.api.get(f"/projects/{project.id}/images")):
        mask = np.zeros((image["height"], image["width"]), dtype=np.bool_)
        number = image["frame"] if len(files) == 1 else list(files).index(image["name"])
        mask.flat[: number + 1] = True
        put_mask(alone, project.label_id, image["id"], mask)
    export = finished(alone, project.id, "nifti")
    archive = unpacked(download(alone, export))
    found = {
        name.removeprefix("volumes/"): nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
        for name, data in archive.items()
        if name.endswith(".nii.gz")
    }
    return found, export["report"]


def masked(volume: nibabel.Nifti1Image) -> list[int]:
    """How many voxels of each slice are in the mask, which says which slice it is."""
    counts: list[int] = (np.asarray(volume.dataobj) > 0).sum(axis=(0, 1)).tolist()
    return counts


def test_the_frames_of_an_enhanced_file_lie_where_each_says(alone: Alone) -> None:
    data = enhanced(
        np.stack([pixels(8, 10)] * 5),
        positions=[(10 + 2.5 * n, -20, 30) for n in range(5)],
        orientations=[(0, 1, 0, 0, 0, -1)] * 5,
        spacing=(0.7, 0.9),
    )
    found, report = volumes(alone, {"enhanced.dcm": data})
    volume = found["enhanced.nii.gz"]
    assert report == [] and volume.shape == (10, 8, 5)
    # To the right, front and head: against the normal (-1, 0, 0), along which slices are in order.
    expected = [[0, 0, 2.5, -20], [-0.9, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-6)
    np.testing.assert_allclose(volume.header.get_zooms(), [0.9, 0.7, 2.5])
    assert masked(volume) == [5, 4, 3, 2, 1]


def test_frames_of_two_directions_are_two_volumes(alone: Alone) -> None:
    data = enhanced(
        np.stack([pixels(8, 10)] * 4),
        positions=[(0, 0, 0), (0, 0, 2), (0, 0, 0), (0, 3, 0)],
        orientations=[(1, 0, 0, 0, 1, 0)] * 2 + [(1, 0, 0, 0, 0, -1)] * 2,
        spacing=(1, 1),
    )
    found, report = volumes(alone, {"both.dcm": data})
    assert {name: masked(volume) for name, volume in found.items()} == {
        "both.nii.gz": [1, 2],
        "both/page-3.nii.gz": [3, 4],
    }
    np.testing.assert_allclose(found["both/page-3.nii.gz"].affine[:3, 2], [0, -3, 0], atol=1e-6)
    assert report == []


AXIAL = ["1", "0", "0", "0", "1", "0"]


def series(places: list[float], planes: list[list[str]] | None = None) -> dict[str, bytes]:
    """The files of one series, in the order of their numbers."""
    return {
        f"{number}.dcm": dicom(
            pixels(8, 10),
            InstanceNumber=str(number + 1),
            ImagePositionPatient=["-100", "-50", str(place)],
            ImageOrientationPatient=planes[number] if planes else AXIAL,
            PixelSpacing=["1", "1"],
        )
        for number, place in enumerate(places)
    }


def test_a_gap_in_a_series_is_reported(alone: Alone) -> None:
    found, report = volumes(alone, series([0, 1, 2, 7]))
    assert [line["item"] for line in report] == ["0.dcm"] and "1 to 5 mm" in report[0]["what"]
    assert masked(found["0.nii.gz"]) == [1, 2, 3, 4]


def test_two_phases_of_one_series_are_two_volumes_whatever_the_files_are_called(alone: Alone) -> None:
    files = series([0, 3, 6, 0, 3, 6])
    came = {name: files[name] for name in sorted(files, reverse=True)}
    found, report = volumes(alone, came)
    assert {name: masked(volume) for name, volume in found.items()} == {
        "0.nii.gz": [6, 5, 4],
        "3.nii.gz": [3, 2, 1],
    }
    assert report == []
    assert all(volume.affine[2, 2] == 3 for volume in found.values())


def test_the_planes_of_a_localizer_are_a_volume_each(alone: Alone) -> None:
    planes = [AXIAL, ["0", "1", "0", "0", "0", "-1"], ["1", "0", "0", "0", "0", "-1"]]
    found, report = volumes(alone, series([5, 5, 5], planes))
    assert sorted(found) == ["0.nii.gz", "1.nii.gz", "2.nii.gz"] and report == []
    sagittal = [[0, 0, 1, 100], [-1, 0, 0, 50], [0, -1, 0, 5], [0, 0, 0, 1]]
    np.testing.assert_allclose(found["1.nii.gz"].affine, sagittal, atol=1e-6)


def test_slices_that_lie_nowhere_are_told_of(alone: Alone) -> None:
    files = {f"{n}.dcm": dicom(pixels(8, 10), InstanceNumber=str(n)) for n in range(3)}
    found, report = volumes(alone, files)
    assert masked(found["0.nii.gz"]) == [1, 2, 3]
    assert [line["what"].split(";")[0] for line in report] == ["nothing tells where its slices lie"]


def test_the_channels_of_a_stack_are_volumes_of_their_own_with_the_size_of_their_voxels(alone: Alone) -> None:
    metadata = {"axes": "ZCYX", "spacing": 2.0, "unit": "um"}
    array = np.stack([pixels(8, 10, "uint16")] * 10).reshape(5, 2, 8, 10)
    data = tiff(array, imagej=True, metadata=metadata, resolution=(1 / 0.5, 1 / 0.25))
    found, report = volumes(alone, {"cells.tif": data})
    assert {name: masked(volume) for name, volume in found.items()} == {
        "cells/c1.nii.gz": [1, 3, 5, 7, 9],
        "cells/c2.nii.gz": [2, 4, 6, 8, 10],
    }
    np.testing.assert_allclose(found["cells/c2.nii.gz"].affine, np.diag([0.0005, 0.00025, 0.002, 1]))
    assert report == []


def drawn(alone: Alone, project_id: int) -> dict[str, np.ndarray]:
    """The masks of a project by the names of their images."""
    found = unpacked(download(alone, finished(alone, project_id, "png")))
    return {
        name.removeprefix("masks/disc/").removesuffix(".png"): np.asarray(Image.open(io.BytesIO(data)))
        for name, data in found.items()
        if name.startswith("masks/")
    }


def bring(alone: Alone, project_id: int, name: str, data: bytes) -> dict:
    """What became of a file of masks."""
    files = {"files": (name, data)}
    (told_of,) = told(alone.api.post(f"/projects/{project_id}/masks", files=files), 201)["files"]
    found: dict = told_of
    return found


SLICES = np.arange(3 * 8 * 10).reshape(3, 8, 10) % 7 == 0  # of no symmetry
# As converters write them: which axis each becomes, and whether it runs the other way.
WAYS = {
    "the same": [[0, 1], [1, 1], [2, 1]],
    "rows from below": [[0, 1], [1, -1], [2, 1]],
    "axes in another order": [[2, 1], [0, -1], [1, 1]],
}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_nifti_mask_of_a_dicom_series_is_known_by_where_its_voxels_lie(alone: Alone, way: str) -> None:
    project = a_project(alone.api, images=0)
    told(upload(alone.api, project.id, series([9, 6, 3])), 201)
    ours = np.array([[-1, 0, 0, 100], [0, -1, 0, 50], [0, 0, 3, 3], [0, 0, 0, 1]])
    mask = nibabel.Nifti1Image(SLICES.transpose(2, 1, 0).astype(np.uint8), ours)
    turned = mask.as_reoriented(np.array(WAYS[way]))
    brought = bring(alone, project.id, "0_mask.nii.gz", gzip.compress(turned.to_bytes()))
    assert brought["problem"] is None
    masks = drawn(alone, project.id)
    for name, expected in zip(("2", "1", "0"), SLICES, strict=True):
        assert np.array_equal(masks[name], expected)
    for shift in np.eye(4)[:3] * [[1], [-0.5], [3]]:  # a voxel, half a voxel, a slice
        moved = ours.astype(np.float64)
        moved[:, 3] += shift
        elsewhere = nibabel.Nifti1Image(np.asarray(mask.dataobj), moved).to_bytes()
        refused = alone.api.post(f"/projects/{project.id}/masks", files={"files": ("0.nii", elsewhere)})
        assert "lie elsewhere" in refused.text


def test_a_nifti_mask_of_a_tiff_stack_needs_only_its_shape(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    data = tiff(
        np.zeros((3, 8, 10), np.uint16), imagej=True, metadata={"axes": "ZYX", "spacing": 2, "unit": "um"}
    )
    told(upload(alone.api, project.id, {"cells.tif": data}), 201)
    mask = nifti(SLICES.transpose(2, 1, 0).astype(np.uint8), np.diag([-1.0, -1, 1, 1]))
    assert bring(alone, project.id, "cells_mask.nii.gz", mask)["problem"] is None
    masks = drawn(alone, project.id)
    assert np.array_equal(np.stack([masks[f"cells #{n}"] for n in (1, 2, 3)]), SLICES)
    small = nifti(np.ones((10, 8, 2), np.uint8))
    refused = alone.api.post(f"/projects/{project.id}/masks", files={"files": ("cells.nii.gz", small)})
    assert "10 x 8 x 2 voxels" in refused.text


@pytest.mark.parametrize("depth", [1, 3])
def test_one_mask_of_what_is_seen_is_that_of_all_channels(alone: Alone, depth: int) -> None:
    project = a_project(alone.api, images=0)
    shape = (depth, 2, 8, 10) if depth > 1 else (2, 8, 10)
    axes = "ZCYX"[-len(shape) :]
    data = tiff(np.zeros(shape, np.uint16), imagej=True, metadata={"axes": axes})
    told(upload(alone.api, project.id, {"cells.tif": data}), 201)
    truth = np.stack([np.eye(8, 10, k=n, dtype=np.uint8) for n in range(depth)])
    bring(alone, project.id, "cells_mask.tif", tiff(truth))
    masks = drawn(alone, project.id)
    for name in ("c1", "c2"):
        for n, mask in enumerate(truth, start=1):
            number = f" #{n}" if depth > 1 else ""
            assert np.array_equal(masks[f"cells {name}{number}"], mask > 0)


def test_a_channel_is_called_like_its_file_and_numbered_on_its_own(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    stack = np.stack([pixels(8, 10, "uint16")] * 4).reshape(2, 2, 8, 10)
    plane = np.stack([pixels(8, 10, "uint16")] * 2)
    files = {
        "stack.tif": tiff(stack, imagej=True, metadata={"axes": "ZCYX"}),
        "plane.tif": tiff(plane, planarconfig="separate"),
    }
    upload(api, project.id, files)
    names = [image["name"] for image in told(api.get(f"/projects/{project.id}/images"))]
    assert names == [
        "stack.tif c1 #1",
        "stack.tif c1 #2",
        "stack.tif c2 #1",
        "stack.tif c2 #2",
        "plane.tif c1",
        "plane.tif c2",
    ]


def test_the_slices_of_a_long_file_are_found_at_once(alone: Alone) -> None:
    project_id = a_project(alone.api, images=1).id
    with unit_of_work(alone.sessions) as session:
        file = session.scalars(select(Source)).one()
        row = {"project_id": project_id, "source_id": file.id, "digest": "0", "media_type": "image/png"}
        row |= {"width": 1, "height": 1, "series": "0"}
        rows = [row | {"frame": n, "name": str(n), "place": float(n)} for n in range(1, 5001)]
        session.execute(insert(Row), rows)
        began = perf_counter()
        assert len(slices(session, file)) == 5001
    assert perf_counter() - began < 30
