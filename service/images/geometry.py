"""Where the slices of a volume lie in it."""

from collections.abc import Sequence
from itertools import product
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from service.images.slices import Pixels

Affine = npt.NDArray[np.float64]

# A voxel lies elsewhere when it is further off than this, in voxels: another one is nearer then, or as near.
ELSEWHERE = 0.49


class NiftiGeometry(TypedDict):
    """How slices are cut out of a NIfTI volume.

    Slice n is voxel n of ``axis``; its rows run along the voxel axis ``rows``, its columns along ``columns``,
    each backwards when flipped. ``affine`` (4, 4) takes voxel indices to millimetres (RAS+).
    """

    format: Literal["nifti"]
    shape: list[int]
    affine: list[list[float]]
    axis: int
    rows: int
    columns: int
    flip_rows: bool
    flip_columns: bool


def slice_of(volume: Pixels, geometry: NiftiGeometry, frame: int) -> Pixels:
    """Slice ``frame`` of a volume (X, Y, Z), as it is shown: a view (H, W)."""
    plane = np.moveaxis(volume, (geometry["axis"], geometry["rows"], geometry["columns"]), (0, 1, 2))[frame]
    upright: Pixels = plane[:: -1 if geometry["flip_rows"] else 1, :: -1 if geometry["flip_columns"] else 1]
    return upright


def upright(shape: list[int], affine: list[list[float]]) -> NiftiGeometry:
    """That of a volume whose slices lie one behind the other as they are shown: (columns, rows, slices)."""
    return NiftiGeometry(
        format="nifti",
        shape=shape,
        affine=affine,
        axis=2,
        rows=1,
        columns=0,
        flip_rows=False,
        flip_columns=False,
    )


def apart(affine: Affine, other: Affine, shape: Sequence[int]) -> float:
    """How far from where ``affine`` has them ``other`` puts the corners of a volume, in voxels, at most."""
    corners = np.array([*product(*((0, size - 1) for size in shape), (1,))]).T
    moved = np.linalg.solve(affine, other @ corners) - corners
    return float(np.abs(moved).max())
