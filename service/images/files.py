"""Any file that is an image, as slices: which reader it belongs to is told by its content, never its name."""

import io
import zipfile

from service.errors import ImageEmpty, ImageUnknown
from service.images.decode import PNG_SIGNATURE, decode, decode_deep, is_deep, media_type_of, orientations
from service.images.dicom import is_dicom, lacks_preamble, open_dicom
from service.images.nifti import is_nifti, open_nifti
from service.images.slices import ImageFile, Slice, bits_of, eight_bit, in_turn
from service.images.tiff import MAGIC as TIFF
from service.images.tiff import open_tiff

PNG_END = b"IEND\xaeB`\x82"
JPEG_SIGNATURE = b"\xff\xd8\xff"


def open_image(data: bytes, *, max_pixels: int | None, axis: int | None = None) -> ImageFile:
    """What the file is and its slices; only its header has been looked at.

    Raises ImageRefused, and so does reading the slices: ``axis`` is that along which a volume is cut.
    """
    if not data:
        raise ImageEmpty("The file has no bytes in it.")
    if is_dicom(data):
        return open_dicom(data, max_pixels=max_pixels)
    if data.startswith(TIFF):
        return open_tiff(data, max_pixels=max_pixels)
    if data.startswith((PNG_SIGNATURE, JPEG_SIGNATURE)):
        return _picture(data, max_pixels)
    if is_nifti(data):
        return open_nifti(data, max_pixels=max_pixels, axis=axis)
    if lacks_preamble(data):
        raise ImageUnknown(
            "The file looks like DICOM without its beginning. "
            "Save it as a DICOM file of Part 10, with its preamble."
        )
    raise ImageUnknown("The file is not a PNG, JPEG, TIFF, DICOM or NIfTI image. Save it as one of them.")


def _picture(data: bytes, max_pixels: int | None) -> ImageFile:
    """PNG and JPEG: what browsers read as they are, but for deep colour and for what they would not turn."""
    if _has_a_second_face(data):
        raise ImageUnknown("The file is an image and something else at once. Save it again as an image.")
    media_type, deep = media_type_of(data, max_pixels=max_pixels), is_deep(data)
    orientation, in_browsers = orientations(data)

    def read(frame: int) -> Slice:
        pixels = decode_deep(data) if deep else decode(data, max_pixels=max_pixels)
        if pixels.ndim == 3:
            return Slice(frame, eight_bit(pixels, bits=bits_of(pixels)))
        return Slice(frame, pixels, window=(0.0, 255.0) if pixels.dtype.itemsize == 1 else None)

    as_is = not deep and orientation == in_browsers
    return ImageFile(media_type, 1, {"format": "picture"}, lambda: in_turn(read, 1), as_is=as_is)


def _has_a_second_face(data: bytes) -> bool:
    """Whether other programs would take the picture for an archive, a document or a page."""
    end = data.rfind(PNG_END)
    behind = (
        data[end + len(PNG_END) :].strip(b"\0\r\n ") if data.startswith(PNG_SIGNATURE) and end > 0 else b""
    )
    return bool(behind) or b"%PDF-" in data[:1024] or zipfile.is_zipfile(io.BytesIO(data))
