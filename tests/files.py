"""Files made for the tests: TIFF, DICOM and NIfTI from arrays, archives from files, volumes from slices."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import numpy.typing as npt
import tifffile
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite

from service.images.geometry import NiftiGeometry, slice_of

SERIES = "1.2.826.0.1.3680043.8.498.1"

# How each compressed syntax encodes one frame; the rest is written as it is.
ENCODERS: dict[str, Any] = {
    uid.JPEGBaseline8Bit: lambda frame: imagecodecs.jpeg8_encode(frame, level=95),
    uid.JPEGExtended12Bit: lambda frame: imagecodecs.jpeg8_encode(frame, level=98, bitspersample=12),
    uid.JPEGLossless: lambda frame: _lossless(frame),
    uid.JPEGLosslessSV1: lambda frame: _lossless(frame),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEGLSNearLossless: lambda frame: imagecodecs.jpegls_encode(frame, level=2),
    uid.JPEG2000Lossless: lambda frame: imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k"),
    uid.JPEG2000: lambda frame: imagecodecs.jpeg2k_encode(
        frame, level=0, reversible=False, codecformat="j2k"
    ),
}


def tiff(array: np.ndarray, **options: Any) -> bytes:
    """A TIFF of one array: a page, or a stack of pages unless ``photometric`` says colour."""
    stream = io.BytesIO()
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def pages(*arrays: np.ndarray, **options: Any) -> bytes:
    """A TIFF with a page for each array, of whatever size it is."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for array in arrays:
            writer.write(array, contiguous=False, metadata=None, **options)
    return stream.getvalue()


def dicom(
    frames: np.ndarray,
    syntax: str = uid.ExplicitVRLittleEndian,
    *,
    preamble: bytes = bytes(128),
    frame_data: bytes | None = None,
    **attributes: Any,
) -> bytes:
    """A DICOM file of ``frames`` (N, H, W) or (N, H, W, 3), or of one (H, W).

    ``attributes`` go in as they are, ``frame_data`` stands instead of the encoded frames.
    """
    frames = frames[None] if frames.ndim == 2 else frames
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID = "Secret^Person", "12345"
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.SecondaryCaptureImageStorage, f"{SERIES}.1"
    dataset.SeriesInstanceUID = SERIES
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * frames.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(frames.dtype.kind == "i")
    if syntax == uid.RLELossless:
        encoded = encapsulate([_rle(frame) for frame in frames])
    elif syntax in ENCODERS:
        encoded = encapsulate([ENCODERS[syntax](frame) for frame in frames])
    else:
        order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
        encoded = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = encoded if frame_data is None else frame_data
    dataset["PixelData"].VR = "OW" if frames.dtype.itemsize == 2 else "OB"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.preamble = preamble
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def enhanced(
    frames: np.ndarray,
    *,
    positions: Sequence[tuple[float, float, float]],
    orientations: Sequence[tuple[float, ...]],
    spacing: tuple[float, float],
) -> bytes:
    """A DICOM file of ``frames`` (N, H, W) that each tell where they lie; ``spacing`` of rows, columns."""
    measures = Dataset()
    measures.PixelSpacing = list(spacing)
    groups = []
    for position, orientation in zip(positions, orientations, strict=True):
        place, plane, group = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient, plane.ImageOrientationPatient = list(position), list(orientation)
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [plane]
        groups.append(group)
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    return dicom(frames, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=groups)


def nifti(
    volume: np.ndarray, affine: np.ndarray | None = None, *, compressed: bool = True, **fields: Any
) -> bytes:
    """A NIfTI file; ``fields`` are written over those of its header."""
    image = nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine)
    data = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    return gzip.compress(bytes(data), 1, mtime=0) if compressed else bytes(data)


def put_back(
    volume: np.ndarray,
    geometry: NiftiGeometry,
    frame: int,
    values: npt.ArrayLike,
    where: np.ndarray | None = None,
) -> None:
    """Write ``values`` (H, W), or one value ``where`` a mask (H, W) is, into a slice of ``volume``."""
    target = slice_of(volume, geometry, frame)
    target[... if where is None else where] = values


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A small PNG file whose header tells of a huge image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes(1000))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _lossless(frame: np.ndarray) -> bytes:
    encoded: bytes = imagecodecs.jpeg8_encode(frame, lossless=True, bitspersample=8 * frame.dtype.itemsize)
    return encoded


def _rle(frame: np.ndarray) -> bytes:
    """A frame in DICOM's run-length code: a segment per byte of a sample, most significant first."""
    samples = frame[..., None] if frame.ndim == 2 else frame
    planes = [
        np.ascontiguousarray(samples[..., channel]).view(np.uint8).reshape(*frame.shape[:2], -1)[..., byte]
        for channel in range(samples.shape[-1])
        for byte in reversed(range(frame.dtype.itemsize))
    ]
    segments = [b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in plane) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = np.zeros(16, dtype="<u4")
    header[0], header[1 : 1 + len(offsets)] = len(offsets), offsets
    return header.tobytes() + b"".join(segments)
