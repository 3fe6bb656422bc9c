"""Masks as NIfTI volumes on the voxels of the file that the images came from.

A NIfTI source keeps its shape, affine and header. A DICOM series is put together slice by slice, its affine
from where the slices lie; what is several volumes becomes several files. Of any other file the voxels are
(columns, rows, slices), spaced as the file says.
"""

import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from service.exports.contents import list_files, source_stems
from service.exports.making import DamagedError, Format, Making, Step
from service.exports.naming import VOLUMES, part_of
from service.exports.pictures import firsts, label_dtype, merge, note_empty
from service.exports.queries import Volume, count_volumes, volumes
from service.images.geometry import ELSEWHERE, NiftiGeometry, apart, slice_of
from service.images.nifti import header_of
from service.images.stacking import Affine, Plane, stacks

Voxels = npt.NDArray[Any]

CHUNK = 1 << 20
LONGEST_SIDE = 32_767  # of version 1
# Each comes with all of its slices, and of large ones a part writes only one.
FEW = 10
GZIP_LEVEL, GZIP_WBITS = 1, 16 + zlib.MAX_WBITS
_SHEARED = (
    "its slices are shifted against each other, as with a tilted gantry; what reads no shear, as ITK, "
    "has its corners up to {:.1f} voxels off"
)


def write_volume(making: Making, volume: Volume) -> None:
    """The volume's file, or a file for each of several volumes that its slices are."""
    if _nifti_geometry(volume):
        _write(making, volume, lambda: header_of(making.blob(volume.sources[0].digest)))
        return
    for stack in stacks([*map(Plane.of, (each.image for each in volume.pictures), volume.sources)]):
        part = Volume([volume.pictures[i] for i in stack.order], [volume.sources[i] for i in stack.order])
        if any(picture.masks for picture in part.pictures):
            header = _header(part, stack.affine)
            with making.reported(part.name):
                _write(making, part, header.copy)
            if stack.remark:
                making.tell(part.name, stack.remark)
            off = apart(header.get_sform(), header.get_qform(), header.get_data_shape())
            if off > ELSEWHERE:
                making.tell(part.name, _SHEARED.format(off))


def _write(making: Making, volume: Volume, header: Callable[[], Nifti1Header]) -> None:
    """``VOLUME.nii.gz`` with the labels' values; with ``separate`` ``LABEL/VOLUME.nii.gz`` of 0 and 1."""
    name = _name(making, volume)
    if not making.scope.separate:
        head, (values, empty) = header(), _filled(making, volume, None)
        making.file(f"{VOLUMES}/{name}.nii.gz", _nifti(head, values))
        if len(volume.pictures) == 1:
            note_empty(making, name, empty)
        _tell_blank(making, volume.name, [bool(picture.masks) for picture in volume.pictures], len(empty))
        return
    for label in making.scope.labels:
        there = [any(mask.label_id == label.id for mask in picture.masks) for picture in volume.pictures]
        item = f"{volume.name}, {label.name}"
        with making.reported(item):
            if any(there):
                head, (values, empty) = header(), _filled(making, volume, label.id)
                making.file(f"{VOLUMES}/{label.folder}/{name}.nii.gz", _nifti(head, values))
                _tell_blank(making, item, there, len(empty))


def _tell_blank(making: Making, item: str, there: Sequence[bool], empty: int) -> None:
    """In a volume nothing tells a slice that nobody has annotated from one on which there is nothing."""
    if empty and len(there) > 1:
        making.tell(item, f"slices annotated as empty: {empty}; an import takes them for not annotated")
    if blank := there.count(False):
        making.tell(item, f"{blank} of {len(there)} slices have no mask and are 0")


def _name(making: Making, volume: Volume) -> str:
    """That of the file; of one that is several volumes in a folder of that name, by channel, time or page."""
    name, begin = making.stems[volume.sources[0].id], min(each.image.frame for each in volume.pictures)
    part = part_of(volume.sources[0].geometry, begin)
    return f"{name}/{part}" if part else name


def _filled(making: Making, volume: Volume, label_id: int | None) -> tuple[Voxels, list[int]]:
    """The volume with the values of all labels, or ones where one is; and of each empty mask the value.

    A slice that is damaged stays 0, unless it is the only one.
    """
    geometry = _nifti_geometry(volume)
    if geometry is None and len({picture.shape for picture in volume.pictures}) > 1:
        raise DamagedError("its slices are not of one size, so they are no volume")
    height, width = volume.pictures[0].shape
    shape = geometry["shape"] if geometry else (width, height, len(volume.pictures))
    dtype = label_dtype(making.scope.labels) if label_id is None else np.uint8
    values, empty = np.zeros(shape, dtype=dtype, order="F"), list[int]()
    alone = len(volume.pictures) == 1
    for index, picture in enumerate(volume.pictures):
        making.alive()
        plane = slice_of(values, geometry, picture.image.frame) if geometry else values[:, :, index].T
        with nullcontext() if alone else making.reported(picture.name):
            if label_id is None:
                empty += merge(making, picture, plane)
                continue
            for row in firsts(making, picture, label_id):
                mask = making.mask(row.digest, picture.shape)
                plane[mask] = 1
                empty += [] if mask.any() else [1]
    return values, empty


def _header(volume: Volume, affine: Affine) -> Nifti1Header:
    height, width = volume.pictures[0].shape
    shape = width, height, len(volume.pictures)
    header = Nifti1Header() if max(shape) <= LONGEST_SIDE else Nifti2Header()
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    header.set_sform(affine, code="scanner")
    header.set_qform(_straight(affine), code="scanner", strip_shears=True)
    return header


def _straight(affine: Affine) -> Affine:
    """The affine without what slices are shifted against each other.

    Rounded positions are enough for a shift, and a file that says no more than that ITK does not open.
    """
    straight = affine.copy()
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    straight[:3, 2] = normal * (affine[:3, 2] @ normal) / (normal @ normal)
    return straight


def _nifti(header: Nifti1Header, values: Voxels) -> bytes:
    """The voxels as a gzipped NIfTI file, with what the header tells of where they lie."""
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


NIFTI = Format(
    "zip",
    "application/zip",
    (Step(count_volumes, volumes, write_volume, after=list_files, limit=FEW),),
    stems=source_stems,
)
