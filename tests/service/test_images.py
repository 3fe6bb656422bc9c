"""Uploads: what is an image is kept as it is, what is none is refused with a reason."""

import io
from hashlib import sha256

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.errors import ImageRefused
from service.images.decode import decode
from service.images.files import open_image
from service.images.slices import Pixels
from service.images.thumbnails import thumbnail
from tests.factories import a_project, encoded, pixels, png, told, upload
from tests.files import dicom, nifti, png_that_claims, tiff, zipped
from tests.service.conftest import Alone


def shown(data: bytes) -> Pixels:
    """The pixels of the first slice of a file."""
    return next(open_image(data, max_pixels=1_000_000).slices()).pixels


FLOATS = np.linspace(-1, 1, 48 * 64, dtype=np.float32).reshape(48, 64)

ACCEPTED = {
    "grey.png": png(),
    "grey16.png": png(pixels(dtype="uint16")),
    "colour.png": png(np.stack([pixels()] * 3, axis=-1)),
    "alpha.png": png(np.stack([pixels()] * 4, axis=-1)),
    "grey_alpha.png": png(np.stack([pixels()] * 2, axis=-1)),
    "palette.png": encoded(pixels() // 2, "PNG", bits=8),
    "one_bit.png": png(pixels() > 128),
    "grey.jpg": encoded(pixels(), "JPEG"),
    "colour.jpg": encoded(np.stack([pixels()] * 3, axis=-1), "JPEG"),
    "grey.tif": tiff(pixels()),
    "grey16.tif": tiff(pixels(dtype="uint16")),
    "packed16.tif": tiff(pixels(dtype="uint16"), compression="zlib"),
    "big_endian.tif": tiff(pixels(dtype="uint16"), byteorder=">"),
    "tiled.tif": tiff(pixels(80, 96), tile=(16, 16)),
    "colour16.tif": tiff(np.stack([pixels(dtype="uint16")] * 3, axis=-1), photometric="rgb"),
    "float.tif": tiff(FLOATS),
    "double.tif": tiff(FLOATS.astype(np.float64)),
    "all_nan.tif": tiff(np.full((48, 64), np.nan, dtype=np.float32)),
    "scan.dcm": dicom(pixels(dtype="uint16")),
    "plane.nii.gz": nifti(pixels()),
    "one_row.png": png(pixels(1, 300)),
    "one_column.png": png(pixels(300, 1)),
    "one_pixel.png": png(np.zeros((1, 1), dtype=np.uint8)),
    "constant.png": png(np.full((30, 30), 7, dtype=np.uint8)),
}

REFUSED = {
    "empty.png": (b"", "image_empty"),
    "text.png": (b"this is no image at all, whatever its name says", "image_unknown"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "image_unknown"),
    "page.png": (b"<!doctype html><script>alert(1)</script>", "image_unknown"),
    "header_only.png": (b"\x89PNG\r\n\x1a\n", "image_unknown"),
    "half.png": (png()[:900], "image_damaged"),
    "half.jpg": (encoded(pixels(), "JPEG")[:500], "image_damaged"),
    "half.tif": (tiff(pixels(dtype="uint16"))[:2000], "image_damaged"),
    "tiff_magic.tif": (b"II*\0 and nothing that follows from it", "image_unknown"),
    "bomb.png": (png_that_claims(30_000, 30_000), "image_too_large"),
    "wide.png": (png_that_claims(2_000_000_000, 2), "image_too_large"),
    "animation.gif": (encoded(pixels(), "GIF"), "image_unknown"),
    "lost.dcm": (dicom(pixels())[:3000], "image_damaged"),
    "broken.nii.gz": (nifti(pixels())[:-300], "image_damaged"),
    "broken.zip": (zipped({"a.png": png()})[:-30], "image_damaged"),
    # Its first pages are there: they are not kept either.
    "stack.tif": (tiff(np.stack([pixels(dtype="uint16")] * 5), compression="zlib")[:-9000], "image_damaged"),
}


def test_every_kind_of_image_is_stored_as_it_is_and_shown_as_png_or_jpeg(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    uploaded = told(upload(api, project.id, ACCEPTED), 201)["images"]
    assert [each["filename"] for each in uploaded] == list(ACCEPTED)
    assert {each["status"] for each in uploaded} == {"stored"}, uploaded
    for each, data in zip(uploaded, ACCEPTED.values(), strict=True):
        image, expected = each["image"], shown(data)
        assert (image["height"], image["width"]) == expected.shape[:2]
        file = api.get(f"/sources/{image['source_id']}/file")
        assert file.content == data
        assert file.headers["content-disposition"].startswith("attachment")
        kept = api.get(f"/images/{image['id']}/pixels")
        assert np.array_equal(decode(kept.content), expected)
        assert kept.headers["content-type"] == image["media_type"] in ("image/png", "image/jpeg")
        assert kept.headers["X-Content-Type-Options"] == "nosniff"
        small = api.get(f"/images/{image['id']}/thumbnail")
        assert small.headers["content-type"] == "image/png"
        assert max(Image.open(io.BytesIO(small.content)).size) <= 256


def test_what_is_no_image_is_refused_with_a_reason_and_stored_nowhere(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    answer = upload(alone.api, project.id, {name: data for name, (data, _) in REFUSED.items()})
    problem = told(answer, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "images_refused"
    for each, (_, code) in zip(problem["images"], REFUSED.values(), strict=True):
        assert (each["status"], each["image"]) == ("refused", None)
        assert each["problem"]["code"] == code, each
        assert each["problem"]["detail"].endswith((".", ")."))
    assert told(alone.api.get(f"/projects/{project.id}/images")) == []
    assert not any(alone.storage.exists(sha256(data).hexdigest()) for data, _ in REFUSED.values())


def test_good_files_are_kept_beside_refused_ones(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    files = {"good.png": png(), "bad.png": b"bad", "fine.png": png()}
    uploaded = told(upload(api, project.id, files), 201)["images"]
    assert [each["status"] for each in uploaded] == ["stored", "refused", "stored"]
    label = told(api.get(f"/projects/{project.id}"))["labels"][0]
    assert label["images"] == 2


def test_the_same_bytes_are_one_image_of_a_project(api: httpx.Client) -> None:
    project, other, data = a_project(api, images=0), a_project(api, images=0), png()
    first, twin = told(upload(api, project.id, {"a.png": data, "b.png": data}), 201)["images"]
    later = told(upload(api, project.id, {"c.png": data}), 201)["images"][0]
    assert [first["status"], twin["status"], later["status"]] == ["stored"] + ["duplicate"] * 2
    assert first["image"] == twin["image"] == later["image"]
    assert told(upload(api, other.id, {"a.png": data}), 201)["images"][0]["status"] == "stored"


def test_deep_values_reach_the_browser(api: httpx.Client) -> None:
    deep = pixels(dtype="uint16")
    signed = (deep.astype(np.int32) - 32768).astype(np.int16)
    files = {
        "deep.png": png(deep),
        "deep.tif": tiff(deep),
        "scan.dcm": dicom(
            signed, RescaleSlope="2", RescaleIntercept="-24", WindowCenter="0", WindowWidth="99"
        ),
    }
    project = a_project(api, images=0)
    images = [each["image"] for each in told(upload(api, project.id, files), 201)["images"]]
    values = []
    for image in images:
        stored = np.asarray(Image.open(io.BytesIO(api.get(f"/images/{image['id']}/pixels").content)))
        values.append(stored.astype(np.float64) * image["scale"] + image["offset"])
        assert stored.dtype == np.uint16 and image["window_low"] < image["window_high"]
    assert np.array_equal(values[0], deep) and np.array_equal(values[1], deep)
    assert np.array_equal(values[2], signed * 2.0 - 24)
    assert (images[2]["window_low"], images[2]["window_high"]) == (-49.5, 48.5)


def test_a_picture_taken_sideways_is_seen_upright(api: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    data = encoded(pixels(40, 60), "JPEG", exif=exif)
    project = a_project(api, images=0)
    image = told(upload(api, project.id, {"phone.jpg": data}), 201)["images"][0]["image"]
    assert (image["width"], image["height"]) == (40, 60)
    assert decode(data).shape == (60, 40) == shown(data).shape


def test_a_name_keeps_its_folders_without_what_cannot_be_shown_or_leads_elsewhere(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    names = {
        "a/img1.png": "a/img1.png",
        "./b\\c//d\u200b/ img1.png": "b/c/d/img1.png",
        "a/../../etc/passwd": "passwd",
        "a/.\u200b./up.png": "up.png",
        "/etc/shadow": "shadow",
        "a/..": "image",
        "y" * 200 + "/" + "z" * 200 + "/end.png": "z" * 200 + "/end.png",
        "C:\\scans\\täst 1.png": "täst 1.png",
        "ta\u200b\u0308st/2.png": "täst/2.png",
        "line\u2028break\u202e.png": "linebreak.png",
        "x" * 300 + ".png": "x" * 251 + ".png",
        "\u200b": "image",
    }
    for sent, kept in names.items():
        uploaded = told(upload(api, project.id, {sent: png()}), 201)["images"][0]
        assert uploaded["image"]["name"] == kept


def test_an_upload_without_files_is_refused(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    path = f"/projects/{project.id}/images"
    assert told(api.post(path), 422)["code"] == "invalid"
    assert told(api.post(path, json={"files": []}), 422)["code"] == "invalid"
    assert told(api.post(path, data={"files": "text"}), 422)["code"] == "invalid"
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert told(api.post(path, content=b"--y", headers=broken), 400)["code"] == "bad_request"
    assert told(upload(api, 2_000_000_000, {"a.png": png()}), 404)["code"] == "not_found"


def test_an_upload_that_is_too_large_is_cut_off(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    answer = upload(alone.api, project.id, {"large.png": bytes(65 * 1024 * 1024)})
    refused = told(answer, 413)
    assert refused["code"] == "too_large" and "ACCRUE_MAX_UPLOAD_BYTES" in refused["detail"]


def test_a_photograph_with_further_pictures_behind_it_is_its_first(alone: Alone) -> None:
    stream = io.BytesIO()
    first, second = (Image.fromarray(pixels(*size)) for size in ((40, 60), (20, 30)))
    first.save(stream, format="MPO", save_all=True, append_images=[second])
    project = a_project(alone.api, images=0)
    (told_of,) = told(upload(alone.api, project.id, {"a.jpg": stream.getvalue()}), 201)["images"]
    found = told_of["image"]
    assert (found["height"], found["width"]) == (40, 60)
    assert alone.api.get(f"/images/{found['id']}/pixels").headers["Content-Type"] == "image/jpeg"


def test_a_stranger_cannot_upload(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    answer = upload(alone.api, project.id, {"a.png": png()}, headers={"Authorization": ""})
    assert told(answer, 401)["code"] == "not_authenticated"


def test_an_unchanged_image_is_not_sent_again(api: httpx.Client) -> None:
    image_id = a_project(api, images=1).image_ids[0]
    for path in (f"/images/{image_id}/pixels", f"/images/{image_id}/thumbnail?size=32"):
        first = api.get(path)
        assert first.headers["Cache-Control"] == "private, no-cache", "ids begin anew in another installation"
        again = api.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert told(api.get("/images/2000000000/pixels"), 404)["code"] == "not_found"


def test_images_are_listed_in_pages(api: httpx.Client) -> None:
    project = a_project(api, images=5)
    path = f"/projects/{project.id}/images"
    listed = [image["id"] for image in told(api.get(path))]
    assert listed == project.image_ids
    page = told(api.get(path, params={"after": listed[1], "limit": 2}))
    assert [image["id"] for image in page] == listed[2:4]


@pytest.mark.parametrize("name", ["grey.png", "grey16.png", "colour.jpg"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_file_is_more_than_a_refusal(name: str, data: st.DataObject) -> None:
    hurt = bytearray(ACCEPTED[name])
    for _ in range(data.draw(st.integers(1, 8))):
        hurt[data.draw(st.integers(0, min(len(hurt) - 1, 600)))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(hurt)))
    for damaged in (bytes(hurt), bytes(hurt[:end])):
        try:
            array = shown(damaged)
        except ImageRefused:
            continue
        assert array.ndim in (2, 3)
        assert array.size > 0


@pytest.mark.parametrize("name", list(ACCEPTED))
def test_a_thumbnail_can_be_made_of_anything(name: str) -> None:
    small = Image.open(io.BytesIO(thumbnail(shown(ACCEPTED[name]), 32)))
    assert max(small.size) <= 32
    assert small.mode in ("L", "RGB")
