"""Archives made in pieces: every ZIP reader takes them, whatever their size and names."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.exports import archive
from service.exports.archive import Piece, ending
from service.exports.naming import safe_path, safe_stem, unique_stems

NOON = datetime(2026, 11, 21, 12, 30, 42, tzinfo=UTC)


def whole(pieces: list[list[tuple[str, bytes, bool]]], *, start: int = 0) -> bytes:
    """The archive of some pieces of files, each written without a look at the others."""
    bodies, directory, files = b"", b"", 0
    for entries in pieces:
        piece = Piece(start + len(bodies), NOON)
        for name, data, deflate in entries:
            piece.add(name, data, deflate=deflate)
        bodies += bytes(piece.body)
        directory += bytes(piece.directory)
        files += piece.files
    return bodies + directory + ending(files, start + len(bodies), len(directory))


@given(st.lists(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=5), max_size=4))
def test_what_was_added_in_pieces_is_read_back(pieces: list[list[tuple[bytes, bool]]]) -> None:
    named = [[(f"ö/{i}-{j}", *entry) for j, entry in enumerate(p)] for i, p in enumerate(pieces)]
    with zipfile.ZipFile(io.BytesIO(whole(named))) as read:
        assert read.testzip() is None
        assert {i.filename: read.read(i) for i in read.infolist()} == {
            name: data for piece in named for name, data, _ in piece
        }


def test_times_and_rights_are_told() -> None:
    with zipfile.ZipFile(io.BytesIO(whole([[("a", b"b", True)]]))) as read:
        (info,) = read.infolist()
    assert info.date_time == (2026, 11, 21, 12, 30, 42)
    assert info.external_attr >> 16 == 0o100644


def test_more_than_65535_files_are_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    path.write_bytes(whole([[(str(n), b"", False) for n in range(70_000)]]))
    with zipfile.ZipFile(path) as read:
        assert len(read.namelist()) == 70_000


def test_files_beyond_four_gigabytes_are_found(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    first = Piece(0, NOON)
    first.add("first", b"at the beginning")
    gap = 5 * 2**30  # a hole in the file, in the place of other pieces
    second = Piece(gap, NOON)
    second.add("second", b"far behind")
    with path.open("wb") as file:
        file.write(first.body)
        file.seek(gap)
        file.write(second.body)
        start = file.tell()
        directory = bytes(first.directory + second.directory)
        file.write(directory + ending(2, start, len(directory)))
    with zipfile.ZipFile(path) as read:
        assert (read.read("first"), read.read("second")) == (b"at the beginning", b"far behind")


def test_a_file_of_four_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LIMIT_32", 100)
    piece = Piece(0, NOON)
    with pytest.raises(ValueError, match="less than 4 GB"):
        piece.add("large", b"x" * 100)
    assert (piece.body, piece.directory, piece.files) == (b"", b"", 0)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("heart.png", "heart"),
        ("heart.nii.gz", "heart"),
        ("heart.v2.TIFF", "heart.v2"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("nul.png", "_nul"),
        (".png", "_"),
        ("a b?.jpg", "a b_"),
        ("Größe.dcm", "Größe"),
    ],
)
def test_a_name_is_made_safe(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("patient_01/image.nii.gz", "patient_01/image"),
        ("a.png/b.png", "a_png/b"),
        ("a.png.png/b", "a.png_png/b"),
        ("con/x:y/z.png", "_con/x_y/z"),
        ("replica-2/a.png", "_replica-2/a"),
        ("../a", "_/a"),
    ],
)
def test_folders_of_a_name_are_kept_and_lead_nowhere_else(name: str, path: str) -> None:
    assert safe_path(name) == path


@given(st.lists(st.sampled_from(["a.png", "A.jpg", "a", "a-3", "a-4.png", "b", "a-3'"]), max_size=9))
def test_no_name_is_given_twice_and_later_ones_change_no_earlier(names: list[str]) -> None:
    stems = unique_stems(enumerate(names))
    assert len({stem.casefold() for stem in stems.values()}) == len(names)
    for count in range(len(names)):
        earlier = unique_stems(enumerate(names[:count]))
        assert earlier == {n: stems[n] for n in range(count)}
