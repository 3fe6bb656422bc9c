"""NIfTI in: slices along an axis, shown upright, whose masks go back onto the very same voxels."""

import gzip
import io
import itertools
import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ImageRefused
from service.images.files import open_image
from service.images.geometry import slice_of
from service.images.slices import ImageFile, Slice
from tests.files import nifti, put_back

DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "float32", "float64")


def opened(data: bytes, axis: int | None = None) -> ImageFile:
    return open_image(data, max_pixels=1_000_000, axis=axis)


def values(each: Slice) -> np.ndarray:
    return each.pixels * each.scale + each.offset


def phantom(*shape: int, dtype: str = "int16") -> np.ndarray:
    """A volume no two of whose voxels are alike."""
    volume = np.arange(np.prod(shape)).reshape(shape)
    return volume.astype(dtype)


def affine(*columns: tuple[float, float, float]) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3] = np.array(columns).T
    found[:3, 3] = (-7.5, 11, 3)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compressed", [True, False])
def test_the_values_are_those_that_nibabel_reads(dtype: str, compressed: bool) -> None:
    volume = phantom(5, 6, 4, dtype="uint8" if dtype in ("uint8", "int8") else dtype) // (
        1 + (dtype == "int8")
    )
    data = nifti(volume.astype(dtype), compressed=compressed, scl_slope=2.0, scl_inter=-3.0)
    reference = nibabel.Nifti1Image.from_bytes(gzip.decompress(data) if compressed else data).get_fdata()
    found = opened(data)
    stack = np.zeros(volume.shape)
    for each in found.slices():
        put_back(stack, found.geometry, each.frame, values(each))
    assert np.array_equal(stack, reference)


def test_floats_are_rounded_to_16_bits_of_their_range() -> None:
    volume = np.random.default_rng(0).normal(0, 100, (9, 8, 3)).astype(np.float32)
    volume[0, 0, 0] = np.nan
    found = opened(nifti(volume))
    for each in found.slices():
        truth = slice_of(volume, found.geometry, each.frame)
        step = (np.nanmax(truth) - np.nanmin(truth)) / 65_535
        assert np.nanmax(np.abs(values(each) - truth)) <= 0.51 * step
        assert each.pixels.dtype == np.uint16


def test_it_is_cut_along_the_coarsest_axis_or_as_asked_or_along_the_last() -> None:
    volume = phantom(5, 6, 7)
    coarse = nifti(volume, affine((1, 0, 0), (0, 4, 0), (0, 0, 1)))
    assert [opened(coarse, axis).count for axis in (None, 0, 1, 2)] == [6, 5, 6, 7]
    assert opened(nifti(volume)).count == 7
    assert opened(nifti(phantom(5, 6))).count == 1
    assert opened(nifti(phantom(5, 6, 7, 1))).count == 7


def test_a_slice_is_seen_upright_whatever_the_order_of_the_voxels() -> None:
    """The corner that lies highest in the patient, frontmost and rightmost is found where it belongs."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            directions = [tuple(signs[i] * 2.0 * (order[i] == axis) for axis in range(3)) for i in range(3)]
            matrix = affine(*directions)  # type: ignore[arg-type]
            volume = np.zeros((4, 5, 6), dtype=np.uint8)
            world = np.stack(np.indices(volume.shape), axis=-1) @ matrix[:3, :3].T
            for cut in range(3):
                file = opened(nifti(volume, matrix), axis=cut)
                for world_axis, expected in ((0, "left"), (1, "front"), (2, "top")):
                    if order[cut] == world_axis:
                        continue
                    plane = slice_of(world[..., world_axis], file.geometry, 0)  # type: ignore[arg-type]
                    rows, columns = plane[:, 0], plane[0]
                    if expected == "left":  # the right of the patient (low in RAS) … at the left
                        assert columns[0] == plane.max() and np.ptp(rows) == 0
                    elif expected == "top":
                        assert rows[0] == plane.max() and np.ptp(columns) == 0
                    elif order[cut] == 0:  # sagittal: the face looks to the left
                        assert columns[0] == plane.max() and np.ptp(rows) == 0
                    else:
                        assert rows[0] == plane.max() and np.ptp(columns) == 0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_masks_go_back_onto_the_same_voxels(data: st.DataObject) -> None:
    seed, axis = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.sampled_from([None, 0, 1, 2]))
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.3, 5, 3)
    matrix[:3, 3] = rng.uniform(-100, 100, 3)
    volume = phantom(*(int(each) for each in rng.integers(2, 9, 3)))
    found = opened(nifti(volume, matrix), axis)
    masks = np.zeros(volume.shape, dtype=np.uint8)
    for each in found.slices():
        put_back(masks, found.geometry, each.frame, 1, values(each) % 3 == 0)
    assert np.array_equal(masks, volume % 3 == 0)
    assert np.allclose(found.geometry["affine"], matrix, atol=1e-4)


def test_the_spacing_is_that_of_the_picture() -> None:
    data = nifti(phantom(5, 6, 7), affine((2, 0, 0), (0, 3, 0), (0, 0, 0.5)))
    spacings = [next(opened(data, axis).slices()).spacing for axis in range(3)]
    assert spacings == [(3.0, 0.5), (2.0, 0.5), (2.0, 3.0)]


def test_slices_of_a_volume_share_a_window_and_a_series() -> None:
    found = list(opened(nifti(phantom(5, 6, 7))).slices())
    assert len({each.window for each in found}) == 1 and len({each.series for each in found}) == 1
    assert [each.place for each in found] == list(range(7))


VOLUME = phantom(12, 13, 4)
REFUSED = {
    "more than is there": (
        nifti(VOLUME, compressed=False, dim=[3, 12, 13, 400, 1, 1, 1, 1]),
        "image_damaged",
    ),
    "more than is packed": (nifti(VOLUME, dim=[3, 12, 13, 400, 1, 1, 1, 1]), "image_damaged"),
    "terabytes": (nifti(VOLUME, dim=[3, 32000, 32000, 32000, 1, 1, 1, 1]), "image_too_large"),
    "less than nothing": (nifti(VOLUME, dim=[3, -5, 13, 4, 1, 1, 1, 1]), "image_damaged"),
    "a film": (nifti(phantom(3, 3, 3, 5)), "image_unknown"),
    "half a file": (nifti(VOLUME, compressed=False)[:600], "image_damaged"),
    "half a package": (nifti(VOLUME)[:-40], "image_damaged"),
    "flat space": (nifti(VOLUME, srow_x=[0, 0, 0, 0], sform_code=1), "image_damaged"),
    "offset": (nifti(VOLUME, vox_offset=1e9), "image_damaged"),
    "two files": (nifti(VOLUME, magic=b"ni1"), "image_unknown"),
    "complex": (nifti(VOLUME.astype(np.complex64)), "image_unknown"),
}


def test_where_one_affine_is_flat_the_other_is_believed() -> None:
    data = nifti(VOLUME, np.diag([2.0, 3, 4, 1]), srow_x=[0] * 4, sform_code=1, qform_code=1)
    assert np.allclose(opened(data).geometry["affine"], np.diag([2, 3, 4, 1]))
    broken = nifti(
        VOLUME, np.diag([2.0, 3, 4, 1]), sform_code=1, qform_code=1, pixdim=[0, 2, -3, 4, 1, 1, 1, 1]
    )
    assert np.allclose(opened(broken).geometry["affine"], np.diag([2, 3, 4, 1]))
    with pytest.raises(ImageRefused, match="Save it again with a valid qform or sform"):
        opened(nifti(VOLUME, srow_x=[0] * 4, sform_code=1, qform_code=0))


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_header_that_lies_is_refused(name: str) -> None:
    data, code = REFUSED[name]
    with pytest.raises(ImageRefused) as refused:
        list(opened(data).slices())
    assert refused.value.code == code, refused.value.detail


def test_a_bomb_is_not_unpacked() -> None:
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as file:
        file.write(gzip.decompress(nifti(VOLUME)))
        for _ in range(200):
            file.write(bytes(1_000_000))
    tracemalloc.start()
    with pytest.raises(ImageRefused, match="goes on"):
        opened(stream.getvalue())
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("compressed", [True, False])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_file_is_more_than_a_refusal(compressed: bool, data: st.DataObject) -> None:
    hurt = bytearray(nifti(VOLUME, compressed=compressed))
    for _ in range(data.draw(st.integers(1, 8))):
        hurt[data.draw(st.integers(0, min(len(hurt), 400) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(hurt)))
    for damaged in (bytes(hurt), bytes(hurt[:end])):
        try:
            list(open_image(damaged, max_pixels=100_000).slices())
        except ImageRefused:
            continue


@pytest.mark.parametrize("compressed", [True, False])
def test_a_header_that_nibabel_refuses_is_a_damaged_file(compressed: bool) -> None:
    volume = phantom(5, 6, 4)
    second = nibabel.Nifti2Image(volume, np.eye(4)).to_bytes()[:500]
    for data in (
        nifti(volume, compressed=compressed, scl_slope=2.0, scl_inter=np.nan),
        gzip.compress(second) if compressed else second,
    ):
        with pytest.raises(ImageRefused):
            opened(data)
