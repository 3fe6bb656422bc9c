"""DICOM in: every transfer syntax to the same pixels, with the values and windows that the file tells."""

import io
import zlib
from unittest.mock import MagicMock

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from service.errors import ImageRefused
from service.images.files import open_image
from service.images.slices import Slice
from tests.factories import pixels
from tests.files import ENCODERS, SERIES, dicom
from tests.images.streams import jpeg_2000_behind_another, jpeg_behind_a_marker

LOSSY = {uid.JPEGBaseline8Bit: 12, uid.JPEGExtended12Bit: 24, uid.JPEGLSNearLossless: 2, uid.JPEG2000: 24}
NATIVE = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
]


def slices(data: bytes) -> list[Slice]:
    return list(open_image(data, max_pixels=1_000_000).slices())


def values(each: Slice) -> np.ndarray:
    return each.pixels * each.scale + each.offset


@pytest.mark.parametrize("syntax", [*NATIVE, *ENCODERS], ids=lambda syntax: uid.UID(syntax).keyword)
def test_every_transfer_syntax_gives_the_pixels_that_went_in(syntax: str) -> None:
    depth = 8 if syntax == uid.JPEGBaseline8Bit else 12
    frames = np.stack([pixels(dtype="uint16") >> (16 - depth) for _ in range(3)])
    frames = frames.astype(np.uint8 if depth == 8 else np.uint16)
    data = dicom(frames, syntax, BitsStored=depth, HighBit=depth - 1)
    found = slices(data)
    assert [each.frame for each in found] == [0, 1, 2]
    for each, frame, reference in zip(found, frames, dcmread(io.BytesIO(data)).pixel_array, strict=True):
        assert each.pixels.dtype == frame.dtype
        assert np.array_equal(each.pixels, reference)
        assert np.abs(each.pixels.astype(int) - frame).max() <= LOSSY.get(syntax, 0)


@pytest.mark.parametrize("syntax", [*NATIVE, uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.JPEGLosslessSV1])
def test_colour_keeps_its_colours(syntax: str) -> None:
    colour = np.stack([pixels(), pixels() // 2, pixels() // 3], axis=-1)
    (found,) = slices(dicom(colour[None], syntax))
    assert np.array_equal(found.pixels, colour)
    assert (found.scale, found.offset, found.window) == (1.0, 0.0, None)


def test_a_photograph_in_ycbcr_is_shown_in_its_colours() -> None:
    colour = np.full((32, 48, 3), (200, 80, 40), dtype=np.uint8)
    data = dicom(colour[None], uid.JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422")
    assert np.abs(slices(data)[0].pixels.astype(int) - colour).max() <= 4


def test_a_palette_is_looked_up() -> None:
    table = np.arange(256, dtype=np.uint8)
    entries = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, shift in (("Red", 0), ("Green", 85), ("Blue", 170))
        for part, value in (("Descriptor", [256, 0, 8]), ("Data", np.roll(table, shift).tobytes()))
    }
    indices = pixels()
    (found,) = slices(dicom(indices, PhotometricInterpretation="PALETTE COLOR", **entries))
    expected = np.stack([np.roll(table, shift)[indices] for shift in (0, 85, 170)], axis=-1)
    assert np.array_equal(found.pixels, expected)


def test_signed_values_are_rescaled_and_nothing_is_rounded() -> None:
    signed = (pixels(dtype="uint16").astype(np.int32) - 32768).astype(np.int16)
    data = dicom(signed, RescaleSlope="2.5", RescaleIntercept="-1024", WindowCenter="40", WindowWidth="400")
    (found,) = slices(data)
    assert np.array_equal(values(found), signed * 2.5 - 1024)
    assert found.window == (-160.0, 239.0)


def test_monochrome1_is_inverted_with_its_window() -> None:
    raw = pixels(dtype="uint16") >> 6
    options = {"BitsStored": 10, "HighBit": 9, "WindowCenter": "300", "WindowWidth": "201"}
    (plain,) = slices(dicom(raw, **options))
    (inverted,) = slices(dicom(raw, PhotometricInterpretation="MONOCHROME1", **options))
    assert np.array_equal(inverted.pixels, 1023 - raw)
    assert plain.window == (199.5, 399.5) and inverted.window == (1023 - 399.5, 1023 - 199.5)
    signed = (raw.astype(np.int32) - 512).astype(np.int16)
    (inverted,) = slices(dicom(signed, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(values(inverted), -1 - signed.astype(int))


def test_the_frames_of_an_enhanced_file_have_values_of_their_own() -> None:
    frames = np.stack([pixels(dtype="uint16")] * 2)
    groups = []
    for slope in ("1", "3"):
        group, transform, window, measures = Dataset(), Dataset(), Dataset(), Dataset()
        transform.RescaleSlope, transform.RescaleIntercept = slope, "5"
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = slope, "10", "LINEAR_EXACT"
        measures.PixelSpacing = ["0.5", "0.25"]
        group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [transform], [window]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    found = slices(dicom(frames, PerFrameFunctionalGroupsSequence=groups))
    assert [each.scale for each in found] == [1.0, 3.0]
    assert [each.offset for each in found] == [5.0, 5.0]
    assert [each.window for each in found] == [(-4.0, 6.0), (-2.0, 8.0)]
    assert found[0].spacing == (0.25, 0.5)
    assert [each.place for each in found] == [0.0, 1.0] and found[0].series == found[1].series


def test_the_files_of_a_series_stay_together_in_the_order_of_their_position() -> None:
    plane = ["1", "0", "0", "0", "0", "-1"]  # coronal: the normal is y
    files = [
        dicom(pixels(), ImageOrientationPatient=plane, ImagePositionPatient=["0", str(y), "7"])
        for y in (30, -10, 20)
    ]
    found = [slices(data)[0] for data in files]
    assert len({each.series for each in found}) == 1
    assert SERIES not in str(found[0].series)
    assert [each.place for each in found] == [30.0, -10.0, 20.0]
    other = slices(dicom(pixels(), SeriesInstanceUID=f"{SERIES}.9", InstanceNumber="4"))[0]
    assert other.series != found[0].series and other.place == 4.0
    assert slices(dicom(pixels(), SeriesInstanceUID="../../etc"))[0].series is None


GREY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
JPEG_OF_ANOTHER_SIZE = encapsulate([ENCODERS[uid.JPEGLSLossless](np.zeros((600, 600), np.uint16))])
REFUSED = {
    "a segmentation": (dicom(GREY, SOPClassUID=uid.SegmentationStorage), "image_unknown"),
    "an index": (dicom(GREY, SOPClassUID=uid.MediaStorageDirectoryStorage), "image_unknown"),
    "a whole slide": (dicom(GREY, TotalPixelMatrixColumns=640, TotalPixelMatrixRows=48), "image_unknown"),
    "a program": (dicom(GREY, preamble=b"MZ" + bytes(126)), "image_unknown"),
    "a page": (dicom(GREY, preamble=b"<script>alert(1)</script>".ljust(128)), "image_unknown"),
    "half": (dicom(GREY)[:2000], "image_damaged"),
    "fewer pixels than told": (dicom(GREY, frame_data=bytes(100)), "image_damaged"),
    "many frames that are not there": (dicom(GREY, NumberOfFrames=4000), "image_damaged"),
    "too many frames": (dicom(GREY, NumberOfFrames=2_000_000_000), "image_too_large"),
    "too large": (dicom(GREY, Rows=60_000, Columns=60_000), "image_too_large"),
    "no pixels": (dicom(GREY, Rows=0), "image_damaged"),
    "a frame of another size": (
        dicom(GREY, uid.JPEGLSLossless, frame_data=JPEG_OF_ANOTHER_SIZE),
        "image_damaged",
    ),
    "a film": (dicom(GREY, uid.MPEG2MPML, frame_data=encapsulate([bytes(64)])), "image_unknown"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_no_picture_is_refused_and_nothing_is_told_of_the_patient(name: str) -> None:
    data, code = REFUSED[name]
    with pytest.raises(ImageRefused) as refused:
        slices(data)
    assert refused.value.code == code, refused.value.detail
    assert "Secret" not in refused.value.detail and "12345" not in refused.value.detail


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (uid.JPEG2000Lossless, jpeg_2000_behind_another(GREY.repeat(9, axis=0), GREY.shape)),
        (uid.JPEGBaseline8Bit, jpeg_behind_a_marker(np.zeros((600, 600), np.uint8), GREY.shape)),
    ],
)
def test_the_size_that_is_checked_is_that_of_what_is_decoded(
    syntax: str, stream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    codecs = MagicMock()
    monkeypatch.setattr("service.images.codestreams.imagecodecs", codecs)
    with pytest.raises(ImageRefused):
        slices(dicom(GREY, syntax, frame_data=encapsulate([stream])))
    assert codecs.mock_calls == []


@pytest.mark.parametrize("spare", [b"", bytes(9000)], ids=["short", "long"])
def test_a_frame_in_a_jp2_file_is_read(spare: bytes) -> None:
    whole = imagecodecs.jpeg2k_encode(GREY, level=0)
    at = whole.index(b"jp2c") - 4
    box = (len(spare) + 8).to_bytes(4, "big") + b"free" + spare
    data = dicom(GREY, uid.JPEG2000Lossless, frame_data=encapsulate([whole[:at] + box + whole[at:]]))
    (found,) = slices(data)
    assert np.array_equal(found.pixels, GREY)


def test_a_deflated_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.images.dicom.MOST_INFLATED", 1_000_000)
    data = dicom(np.zeros((1000, 1000), np.uint16), uid.DeflatedExplicitVRLittleEndian)
    assert len(data) < 10_000
    with pytest.raises(ImageRefused) as refused:
        slices(data)
    assert refused.value.code == "image_too_large"


def test_files_are_inflated_in_turn_as_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = MagicMock()
    monkeypatch.setattr("service.images.dicom.DECODING", turns)
    open_image(dicom(GREY, uid.DeflatedExplicitVRLittleEndian), max_pixels=None)
    assert turns.__enter__.called


@pytest.mark.parametrize("start", [128 + len(b"DICM"), dicom(GREY).index(b"\x08\0\x16\0")])
def test_without_its_preamble_it_is_told_what_is_missing(start: int) -> None:
    with pytest.raises(ImageRefused, match="with its preamble"):
        slices(dicom(GREY)[start:])


def test_without_pixels_it_is_no_picture() -> None:
    data = dicom(GREY)
    at = data.index(b"\xe0\x7f\x10\x00OW")
    with pytest.raises(ImageRefused, match="holds no picture"):
        slices(data[:at])


SMALL = pixels(16, 16, dtype="uint16") >> 4
HURT = {
    uid.UID(syntax).keyword: dicom(SMALL, syntax, BitsStored=12, HighBit=11)
    for syntax in (*NATIVE, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless)
}


@pytest.mark.parametrize("name", list(HURT))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_file_is_more_than_a_refusal(name: str, data: st.DataObject) -> None:
    hurt = bytearray(HURT[name])
    for _ in range(data.draw(st.integers(1, 8))):
        hurt[data.draw(st.integers(132, len(hurt) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(hurt)))
    for damaged in (bytes(hurt), bytes(hurt[:end])):
        try:
            found = slices(damaged)
        except ImageRefused:
            continue
        assert all(each.pixels.dtype in (np.uint8, np.uint16) for each in found)


BREAKABLE = {
    "PixelSpacing": 2,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "SliceLocation": 1,
    "SliceThickness": 1,
    "WindowCenter": 1,
    "InstanceNumber": 1,
}


@pytest.mark.parametrize("keyword", list(BREAKABLE))
def test_one_broken_number_that_a_picture_can_do_without_refuses_no_file(keyword: str) -> None:
    data = dicom(GREY, **{keyword: ["75319"] * BREAKABLE[keyword]})
    assert b"75319" in data
    (found,) = slices(data.replace(b"75319", b"75,19"))
    assert np.array_equal(found.pixels, GREY)
    assert (found.spacing, found.place) == (None, None)


def test_values_that_cannot_be_told_are_refused() -> None:
    data = dicom(GREY, RescaleSlope="2.5319", RescaleIntercept="0")
    with pytest.raises(ImageRefused, match="cannot be read"):
        slices(data.replace(b"2.5319", b"2,5319"))


def test_a_damaged_deflated_stream_is_refused() -> None:
    data = dicom(GREY, uid.DeflatedExplicitVRLittleEndian)
    assert slices(data)
    with pytest.raises(ImageRefused):
        slices(data[:200] + zlib.compress(b"something else"))
