"""What microscopes write into a TIFF: which channel and time each page is of, and the size of a voxel."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
import tifffile

from service.images.limits import MOST_SLICES, PARSER_ERRORS

# Axes along which pages are slices of one volume: depth, and two of no known meaning.
STACKED = "ZIQ"
MILLIMETRES = {
    **dict.fromkeys(("nm", "nanometer"), 1e-6),
    **dict.fromkeys(("um", "µm", "μm", r"\u00b5m", "micron", "microns", "micrometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1.0),
    **dict.fromkeys(("cm", "centimeter"), 10.0),
}
# The counts of OME, of which tifffile makes lists of that length.
_COUNT = re.compile(
    r"""\b(?:Size[CZT]|NumPlanes|PlaneCount|First[CZT]|IFD|Start|Step|End)\s*=\s*["']([^"']*)"""
)
# The element that tells the sizes, and no more of it than they take; both read a text once, however long.
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]{0,10000}")
_SIZE = re.compile(r"""\b(PhysicalSize[XYZ](?:Unit)?)\s*=\s*["']([^"']*)""")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a page belongs: slice ``place`` of the ``part`` of the file, as "c2 t1"; "" where it is whole."""

    part: str
    place: int

    @property
    def channel(self) -> str:
        """The part, whenever it was."""
        return " ".join(word for word in self.part.split() if not word.startswith("t"))


@dataclass(frozen=True, slots=True)
class Voxel:
    """Millimetres between pixels, (x, y), and between slices, where the file tells."""

    spacing: tuple[float, float] | None
    thickness: float | None


def spots(file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> list[Spot]:
    """Of each page where it belongs; all are one stack unless the file says otherwise.

    Channels are parts, and so are times of a stack in depth; times of single planes are a stack of their own.
    """
    told: dict[int, Spot] = {}
    series = _series(file)
    for number, each in enumerate(series, start=1):
        lead, sizes = _lead(each)
        if not 0 < prod(sizes) == len(each.pages) <= MOST_SLICES:
            continue
        apart = sorted((a, n) for n, a in enumerate(lead) if a not in STACKED and (a != "T" or "Z" in lead))
        seen: Counter[str] = Counter()
        for n, page in enumerate(each.pages):
            at = np.unravel_index(n, sizes) if sizes else ()
            words = [f"s{number}"] if file.is_ome and len(series) > 1 else []
            part = " ".join([*words, *(f"{axis.lower()}{at[k] + 1}" for axis, k in apart)])
            if page is not None:
                told[page.index] = Spot(part, seen[part])
            seen[part] += 1
    if not any(spot.part for spot in told.values()):
        return [Spot("", n) for n in range(len(pages))]
    return [told.get(page.index, Spot("", n)) for n, page in enumerate(pages)]


def views(parts: Sequence[str]) -> list[int]:
    """Of each slice, in the order of frames, which view it is, from 0; channels show one view."""
    slices: Counter[str] = Counter()
    found: dict[tuple[str, int], int] = {}
    told = []
    for part in parts:
        rest = " ".join(word for word in part.split() if not word.startswith("c"))
        told.append(found.setdefault((rest, slices[part]), len(found)))
        slices[part] += 1
    return told


def voxel(file: tifffile.TiffFile) -> Voxel:
    """The size of a voxel as OME or ImageJ tell of it."""
    deep = any("Z" in each.axes for each in _series(file))
    if file.is_ome:
        found = _PIXELS.search(file.ome_metadata or "")
        told = dict(_SIZE.findall(html.unescape(found[0]))) if found else {}
        x, y, z = (
            _length(told.get(f"PhysicalSize{axis}"), told.get(f"PhysicalSize{axis}Unit", "µm"))
            for axis in "XYZ"
        )
    elif file.is_imagej:
        about = file.imagej_metadata or {}
        unit = str(about.get("unit", ""))
        x, y = (_length(1 / each if each else None, unit) for each in file.pages.first.resolution)
        z = _length(about.get("spacing"), unit)
    else:
        return Voxel(None, None)
    return Voxel((x, y) if x and y else None, z if deep else None)


def _series(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """What tifffile makes of the axes; nothing of what is not told, not sensible or not readable."""
    try:
        if file.is_ome and not _sensible(file.ome_metadata or ""):
            return []
        return list(file.series) if file.is_ome or file.is_imagej or file.is_shaped else []
    except PARSER_ERRORS:
        return []


def _sensible(ome: str) -> bool:
    counts = _COUNT.findall(ome)
    return "<!DOCTYPE" not in ome and all(
        each.isdecimal() and len(each) < 6 and int(each) <= MOST_SLICES for each in counts
    )


def _lead(series: tifffile.TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """The axes along which there are pages, and how many."""
    count = len(series.shape) - series.keyframe.ndim
    return series.axes[:count], tuple(int(size) for size in series.shape[:count])


def _length(told: object, unit: str) -> float | None:
    """A length in millimetres; None when it is none."""
    try:
        length = float(str(told)) * MILLIMETRES[unit.strip().lower()]
    except (ValueError, KeyError):
        return None
    return length if isfinite(length) and length > 0 else None
