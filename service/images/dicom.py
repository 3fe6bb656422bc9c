"""DICOM images: each frame a slice, with the values, the window and the place that the file tells.

MONOCHROME1 shows its lowest value white. Such pixels are inverted, and their values counted from the other
end, so that everywhere else more is brighter. Of what a file says about a patient nothing is read.
"""

import io
import logging
import re
import zlib
from collections.abc import Callable
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np
from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from service.errors import ImageDamaged, ImageTooLarge, ImageUnknown
from service.images import codestreams
from service.images.limits import DECODING, MOST_PIXELS, PARSER_ERRORS, check_size, damaged
from service.images.slices import ImageFile, Pixels, Slice, eight_bit, in_turn, stored
from service.storage import digest_of

MEDIA_TYPE = "application/dicom"
PREAMBLE, PREFIX = 128, b"DICM"
BROKEN = "The DICOM file cannot be read to its end."
ITS_ERRORS = (BytesLengthException, InvalidDicomError)
UNREADABLE = PARSER_ERRORS + ITS_ERRORS  # what a broken attribute raises
# How an inflated file may grow beyond what its pixels take.
MOST_INFLATED = 2 * MOST_PIXELS
# What programs and pages begin with: a preamble is to hold none of it. (That of a TIFF is common there.)
FOREIGN = (b"MZ", b"\x7fELF", b"PK", b"<", b"%PDF", b"#!", b"\x89PNG", b"\xff\xd8", b"GIF8", b"\xca\xfe")
# The elements that stand first where the preamble was left out: a group's length, charset, type, class.
HEADLESS = (b"\2\0\0\0UL", b"\x08\0\0\0", b"\x08\0\5\0", b"\x08\0\x08\0", b"\x08\0\x16\0")
NOT_PICTURES = {
    "1.2.840.10008.1.3.10": "This is the index of a DICOM folder. Upload the images themselves.",
    "1.2.840.10008.5.1.4.1.1.66.4": (
        "This is a DICOM segmentation, not an image. Upload the images it was drawn on; "
        "import its masks as NIfTI, PNG or COCO JSON."
    ),
}
SIDES = ("Columns", "Rows")
# Slices are parallel when their directions agree to so many decimals: to half a degree.
PARALLEL = 2
# What tells the volumes of a series apart: in the groups of a frame, or at the top.
TURNS = (
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("MREchoSequence", "EffectiveEchoTime"),
    ("FrameContentSequence", "TemporalPositionIdentifier"),
    ("MREchoSequence", "EchoNumbers"),
)
_UID = re.compile(r"[0-9.]{1,64}")

# pydicom would quote what the file says in its warnings and log lines.
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def is_dicom(data: bytes) -> bool:
    return data[PREAMBLE : PREAMBLE + 4] == PREFIX


def lacks_preamble(data: bytes) -> bool:
    """Whether ``data`` begins like what follows the preamble: the meta information, or a dataset."""
    return data.startswith(HEADLESS)


def open_dicom(data: bytes, *, max_pixels: int | None) -> ImageFile:
    """The frames of the DICOM file (Part 10) in ``data``."""
    if data.startswith(FOREIGN):
        raise ImageUnknown("The file is DICOM and something else at once. Save it again as DICOM only.")
    with damaged(BROKEN, *ITS_ERRORS):
        dataset = _dataset(data)
        syntax = dataset.file_meta.TransferSyntaxUID
        _check(dataset, syntax)
        count = int(dataset.get("NumberOfFrames") or 1)
        check_size(int(dataset.Columns), int(dataset.Rows), max_pixels=max_pixels, slices=count)
        file = digest_of(data) if count > 1 else None
        geometry = {
            "format": "dicom",
            "frames": count,
            "inverted": dataset.PhotometricInterpretation == "MONOCHROME1",
            "positions": [_position(dataset, frame) for frame in range(count)],
            "orientations": [_orientation(dataset, frame) for frame in range(count)],
            "turns": [_turn(dataset, frame) for frame in range(count)],
            "thickness": _thickness(_group(dataset, 0, "PixelMeasuresSequence")),
            "number": _number(dataset, "InstanceNumber") if count == 1 else None,
        }
    read = _reader(dataset, syntax, count, file)
    return ImageFile(MEDIA_TYPE, count, geometry, lambda: in_turn(read, count))


def _dataset(data: bytes) -> Dataset:
    """The file's dataset; a deflated one is inflated here, and no further than is sensible."""
    stream = io.BytesIO(data)
    stream.seek(PREAMBLE + len(PREFIX))
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
        return dcmread(io.BytesIO(data))
    with DECODING:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated = inflater.decompress(memoryview(data)[stream.tell() :], MOST_INFLATED)
        if inflater.unconsumed_tail:
            raise ImageTooLarge(f"Inflated, the file has more than {MOST_INFLATED:,} bytes.")
        dataset = read_dataset(io.BytesIO(inflated), False, True)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


def _check(dataset: Dataset, syntax: str) -> None:
    """That the file holds a picture, in a way that is read."""
    kind = str(dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID"))
    if kind in NOT_PICTURES:
        raise ImageUnknown(NOT_PICTURES[kind])
    if not any(each in dataset for each in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageUnknown("The DICOM file holds no picture.")
    if any((_number(dataset, f"TotalPixelMatrix{each}") or 0) > int(dataset[each].value) for each in SIDES):
        raise ImageUnknown("This is a whole slide in tiles. Export regions of it as TIFF or PNG.")
    try:
        available = get_decoder(uid.UID(syntax)).is_available
    except RuntimeError:
        available = False
    if not available:
        raise ImageUnknown("The DICOM file is compressed in a way that is not read. Save it uncompressed.")
    if int(dataset.SamplesPerPixel) not in (1, 3):
        raise ImageDamaged("The DICOM image has a number of channels other than 1 or 3.")


def _reader(dataset: Dataset, syntax: str, count: int, file: str | None) -> Callable[[int], Slice]:
    decoder = get_decoder(uid.UID(syntax))
    plugin = codestreams.NAME if syntax in codestreams.SYNTAXES else ""

    def read(frame: int) -> Slice:
        with DECODING, damaged(BROKEN, *ITS_ERRORS):
            array, told = decoder.as_array(dataset, index=frame, decoding_plugin=plugin)
            spacing = _spacing(_group(dataset, frame, "PixelMeasuresSequence"))
            series = _series(dataset, frame, file)
            place = _place(dataset) if count == 1 else float(frame)
            if array.ndim == 3 or told["photometric_interpretation"] == "PALETTE COLOR":
                return Slice(frame, _colour(array, dataset), spacing=spacing, series=series, place=place)
            pixels, scale, offset, window = _values(array, dataset, frame)
            return Slice(frame, pixels, scale, offset, window, spacing, series, place)

    return read


def _values(
    array: Pixels, dataset: Dataset, frame: int
) -> tuple[Pixels, float, float, tuple[float, float] | None]:
    """Stored pixels, scale, offset and window of a grey frame, more always being brighter."""
    pixels, scale, offset = stored(array)
    rescale = _group(dataset, frame, "PixelValueTransformationSequence")
    slope = _first_number(rescale, "RescaleSlope") or 1.0
    intercept = _first_number(rescale, "RescaleIntercept") or 0.0
    scale, offset = scale * slope, offset * slope + intercept
    window = _window(_group(dataset, frame, "FrameVOILUTSequence"))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        top = (1 << int(dataset.BitsStored)) - 1 if array.dtype.kind == "u" else 0
        if int(pixels.max()) > top:
            top = int(np.iinfo(pixels.dtype).max)
        pixels = (top - pixels.astype(np.int32)).astype(pixels.dtype)
        if window is not None:
            ends = top * scale + 2 * offset
            window = ends - window[1], ends - window[0]
    return pixels, scale, offset, window


def _colour(array: Pixels, dataset: Dataset) -> Pixels:
    bits = int(dataset.BitsStored)
    if array.ndim == 2:
        array = apply_color_lut(array, dataset)
        bits = 8 * array.dtype.itemsize
    return eight_bit(array, bits=bits)


def _group(dataset: Dataset, frame: int, name: str) -> Dataset:
    """Where the attributes of this frame are: in its own group, in the shared one, or at the top."""
    of_frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in (*of_frames[frame : frame + 1], *shared[:1]):
        if groups.get(name):
            found: Dataset = groups[name].value[0]
            return found
    return dataset


def _window(group: Dataset) -> tuple[float, float] | None:
    """The first window that the file proposes, as PS3.3 C.11.2.1.2 says."""
    centre, width = _number(group, "WindowCenter"), _number(group, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return None
    if group.get("VOILUTFunction", "LINEAR") == "LINEAR_EXACT":
        return centre - width / 2, centre + width / 2
    if width <= 1:
        return None
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _series(dataset: Dataset, frame: int, file: str | None) -> str | None:
    """A key that the parallel slices of a series share, or of a ``file`` of many frames.

    The identifier itself is not kept.
    """
    found = file or str(dataset.get("SeriesInstanceUID") or "")
    if file is None and not _UID.fullmatch(found):
        return None
    way = [round(each, PARALLEL) + 0.0 for each in _orientation(dataset, frame) or ()]  # 0.0 for -0.0
    return sha256(f"DICOM series {found} {dataset.Rows}x{dataset.Columns} {way}".encode()).hexdigest()


def _place(dataset: Dataset) -> float | None:
    """How far along the normal of its plane the slice lies, in mm; else its number in the series."""
    position, plane = _position(dataset, 0), _orientation(dataset, 0)
    if position and plane:
        return float(np.dot(position, np.cross(plane[:3], plane[3:])))
    location = _number(dataset, "SliceLocation")
    return location if location is not None else _number(dataset, "InstanceNumber")


def _position(dataset: Dataset, frame: int) -> list[float] | None:
    """The centre of the first pixel, in mm: to the left, back and head of the patient."""
    return _numbers(_group(dataset, frame, "PlanePositionSequence"), "ImagePositionPatient", 3)


def _orientation(dataset: Dataset, frame: int) -> list[float] | None:
    """The direction of a row and of a column, as unit vectors."""
    return _numbers(_group(dataset, frame, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)


def _turn(dataset: Dataset, frame: int) -> list[float | None]:
    """What slices at one place of a series differ in: when they were taken, and their echo."""
    return [_number(_group(dataset, frame, group), keyword) for group, keyword in TURNS]


def _thickness(group: Dataset) -> float | None:
    """Millimetres from one slice to the next, as far as one slice tells of it."""
    found = _number(group, "SpacingBetweenSlices") or _number(group, "SliceThickness")
    return abs(found) if found else None


def _spacing(group: Dataset) -> tuple[float, float] | None:
    """Millimetres between pixels, (x, y); DICOM tells rows first."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        found = _numbers(group, keyword, 2)
        if found and min(found) > 0:
            return found[1], found[0]
    return None


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first number of an attribute that a picture can do without; None when it cannot be read either."""
    try:
        return _first_number(dataset, keyword)
    except UNREADABLE:
        return None


def _first_number(dataset: Dataset, keyword: str) -> float | None:
    value: Any = dataset.get(keyword)
    first = value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value
    if first is None or first == "":
        return None
    number = float(first)
    return number if isfinite(number) else None


def _numbers(dataset: Dataset, keyword: str, count: int) -> list[float] | None:
    """All the numbers of such an attribute; None when they are not ``count``, or one cannot be read."""
    try:
        value = dataset.get(keyword)
        if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
            return None
        numbers = [float(each) for each in value]
    except UNREADABLE:
        return None
    return numbers if all(isfinite(each) for each in numbers) else None
