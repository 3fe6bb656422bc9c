"""`accrue import`: a folder goes in, masks and all, and a second time nothing is sent again."""

import unicodedata
import zipfile
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

from cli import app
from commands.folders import look_through
from service.client import Accrue
from tests.conftest import ServiceUnderTest
from tests.factories import pixels, png
from tests.files import dicom, nifti, zipped

VOLUME = np.arange(20 * 18 * 3, dtype=np.int16).reshape(20, 18, 3)
FILES = {
    "a.png": png(),
    "deep/b.png": png(),
    "deep/b_mask.png": png(pixels() > 128),
    "scan.nii.gz": nifti(VOLUME),
    "scan-mask.nii.gz": nifti((VOLUME % 7 == 0).astype(np.uint8)),
    "series/IM0001": dicom(pixels(), InstanceNumber="1"),
    "series/IM0002": dicom(pixels(), InstanceNumber="2"),
    "pack.zip": zipped({"c.png": png(), "bad.png": b"bad"}),
    "broken.png": png()[:300],
    "notes.txt": b"nothing",
    ".hidden/d.png": png(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def imported(
    folder: Path,
    service: ServiceUnderTest,
    project: str,
    token: str | None = None,
    *,
    label: str | None = "disc",
    blank: str | None = None,
) -> tuple[int, str]:
    """Exit code and output of the command."""
    options = ["--project", project, "--url", service.base_url]
    options += ["--label", label] if label else []
    options += ["--blank", blank] if blank else []
    done = CliRunner().invoke(app, ["import", str(folder), *options, "--token", token or service.token])
    return done.exit_code, " ".join(done.output.split())


def test_a_folder_is_looked_through_in_order(folder: Path) -> None:
    found = look_through(folder)
    names = [
        [str(path.relative_to(folder)) for path in each] for each in (found.images, found.masks, found.others)
    ]
    assert names == [
        ["a.png", "broken.png", "deep/b.png", "pack.zip", "scan.nii.gz", "series/IM0001", "series/IM0002"],
        ["deep/b_mask.png", "scan-mask.nii.gz"],
        ["notes.txt"],
    ]


def test_a_folder_goes_in_and_a_second_time_only_what_failed_is_sent(
    folder: Path, service: ServiceUnderTest
) -> None:
    project = f"folder {uuid4()}"
    code, output = imported(folder, service, project)
    assert code == 1
    assert "6 files stored, 8 images in them, 2 refused, 4 masks accepted" in output, output
    assert "broken.png" in output and "bad.png" in output and "1 left out" in output and "notes.txt" in output
    code, output = imported(folder, service, project)
    assert "files stored" not in output and "masks accepted" not in output
    assert "6 there already" in output and "2 refused" in output, output
    (folder / "broken.png").write_bytes(png())
    _, output = imported(folder, service, project)
    assert "1 files stored" in output
    with Accrue(service.base_url, service.token) as client:
        (told,) = [each for each in client.projects() if each["name"] == project]
        images = list(client.images(told["id"]))
        assert len(images) == told["labels"][0]["images"] == 9
        series = [image for image in images if image["name"].startswith("series/IM")]
        assert len({image["series"] for image in series}) == 1
        scan = next(image for image in images if image["name"].startswith("scan"))
        assert client.source_file(scan["source_id"]) == FILES["scan.nii.gz"]
        assert len(list(client.images(told["id"], source_id=scan["source_id"]))) == 3
        assert told["labels"][0]["accepted"] == 4


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, service: ServiceUnderTest) -> None:
    for patient in ("patient_01", "patient_02"):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "image.png").write_bytes(png())
        (tmp_path / patient / "image_mask.png").write_bytes(png(pixels() > 128))
    project = f"nest {uuid4()}"
    code, output = imported(tmp_path, service, project)
    assert code == 0 and "2 masks accepted" in output, output
    with Accrue(service.base_url, service.token) as client:
        (told,) = [each for each in client.projects() if each["name"] == project]
        names = [image["name"] for image in client.images(told["id"])]
        assert names == ["patient_01/image.png", "patient_02/image.png"]
        assert told["labels"][0]["accepted"] == 2


def test_an_unpacked_export_goes_in_as_it_came_out(tmp_path: Path, service: ServiceUnderTest) -> None:
    origin, name = f"origin {uuid4()}", f"home {uuid4()}"
    masks = {(image, label): pixels() > 99 for image in ("a.png", "deep/b.png") for label in ("disc", "rim")}
    with Accrue(service.base_url, service.token) as client:
        project = client.create_project(origin)
        client.upload_images(project, [(image, png()) for image in ("a.png", "deep/b.png")])
        for label in ("rim", "disc"):
            client.add_label(project, label)
            files = [(image, png(mask)) for (image, of), mask in masks.items() if of == label]
            client.import_masks(project, files, label=label)
        client.export(project, "png", tmp_path / "export.zip", images=True)
        with zipfile.ZipFile(tmp_path / "export.zip") as archive:
            archive.extractall(tmp_path / "folder/export")
        (tmp_path / "folder/c.png").write_bytes(png())
        found = look_through(tmp_path / "folder")
        assert (len(found.images), len(found.masks), found.others) == (3, 4, [])
        code, output = imported(tmp_path / "folder", service, name, label=None)
        assert code == 0 and "3 files stored" in output and "4 masks accepted" in output, output
        (told,) = [each for each in client.projects() if each["name"] == name]
        images = [image["name"] for image in client.images(told["id"])]
        assert images == ["c.png", "export/a.png", "export/deep/b.png"]
        client.export(told["id"], "png", tmp_path / "again.zip")
        with zipfile.ZipFile(tmp_path / "again.zip") as archive:
            for (image, label), mask in masks.items():
                again = Picture.open(archive.open(f"masks/{label}/export/{image}"))
                np.testing.assert_array_equal(np.asarray(again), mask)
        _, output = imported(tmp_path / "folder", service, name, label="disc")
        assert "lists 2 labels" in output, output


def test_a_label_that_is_written_otherwise_is_not_made_again(
    tmp_path: Path, service: ServiceUnderTest
) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "a_mask.png").write_bytes(png(pixels() > 128))
    name = f"written {uuid4()}"
    with Accrue(service.base_url, service.token) as client:
        client.add_label(client.create_project(name), "Körper")
        imported(tmp_path, service, name, label=unicodedata.normalize("NFD", "körper"))
        (told,) = [each for each in client.projects() if each["name"] == name]
    assert [(label["name"], label["accepted"]) for label in told["labels"]] == [("Körper", 1)]


def test_what_blank_slices_are_can_be_said(tmp_path: Path, service: ServiceUnderTest) -> None:
    mask = np.zeros(VOLUME.shape, dtype=np.uint8)
    mask[4:9, 4:9, 1] = 1
    (tmp_path / "scan.nii.gz").write_bytes(nifti(VOLUME))
    (tmp_path / "scan_mask.nii.gz").write_bytes(nifti(mask))
    project = f"blank {uuid4()}"
    _, output = imported(tmp_path, service, project)
    assert "1 masks accepted" in output and "2 blank slices left open" in output, output
    _, output = imported(tmp_path, service, project, blank="empty")
    assert "2 masks accepted" in output and "left open" not in output, output


def test_what_cannot_begin_is_said_in_a_sentence(folder: Path, service: ServiceUnderTest) -> None:
    code, output = imported(folder, service, "x", token="acc_wrong")
    assert code == 1 and "token" in output and "Traceback" not in output
    code, output = imported(folder / "a.png", service, "x")
    assert code == 1 and "is no folder" in output
