"""Archives in: members one by one, and whatever is meant to do harm refused with a reason; polyglots too."""

import io
import stat
import tracemalloc
import zipfile
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ImageRefused
from service.images.actions import clean_name, shortened
from service.images.archives import is_archive, members
from service.images.files import open_image
from tests.factories import encoded, pixels, png
from tests.files import dicom, nifti, png_that_claims, tiff, zipped


def told(data: bytes) -> dict[str, str]:
    """Each member's name, and the sentence by which it is refused."""
    return {name: each.detail if isinstance(each, ImageRefused) else "" for name, each in members(data)}


def test_members_come_as_they_went_in_without_what_systems_leave_beside_them() -> None:
    files = {"a.png": png(), "scans/b.png": png(), "scans/c.dcm": dicom(pixels())}
    litter = {"__MACOSX/._a.png": b"x", ".DS_Store": b"x", "scans/Thumbs.db": b"x", "scans/": b""}
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = zipped(files | litter, compression)
        assert is_archive(archive)
        assert dict(members(archive)) == files


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_members_are_refused_one_by_one() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("../up.png", "/etc/passwd", "c:/boot.ini", "a\\..\\..\\b.png", "good.png"):
            archive.writestr(name, png())
        archive.writestr("GOOD.png", png())
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", zipped({"a.png": png()}))
    found = told(stream.getvalue())
    assert [name for name, detail in found.items() if not detail] == ["good.png"]
    assert "leads out" in found["../up.png"] and "leads out" in found["/etc/passwd"]
    assert "leads out" in found["c:/boot.ini"] and "leads out" in found["a\\..\\..\\b.png"]
    assert dict(members(zipped({"../up.png": png()})))["../up.png"].code == "name_unsafe"  # type: ignore[union-attr]
    assert "another file" in found["GOOD.png"]
    assert "link" in found["link.png"] and "archive in an archive" in found["inner.zip"]


def without_flag(archive: bytes) -> bytes:
    """The archive with its names in Unicode, as they are, and no word that they are."""
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        before, *entries = archive.split(header)
        bare = [each[: flags - 3] + bytes([each[flags - 3] & ~8]) + each[flags - 2 :] for each in entries]
        archive = header.join([before, *bare])
    return archive


def test_the_finder_writes_names_in_unicode_without_saying_so() -> None:
    files = {"Zellkörper/Färbung 1.png": b"a", "名前.png": b"b", "plain.png": b"c"}
    packed = without_flag(zipped(files))
    assert [each.flag_bits for each in zipfile.ZipFile(io.BytesIO(packed)).infolist()] == [0, 0, 0]
    assert dict(members(packed)) == files
    assert told(without_flag(zipped({"ö/../../up.png": b"a"}))).popitem()[1].endswith("out of the archive.")
    assert not list(members(without_flag(zipped({"ä/__MACOSX/._ö.png": b"a"}))))


def test_names_of_older_systems_are_kept() -> None:
    spelt = zipped({"F\1rbung.png": b"a"}).replace(b"F\1rbung", "Färbung".encode("cp437"))
    assert dict(members(spelt)) == {"Färbung.png": b"a"}


def test_names_that_no_system_has_cost_no_time() -> None:
    accents = "\u0301\u0316" * 15_000
    begun = process_time()
    assert "too long" in told(zipped({f"{accents}.png": png(), "a.png": png()}))[f"{accents}.png"]
    assert len(clean_name(accents + ".png")) == 255
    assert clean_name("a/" * 500_000 + "b.png").endswith("b.png")
    assert process_time() - begun < 0.5


def test_of_a_long_name_as_many_folders_are_kept_as_fit() -> None:
    assert shortened("abc/de/f.png", 12) == "abc/de/f.png"
    assert shortened("abc/de/f.png", 11) == shortened("abc/de/f.png", 8) == "de/f.png"
    assert shortened("abc/de/f.png", 7) == "f.png"
    assert shortened("abc/de/f.png", 3) == "png"


def test_bombs_are_not_unpacked() -> None:
    with pytest.raises(ImageRefused, match="Unpacked"):
        list(members(zipped({"zeros": bytes(100_000_000)})))
    with pytest.raises(ImageRefused, match="at most"):
        list(members(zipped({str(i): b"" for i in range(20_001)})))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_are_unpacked_without_a_limit_are_refused(compression: int) -> None:
    assert "ordinary ZIP" in told(zipped({"a.png": png()}, compression))["a.png"]


def test_no_more_is_unpacked_than_a_member_tells_of() -> None:
    size = 40_000_000
    data = zipped({"zeros": bytes(size)}).replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    tracemalloc.start()
    assert told(data) == {"zeros": "The file cannot be unpacked to its end."}
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_member_that_lies_about_itself_is_refused_and_the_others_are_not() -> None:
    data = bytearray(zipped({"a.png": png(), "b.png": png()}))
    data[60] ^= 0xFF  # in the bytes of the first
    assert list(told(bytes(data)).values()) in (["The file cannot be unpacked to its end.", ""], ["", ""])
    with pytest.raises(ImageRefused):
        list(members(bytes(data[:-10])))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_an_archive_is_more_than_a_refusal(data: st.DataObject) -> None:
    compression = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    hurt = bytearray(zipped({"a.txt": b"abc" * 40, "b/c.txt": b"d" * 50}, compression))
    for _ in range(data.draw(st.integers(1, 8))):
        hurt[data.draw(st.integers(0, len(hurt) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(hurt)))
    for damaged in (bytes(hurt), bytes(hurt[:end])):
        try:
            list(members(damaged))
        except ImageRefused:
            continue


PAGE = b"<html><script>alert(1)</script></html>"
REFUSED = {
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "image_unknown"),
    "a drawing with a declaration": (b"<?xml version='1.0'?><svg/>", "image_unknown"),
    "a page": (b"<!doctype html>" + PAGE, "image_unknown"),
    "a PNG that is an archive": (png() + zipped({"a.js": b"alert(1)"}), "image_unknown"),
    "a PNG that is a page": (png() + PAGE, "image_unknown"),
    "a JPEG that is an archive": (encoded(pixels(), "JPEG") + zipped({"a": b"b"}), "image_unknown"),
    "a PNG that claims": (png_that_claims(30_000, 30_000), "image_too_large"),
    "a film": (encoded(pixels(), "GIF"), "image_unknown"),
    "nothing": (b"", "image_empty"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_has_two_faces_or_none_is_refused_by_content(name: str) -> None:
    data, code = REFUSED[name]
    with pytest.raises(ImageRefused) as refused:
        list(open_image(data, max_pixels=64_000_000).slices())
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (REFUSED["a film"][0], "Save it as one of them."),
        (REFUSED["a PNG that claims"][0], "raise ACCRUE_MAX_IMAGE_PIXELS."),
        (dicom(pixels(), NumberOfFrames=5000), "Cut it into smaller files."),
        (dicom(pixels(), NumberOfFrames=4000, Rows=7000, Columns=7000), "Cut it into smaller files."),
    ],
    ids=["another kind", "too large", "too many slices", "too large together"],
)
def test_a_refusal_says_what_to_do(data: bytes, advice: str) -> None:
    with pytest.raises(ImageRefused) as refused:
        open_image(data, max_pixels=64_000_000)
    assert refused.value.detail.endswith(advice)


def test_pictures_are_kept_as_they_are() -> None:
    deep = pixels(dtype="uint16")
    file = open_image(png(deep), max_pixels=None)
    (found,) = file.slices()
    assert file.as_is and np.array_equal(found.pixels, deep)
    assert found.window is not None and found.window[0] < found.window[1]
    assert not any(open_image(each, max_pixels=None).as_is for each in (tiff(deep), dicom(deep), nifti(deep)))
