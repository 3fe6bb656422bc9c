"""ZIP archives of images: members are read one at a time, and never written anywhere by their name."""

import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator

from service.errors import ImageDamaged, ImageRefused, ImageTooLarge, ImageUnknown, NameUnsafe
from service.images.limits import PARSER_ERRORS

MAGIC = b"PK\x03\x04"
MOST_MEMBERS = 20_000
# No system has longer names; to compare much longer ones takes seconds each.
LONGEST_PATH = 4096
# An archive may unpack to so many times its own size, or to so many bytes in any case; a member to so many.
MOST_RATIO, ALWAYS_ALLOWED = 100, 64 * 1024 * 1024
MOST_UNPACKED, MOST_MEMBER = 8 * 1024**3, 2 * 1024**3 - 1
ENCRYPTED, UNICODE = 0x1, 0x800
# The others are unpacked whole, whatever the size that was told.
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What systems leave in archives beside the files that were meant.
LITTER = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)


def is_archive(data: bytes) -> bool:
    return data.startswith(MAGIC)


def members(
    data: bytes, chosen: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes | ImageRefused]]:
    """Name and bytes of every file in the archive whose name is ``chosen``, or why it is not taken.

    Raises ImageRefused when nothing of the archive can be believed.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = [each for each in archive.infolist() if not each.is_dir()]
    except PARSER_ERRORS as error:
        raise ImageDamaged("The ZIP archive cannot be read.") from error
    if len(entries) > MOST_MEMBERS:
        raise ImageTooLarge(f"The archive has {len(entries):,} files; at most {MOST_MEMBERS:,} are taken.")
    for each in entries:
        each.filename = _name(each)
    unpacked = sum(each.file_size for each in entries)
    allowed = min(MOST_UNPACKED, max(ALWAYS_ALLOWED, MOST_RATIO * len(data)))
    if unpacked > allowed:
        raise ImageTooLarge(f"Unpacked, the archive has {unpacked:,} bytes; at most {allowed:,} are taken.")
    seen: set[str] = set()
    for entry in entries:
        if LITTER.search(entry.filename) or not chosen(entry.filename):
            continue
        try:
            yield entry.filename, _member(archive, entry, seen)
        except ImageRefused as error:
            yield entry.filename, error


def _name(entry: zipfile.ZipInfo) -> str:
    """The Finder writes names in Unicode without saying so; hardly any other name can be read as such."""
    if entry.flag_bits & UNICODE:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        return entry.filename


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, seen: set[str]) -> bytes:
    if len(entry.filename) > LONGEST_PATH:
        raise NameUnsafe("The name of the file is too long. Give it a shorter one.")
    name = unicodedata.normalize("NFC", entry.filename.replace("\\", "/")).casefold()
    if name.startswith("/") or re.match(r"[a-z]:", name) or ".." in name.split("/"):
        raise NameUnsafe("The name of the file leads out of the archive.")
    if name in seen:
        raise ImageUnknown("The archive has another file of that name.")
    seen.add(name)
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ImageUnknown("This is a link or a device, not a file.")
    if entry.flag_bits & ENCRYPTED:
        raise ImageUnknown("The file is encrypted. Pack it without a password.")
    if entry.compress_type not in PACKINGS:
        raise ImageUnknown("The file is packed in a way that is not read. Pack it as an ordinary ZIP.")
    if entry.file_size > MOST_MEMBER:
        raise ImageTooLarge(
            f"Unpacked, the file has {entry.file_size:,} bytes; at most {MOST_MEMBER:,} are taken."
        )
    try:
        with archive.open(entry) as file:
            data = file.read(entry.file_size + 1)  # one more: at its end the checksum is compared
    except PARSER_ERRORS as error:
        raise ImageDamaged("The file cannot be unpacked to its end.") from error
    if is_archive(data):
        raise ImageUnknown("An archive in an archive is not read. Unpack it first.")
    return data
