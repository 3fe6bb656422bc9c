"""NIfTI volumes (.nii, .nii.gz; versions 1 and 2) as the slices along one of their axes, shown upright.

A slice has anterior or superior at its top and the right of the patient, or anterior, at its left, as
radiologists look at it. A header is compared with the bytes there are before anything is allocated.
"""

import gzip
import io
import tempfile
import zlib
from collections.abc import Callable
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from service.errors import ImageDamaged, ImageTooLarge, ImageUnknown
from service.images.geometry import NiftiGeometry, slice_of
from service.images.limits import DECODING, MOST_PIXELS, check_size, damaged
from service.images.slices import ImageFile, Pixels, Slice, in_turn, stored
from service.storage import digest_of

Affine = npt.NDArray[np.float64]

MEDIA_TYPE = "application/x-nifti"
GZIPPED = "application/gzip"
GZIP = b"\x1f\x8b"
BROKEN = "The NIfTI file cannot be read to its end."
HEADER_ERRORS = (HeaderDataError, WrapStructError)
HEADER, CHUNK = 544, 1 << 20
# Extensions of the header, before the voxels.
MOST_EXTRAS = 16 * 1024 * 1024
# Spacings that differ by less are the same: only a clearly coarser axis is a slice axis.
COARSER = 1.01


def is_nifti(data: bytes) -> bool:
    """Whether ``data`` begins like a NIfTI file, compressed or not."""
    start = data[:HEADER]
    if data.startswith(GZIP):
        try:
            start = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data[:65536], HEADER)
        except zlib.error:
            return False
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def open_nifti(data: bytes, *, max_pixels: int | None, axis: int | None = None) -> ImageFile:
    """The slices along ``axis`` (0 to 2) of the volume in ``data``.

    By default along the axis on which voxels lie furthest apart, or the last one.
    """
    with damaged(BROKEN, *HEADER_ERRORS):
        volume, header = read_volume(data, max_pixels=max_pixels)
        geometry = _geometry(header, volume.shape, axis)
        shape = [volume.shape[geometry[each]] for each in ("columns", "rows", "axis")]
        check_size(shape[0], shape[1], max_pixels=max_pixels, slices=shape[2])
        read = _reader(volume, header, geometry, digest_of(data))
    media_type = GZIPPED if data.startswith(GZIP) else MEDIA_TYPE
    return ImageFile(media_type, shape[2], dict(geometry), lambda: in_turn(read, shape[2]))


def read_volume(data: bytes, *, max_pixels: int | None) -> tuple[Pixels, Nifti1Header]:
    """The voxels as the file has them, (X, Y, Z), read where they lie, and the header.

    Compressed ones are unpacked into a temporary file, no more of them than the header tells of.
    """
    header = header_of(data)
    shape, dtype = _shape(header), header.get_data_dtype()
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise ImageUnknown("NIfTI volumes are read with whole numbers or floats, not in colour or complex.")
    voxels = int(np.prod([int(each) for each in shape], dtype=object))
    if min(shape) < 1:
        raise ImageDamaged("The volume has no voxels.")
    if voxels > MOST_PIXELS or (max_pixels is not None and max(shape) > max_pixels):
        sizes = " x ".join(str(each) for each in shape)
        raise ImageTooLarge(
            f"The volume has {sizes} voxels; at most {MOST_PIXELS:,} are taken. Cut it into smaller ones."
        )
    offset, needed = int(header.get_data_offset()), voxels * dtype.itemsize
    if not 0 <= offset <= MOST_EXTRAS:
        raise ImageDamaged("The NIfTI header points outside the file.")
    if data.startswith(GZIP):
        return _mapped(data, offset, needed, dtype, shape), header
    if len(data) < offset + needed:
        raise ImageDamaged("The file has fewer voxels than its header says.")
    return np.frombuffer(data, dtype, voxels, offset).reshape(shape, order="F"), header


def turned(volume: Pixels, affine: Affine, onto: Affine) -> tuple[Pixels, Affine]:
    """A volume (X, Y, Z) with its axes in the order and direction of those with the affine ``onto`` (4, 4).

    And its own affine then: it is ``onto`` where the voxels are the same, however the file was written.
    """
    turn = nibabel.orientations.io_orientation(np.linalg.inv(onto) @ affine)
    if np.isnan(turn).any():
        return volume, affine
    back = nibabel.orientations.inv_ornt_aff(turn, volume.shape)
    return nibabel.orientations.apply_orientation(volume, turn), affine @ back


def header_of(data: bytes) -> Nifti1Header:
    """The header alone, as the file has it; ImageUnknown when it is none."""
    return _header(_unpacked(data).read(HEADER) if data.startswith(GZIP) else data[:HEADER])


def affine_of(header: Nifti1Header) -> Affine:
    """Where the voxels lie (4, 4): as the sform says, or as the qform does where it says nothing."""
    for read in (header.get_best_affine, lambda: header.get_qform(coded=True)[0]):
        affine = np.asarray(read(), dtype=np.float64)
        if np.isfinite(affine).all() and np.linalg.matrix_rank(affine[:3, :3]) == 3:  # None is not finite
            return affine
    raise ImageDamaged(
        "The volume does not say where its voxels lie. Save it again with a valid qform or sform."
    )


def _unpacked(data: bytes) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=io.BytesIO(data))


def _mapped(data: bytes, offset: int, needed: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Pixels:
    """The unpacked voxels in a temporary file that is gone when the array is."""
    left = offset + needed
    with tempfile.TemporaryFile() as file:
        source = _unpacked(data)
        while left and (chunk := source.read(min(CHUNK, left))):
            file.write(chunk)
            left -= len(chunk)
        if left:
            raise ImageDamaged("The file has fewer voxels than its header says.")
        while chunk := source.read(CHUNK):  # to the checksum at its end
            left += len(chunk)
            if left > CHUNK:
                raise ImageDamaged("The file goes on after its voxels.")
        file.flush()
        return np.memmap(file, dtype, "r", offset, shape, order="F")


def _header(start: bytes) -> Nifti1Header:
    for kind, size in ((Nifti1Header, 348), (Nifti2Header, 540)):
        if size in (int.from_bytes(start[:4], order) for order in ("little", "big")):
            header: Nifti1Header = kind(start[:size], check=False)
            break
    else:
        raise ImageUnknown("The file is no NIfTI volume.")
    if not bytes(header["magic"].item()).startswith(b"n+"):
        raise ImageUnknown("The voxels lie in another file. Save the volume as a single .nii or .nii.gz.")
    return header


def _shape(header: Nifti1Header) -> tuple[int, ...]:
    """(X, Y, Z); a plane is a volume of one slice."""
    shape = tuple(int(each) for each in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise ImageUnknown(
            f"The volume has {len(shape)} dimensions; 2 and 3 are read. Save one volume of it."
        )
    if len(shape) < 2:
        raise ImageDamaged("The volume has fewer than 2 dimensions.")
    return (*shape, 1)[:3]


def _geometry(header: Nifti1Header, shape: tuple[int, ...], axis: int | None) -> NiftiGeometry:
    affine = affine_of(header)
    spacing = nibabel.affines.voxel_sizes(affine)
    if axis is None:
        others = np.sort(spacing)
        axis = int(spacing.argmax()) if others[2] > COARSER * others[1] and shape[2] > 1 else 2
    if axis not in (0, 1, 2):
        raise ImageDamaged("A volume is cut along axis 0, 1 or 2.")
    # World axis (0 left-right, 1 back-front, 2 feet-head) and direction of each voxel axis.
    directions = nibabel.orientations.io_orientation(affine)
    columns, rows = sorted({0, 1, 2} - {axis}, key=lambda each: directions[each][0])
    return NiftiGeometry(
        format="nifti",
        shape=list(shape),
        affine=affine.tolist(),
        axis=axis,
        rows=rows,
        columns=columns,
        flip_rows=bool(directions[rows][1] > 0),
        flip_columns=bool(directions[columns][1] > 0),
    )


def _reader(
    volume: Pixels, header: Nifti1Header, geometry: NiftiGeometry, series: str
) -> Callable[[int], Slice]:
    spacing = nibabel.affines.voxel_sizes(np.array(geometry["affine"]))
    slope, intercept = scaling(header)

    def read(frame: int) -> Slice:
        with DECODING, damaged(BROKEN):
            values = slice_of(volume, geometry, frame)
            pixels, scale, offset = stored(values.astype(values.dtype.newbyteorder("=")))
            return Slice(
                frame,
                pixels,
                scale * slope,
                offset * slope + intercept,
                spacing=(float(spacing[geometry["columns"]]), float(spacing[geometry["rows"]])),
                series=series,
                place=float(frame),
            )

    return read


def scaling(header: Nifti1Header) -> tuple[float, float]:
    """What a stored value is multiplied with, and what is then added to it."""
    slope, intercept = header.get_slope_inter()
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept or 0.0))
