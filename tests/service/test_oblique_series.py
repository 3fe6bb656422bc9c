"""Series that do not lie straight: their volumes open where no shear is read, masks from there come back."""

import gzip

import nibabel
import numpy as np
import pytest

from tests.exporting import download, finished, put_mask, unpacked
from tests.factories import AProject, a_project, pixels, told, upload
from tests.files import dicom
from tests.service.conftest import Alone

COLUMNS, ROWS = np.linalg.qr([[0.99, 0.05], [0.08, 0.95], [-0.1, 0.3]])[0].T
NORMAL = np.cross(COLUMNS, ROWS)
BEGIN = np.array([-212.34, -250.1, 300.77])
SLICES = 6
# In RAS, as ITK writes it: without a shear.
STRAIGHT = np.diag([-1, -1, 1, 1]) @ np.vstack(
    [np.column_stack([0.9 * COLUMNS, 0.9 * ROWS, 0.8 * NORMAL, BEGIN]), [0, 0, 0, 1]]
)


def a_series(alone: Alone, *, decimals: int = 6, tilt: float = 0.0) -> AProject:
    """A project with a series of positions so rounded, whose slices are shifted by ``tilt`` mm each."""
    files = {
        f"{n}.dcm": dicom(
            pixels(40, 50),
            InstanceNumber=str(n + 1),
            ImageOrientationPatient=[f"{each:.6f}" for each in (*COLUMNS, *ROWS)],
            ImagePositionPatient=[
                f"{each:.{decimals}f}" for each in BEGIN + n * (0.8 * NORMAL + tilt * ROWS)
            ],
            PixelSpacing=["0.9", "0.9"],
        )
        for n in range(SLICES)
    }
    project = a_project(alone.api, images=0)
    told(upload(alone.api, project.id, files), 201)
    return project


def test_a_scan_that_says_nothing_sensible_of_its_direction_is_exported_by_its_spacing(alone: Alone) -> None:
    where = {"ImagePositionPatient": ["0", "0", "0"], "PixelSpacing": ["0.9", "0.9"]}
    project = a_project(alone.api, images=0)
    for name, direction in (("none", ["0"] * 6), ("flat", ["1", "0", "0"] * 2)):
        scan = dicom(pixels(40, 50), ImageOrientationPatient=direction, **where)
        told(upload(alone.api, project.id, {f"{name}.dcm": scan}), 201)
    for image in told(alone.api.get(f"/projects/{project.id}/images")):
        put_mask(alone, project.label_id, image["id"], np.ones((40, 50), dtype=np.bool_))
    files = unpacked(download(alone, finished(alone, project.id, "nifti")))
    for name in ("none", "flat"):
        volume = nibabel.Nifti1Image.from_bytes(gzip.decompress(files[f"volumes/{name}.nii.gz"]))
        np.testing.assert_allclose(volume.header.get_zooms()[:2], 0.9, atol=1e-6)
        np.testing.assert_allclose(abs(np.linalg.det(volume.affine[:2, :2])), 0.81, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "told_of"),
    [({"decimals": 1}, False), ({"decimals": 2}, False), ({"tilt": 0.3}, True)],
    ids=["one decimal", "two decimals", "a tilted gantry"],
)
def test_a_sheared_volume_has_an_affine_without_shear_as_well(
    alone: Alone, how: dict[str, float], told_of: bool
) -> None:
    project = a_series(alone, **how)
    for image in told(alone.api.get(f"/projects/{project.id}/images")):
        put_mask(alone, project.label_id, image["id"], np.ones((40, 50), dtype=np.bool_))
    export = finished(alone, project.id, "nifti")
    data = unpacked(download(alone, export))["volumes/0.nii.gz"]
    header = nibabel.Nifti1Image.from_bytes(gzip.decompress(data)).header
    (sform, sform_code), (qform, qform_code) = header.get_sform(coded=True), header.get_qform(coded=True)
    assert (sform_code, qform_code) == (1, 1)
    directions = qform[:3, :3] / np.linalg.norm(qform[:3, :3], axis=0)
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(qform[:3, [0, 1, 3]], sform[:3, [0, 1, 3]], atol=1e-3)
    assert any("reads no shear" in line["what"] for line in export["report"]) == told_of


@pytest.mark.parametrize("decimals", [1, 2, 6])
def test_a_mask_without_the_shear_of_rounded_positions_is_taken(alone: Alone, decimals: int) -> None:
    project = a_series(alone, decimals=decimals)
    affine = STRAIGHT.copy()
    affine[:3, 3] = affine[:3, 3].round(decimals)
    mask = nibabel.Nifti1Image(np.ones((50, 40, SLICES), dtype=np.uint8), affine)
    sent = {"files": ("0_mask.nii", mask.to_bytes())}
    (brought,) = told(alone.api.post(f"/projects/{project.id}/masks", files=sent), 201)["files"]
    assert brought["accepted"] == SLICES
