"""Names for files in an archive: what the image or label is called, safe on every system, none twice.

The folders, and the list of labels beside them, are how an import knows its own project's masks again.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MASKS, LABEL_MAPS, VOLUMES, IMAGES = "masks", "labelmaps", "volumes", "images"
CONTENTS = "labels.json"

_SUFFIX = re.compile(r"\.(png|jpe?g|tiff?|dcm|nii(\.gz)?)(?=( [a-z]\d+)*( #\d+)?$)", re.IGNORECASE)
# A folder that ended like a file of an export could be in the place of one.
_ENDING = re.compile(r"\.(?=(png|jpg|tif|bin|npy|gz)$)", re.IGNORECASE)
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
# Names of devices on Windows, whatever follows a dot; and of the folders that an export makes itself.
_TAKEN = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|(replica|page)-\d+", re.IGNORECASE)
LONGEST = 100


def unique_stems(named: Iterable[tuple[int, str]], *, folders: bool = False) -> dict[int, str]:
    """A file name without its ending for each (id, name); one that is taken already has its id in it.

    With ``folders`` a name keeps those that it is in. What is added later changes none of the earlier ones.
    """
    stems: dict[int, str] = {}
    taken: set[str] = set()
    for identity, name in named:
        plain = safe_path(name) if folders else safe_stem(name)
        stem, tries = plain, 0
        while stem.casefold() in taken:
            tries += 1
            stem = f"{plain}-{identity}" + "'" * (tries - 1)
        taken.add(stem.casefold())
        stems[identity] = stem
    return stems


def renamed(named: Sequence[tuple[int, str]], stems: Mapping[int, str]) -> dict[str, str]:
    """The names, by their stems, that are not a stem and an ending, or whose stem several have."""
    plain = {identity: _SUFFIX.sub("", name) for identity, name in named if identity in stems}
    count = Counter(plain.values())
    return {
        stems[identity]: name
        for identity, name in named
        if identity in plain and (stems[identity] != plain[identity] or count[plain[identity]] > 1)
    }


def part_of(geometry: Mapping[str, Any] | None, begin: int) -> str:
    """What a volume that begins with that frame of a file is called beside others of it, or nothing.

    By its channel or time where the file has ``parts``, else by its page, unless that is the first.
    """
    if parts := (geometry or {}).get("parts"):
        return str(parts[begin]).replace(" ", "-")
    return f"page-{begin + 1}" if begin else ""


def safe_path(name: str) -> str:
    """``a/b/name`` with every part made safe, so that it leads nowhere but down."""
    *folders, last = name.split("/")
    return "/".join([*(safe_stem(_ENDING.sub("_", folder)) for folder in folders), safe_stem(last)])


def safe_stem(name: str) -> str:
    """``name`` without the ending of an image file and without what a file system could stumble over."""
    stem = _UNSAFE.sub("_", _SUFFIX.sub("", name))[:LONGEST].strip(" .")
    return f"_{stem}" if not stem or _TAKEN.fullmatch(stem) else stem
