"""Names for files in an archive: what the image or label is called, safe on every system, none twice."""

import re
from collections.abc import Iterable

_SUFFIX = re.compile(r"\.(png|jpe?g|tiff?|dcm|nii(\.gz)?)(?=$| #\d+$)", re.IGNORECASE)
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
# Names of devices on Windows, whatever follows a dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 100


def unique_stems(named: Iterable[tuple[int, str]]) -> dict[int, str]:
    """A file name without its ending for each (id, name); one that is taken already has its id in it.

    What is added later changes none of the earlier ones.
    """
    stems: dict[int, str] = {}
    taken: set[str] = set()
    for identity, name in named:
        plain = safe_stem(name)
        stem, tries = plain, 0
        while stem.casefold() in taken:
            tries += 1
            stem = f"{plain}-{identity}" + "'" * (tries - 1)
        taken.add(stem.casefold())
        stems[identity] = stem
    return stems


def safe_stem(name: str) -> str:
    """``name`` without the ending of an image file and without what a file system could stumble over."""
    stem = _UNSAFE.sub("_", _SUFFIX.sub("", name))[:LONGEST].strip(" .")
    return f"_{stem}" if not stem or _DEVICE.fullmatch(stem) else stem
