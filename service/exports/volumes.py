"""Masks as NIfTI volumes on the voxels of the file that the images came from.

A NIfTI source keeps its shape, affine and header. A DICOM series is put together slice by slice, its affine
from where the slices lie. Of any other file the voxels are (columns, rows, slices), spaced as the file says.
"""

import zlib
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from service.exports.making import DamagedError, Format, Making, Step, contents
from service.exports.pictures import label_dtype, merge
from service.exports.queries import Volume, count_volumes, source_stems, volumes
from service.images.geometry import NiftiGeometry, slice_of
from service.images.nifti import header_of

Voxels = npt.NDArray[Any]
Affine = npt.NDArray[np.float64]

CHUNK = 1 << 20
LONGEST_SIDE = 32_767  # of version 1
GZIP_LEVEL, GZIP_WBITS = 1, 16 + zlib.MAX_WBITS
# NIfTI's world points to the right, front and head of a patient, DICOM's to the left, back and head.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_volume(making: Making, volume: Volume) -> None:
    """``VOLUME.nii.gz`` with the labels' values; with ``separate`` ``LABEL/VOLUME.nii.gz`` of 0 and 1."""
    name = making.stems[volume.sources[0].id]
    alone = volume.pictures[0].image
    if alone.series is None and alone.frame:  # a page of another size than the first
        name = f"{name}/page-{alone.frame + 1}"
    if not making.scope.separate:
        data = _nifti(making, volume, _filled(making, volume, None))
        making.file(f"volumes/{name}.nii.gz", data)
        return
    for label in making.scope.labels:
        if any(mask.label_id == label.id for picture in volume.pictures for mask in picture.masks):
            data = _nifti(making, volume, _filled(making, volume, label.id))
            making.file(f"volumes/{label.folder}/{name}.nii.gz", data)


def _filled(making: Making, volume: Volume, label_id: int | None) -> Voxels:
    """The volume with the values of all labels, or ones where one is; a slice that is damaged stays 0."""
    geometry = _nifti_geometry(volume)
    if geometry is None and len({picture.shape for picture in volume.pictures}) > 1:
        raise DamagedError("its slices are not of one size, so they are no volume")
    height, width = volume.pictures[0].shape
    shape = geometry["shape"] if geometry else (width, height, len(volume.pictures))
    dtype = label_dtype(making.scope.labels) if label_id is None else np.uint8
    values = np.zeros(shape, dtype=dtype, order="F")
    for index, picture in enumerate(volume.pictures):
        making.alive()
        plane = slice_of(values, geometry, picture.image.frame) if geometry else values[:, :, index].T
        with making.reported(picture.name):
            if label_id is None:
                merge(making, picture, plane)
            for row in picture.firsts():  # none matches where all labels share the volume
                if row.label_id == label_id:
                    plane[making.mask(row.digest, picture.shape)] = 1
    return values


def _nifti(making: Making, volume: Volume, values: Voxels) -> bytes:
    """The voxels as a gzipped NIfTI file, with the header of the source where that is one."""
    if _nifti_geometry(volume):
        header = header_of(making.blob(volume.sources[0].digest))
    else:
        header = Nifti1Header() if max(values.shape) <= LONGEST_SIDE else Nifti2Header()
        header.set_data_shape(values.shape)
        header.set_xyzt_units("mm")
        header.set_sform(_affine(volume), code="scanner")
    header.set_data_dtype(values.dtype.newbyteorder(header.endianness))
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    return _packed(header, values)


def _packed(header: Nifti1Header, values: Voxels) -> bytes:
    """Header and voxels, gzipped without a copy of them all."""
    begin = header.binaryblock
    compressor = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_WBITS)
    packed = [compressor.compress(begin.ljust(header.single_vox_offset, b"\0"))]
    dtype = header.get_data_dtype()
    flat = values.ravel(order="F")
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK].astype(dtype, copy=False)
        packed.append(compressor.compress(part.tobytes()))
    return b"".join([*packed, compressor.flush()])


def _nifti_geometry(volume: Volume) -> NiftiGeometry | None:
    geometry = volume.sources[0].geometry
    return cast(NiftiGeometry, geometry) if geometry and geometry.get("format") == "nifti" else None


def _affine(volume: Volume) -> Affine:
    """From (column, row, slice) to millimetres: where the slices lie, else by their spacing alone."""
    x, y = volume.pictures[0].image.spacing or (1.0, 1.0)
    first, last = (volume.sources[index].geometry or {} for index in (0, -1))
    if not first.get("position") or not last.get("position") or not first.get("orientation"):
        return np.diag([x, y, 1.0, 1.0])
    if len(volume.sources) > 1 and first["position"] == last["position"]:  # frames that share one place
        return np.diag([x, y, 1.0, 1.0])
    columns, rows = np.reshape(first["orientation"], (2, 3))
    way = np.subtract(last["position"], first["position"])
    between = way / (len(volume.sources) - 1) if len(volume.sources) > 1 else np.cross(columns, rows)
    affine = np.eye(4)
    affine[:3] = np.stack([columns * x, rows * y, between, first["position"]], axis=1)
    return LPS_TO_RAS @ affine


NIFTI = Format(
    "zip",
    "application/zip",
    (Step(count_volumes, volumes, write_volume, after=contents),),
    stems=source_stems,
)
