"""A ZIP archive in pieces that are never read again: each has files, and their lines of the directory.

A piece can be written by another process than the one before. All files, all lines and ``ending``, one
after the other, are the archive
(PKWARE APPNOTE 6.3: 4.3.7, 4.3.12, 4.3.14 to 4.3.16), with 64-bit offsets where it needs them.
"""

import struct
import zlib
from dataclasses import dataclass, field
from datetime import datetime

STORED, DEFLATED = 0, 8
LEVEL = 1
UTF_8 = 0x800
VERSION, VERSION_64 = 20, 45
# Made on Unix, so that what is unpacked can be read by others.
MADE_BY, MODE = 3 << 8, 0o100644 << 16
LIMIT_16, LIMIT_32 = 0xFFFF, 0xFFFFFFFF

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_OFFSET_64 = struct.Struct("<2HQ")


@dataclass
class Piece:
    """The files of one piece, which begins at byte ``start`` of the archive."""

    start: int
    made_at: datetime
    body: bytearray = field(default_factory=bytearray)
    directory: bytearray = field(default_factory=bytearray)
    files: int = 0

    def add(self, name: str, data: bytes, *, deflate: bool = False) -> None:
        """One more file; ValueError when it has 4 GB or more, or a name that is too long."""
        packed = _deflated(data) if deflate else data
        encoded = name.encode()
        if len(data) >= LIMIT_32 or len(packed) >= LIMIT_32 or len(encoded) > LIMIT_16:
            raise ValueError("a file in an archive has less than 4 GB")
        offset = self.start + len(self.body)
        wide = offset >= LIMIT_32
        needs = VERSION_64 if wide else VERSION
        method = DEFLATED if deflate else STORED
        about = (UTF_8, method, *_dos(self.made_at), zlib.crc32(data), len(packed), len(data), len(encoded))
        self.body += _LOCAL.pack(b"PK\3\4", needs, *about, 0) + encoded + packed
        extra = _OFFSET_64.pack(1, 8, offset) if wide else b""
        told = LIMIT_32 if wide else offset
        self.directory += _CENTRAL.pack(
            b"PK\1\2", MADE_BY | needs, needs, *about, len(extra), 0, 0, 0, MODE, told
        )
        self.directory += encoded + extra
        self.files += 1


def ending(files: int, directory_start: int, directory_size: int) -> bytes:
    """What follows the directory of an archive with so many files."""
    wide = files >= LIMIT_16 or directory_start >= LIMIT_32 or directory_size >= LIMIT_32
    end = b""
    if wide:
        length = _END_64.size - 12
        versions = (MADE_BY | VERSION_64, VERSION_64)
        sizes = (files, files, directory_size, directory_start)
        end += _END_64.pack(b"PK\6\6", length, *versions, 0, 0, *sizes)
        end += _LOCATOR.pack(b"PK\6\7", 0, directory_start + directory_size, 1)
        files, directory_size, directory_start = LIMIT_16, LIMIT_32, LIMIT_32
    return end + _END.pack(b"PK\5\6", 0, 0, files, files, directory_size, directory_start, 0)


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _dos(at: datetime) -> tuple[int, int]:
    """Time and date as MS-DOS had them."""
    return (
        at.hour << 11 | at.minute << 5 | at.second // 2,
        max(at.year - 1980, 0) << 9 | at.month << 5 | at.day,
    )
