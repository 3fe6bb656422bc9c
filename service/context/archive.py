"""A context as a ZIP archive: pictures, masks, and a manifest that says what belongs together.

``manifest.json`` comes first. Pictures are kept as the pixels that the network reads, PNG or JPEG, masks as
1-bit PNG; each is named by its SHA-256. What an archive says of itself is believed only once it is checked.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from service.errors import AccrueError, ContextRefused, ImageRefused
from service.images.archives import is_archive, members
from service.images.decode import decode
from service.images.files import open_image
from service.images.limits import DECODING, check_size
from service.masks import read_mask, to_png
from service.storage import digest_of

MANIFEST = "manifest.json"
MOST_PAIRS = 10_000
LARGEST_MANIFEST = 32 * 1024 * 1024
NOTE = (
    "The images and masks keep the licence and the conditions of where they come from; this file grants none."
)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Told = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Picture(BaseModel):
    """An image; its pixels stand for ``stored * scale + offset``, shown ``window_low`` to ``window_high``."""

    file: Told
    sha256: Sha256
    name: Told
    media_type: Literal["image/png", "image/jpeg"]
    width: int = Field(ge=1, le=2**31 - 1)
    height: int = Field(ge=1, le=2**31 - 1)
    scale: Number = 1.0
    offset: Number = 0.0
    window_low: Number | None = None
    window_high: Number | None = None
    spacing: tuple[Number, Number] | None = None


class MaskFile(BaseModel):
    """A mask, of the size of the image that it is paired with."""

    file: Told
    sha256: Sha256


class Pair(BaseModel):
    """An image with its accepted mask; ``quality``, if measured, is how well it fits the others."""

    image: Picture
    mask: MaskFile
    pinned: bool = False
    quality: float | None = Field(default=None, ge=0, le=1)


class Manifest(BaseModel):
    """What an archive says of itself: which label it is of, and its pairs, oldest first."""

    format: Literal["accrue-context"] = "accrue-context"
    version: Literal[1] = 1
    note: str = Field(default=NOTE, max_length=1000)
    project: Told
    label: Told
    model: Told
    context_version: int = Field(ge=0)
    # How many older pairs were in the context, and more than an archive holds.
    left_out: int = Field(default=0, ge=0)
    pairs: list[Pair] = Field(max_length=MOST_PAIRS)

    @model_validator(mode="after")
    def _one_thing_each(self) -> Self:
        told: dict[str, tuple[object, ...]] = {}
        for pair in self.pairs:
            image, mask, size = pair.image, pair.mask, (pair.image.width, pair.image.height)
            for file, claim in (
                (image.file, ("image", image.sha256, *size, image.media_type)),
                (mask.file, ("mask", mask.sha256, *size)),
            ):
                if told.setdefault(file, claim) != claim:
                    raise ValueError(f"{file} cannot be an image and a mask, or of two sizes or digests")
        return self


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pair, by the name of its image."""

    name: str
    detail: str


def packed(manifest: Manifest, read: Callable[[str], bytes]) -> Iterator[bytes]:
    """The archive, piece by piece; ``read`` gives the bytes with a digest, one at a time is in memory."""
    sink = _Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MANIFEST, manifest.model_dump_json(indent=1), zipfile.ZIP_DEFLATED)
        yield sink.taken()
        for name, digest in dict(_files(manifest)).items():
            archive.writestr(zipfile.ZipInfo(name), read(digest))
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What has been written since it was last taken: a file that is never held as a whole."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def taken(self) -> bytes:
        written, self._written = bytes(self._written), bytearray()
        return written


def read_manifest(data: bytes) -> Manifest:
    """The archive's manifest; ContextRefused when it has none that can be believed."""
    if not is_archive(data):
        raise ContextRefused("The file is not a ZIP archive.")
    found = next((content for name, content in _members(data) if name == MANIFEST), None)
    if not isinstance(found, bytes) or len(found) > LARGEST_MANIFEST:
        raise ContextRefused(f"The archive has no {MANIFEST} that can be read.")
    try:
        return Manifest.model_validate_json(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ContextRefused(f"{MANIFEST}: {where}: {first['msg']}") from error


def check(data: bytes, manifest: Manifest, *, max_pixels: int) -> None:
    """That every file is there, has its digest, and decodes to its size; ContextRefused tells which do not.

    Nothing is stored by this.
    """
    subjects: dict[str, list[Pair]] = {}
    for pair in manifest.pairs:
        subjects.setdefault(pair.image.file, []).append(pair)
        subjects.setdefault(pair.mask.file, []).append(pair)
    missing, problems = set(subjects), []
    for name, content in _members(data):
        if name not in subjects:
            continue
        missing.discard(name)
        detail = _problem(name, content, subjects[name][0], max_pixels)  # all say the same of it
        problems += [Problem(pair.image.name, detail) for pair in subjects[name] if detail]
    problems += [
        Problem(pair.image.name, f"{name} is missing.") for name in missing for pair in subjects[name]
    ]
    if problems:
        raise ContextRefused(
            f"{problems[0].name}: {problems[0].detail} ({len(problems)} of this kind; nothing was imported.)",
            problems=[{"name": each.name, "detail": each.detail} for each in problems],
        )


def contents(data: bytes, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """The files of an archive that was checked, by name: pictures as they are, masks as we write them."""
    pictures = {pair.image.file for pair in manifest.pairs}
    shapes = {pair.mask.file: (pair.image.height, pair.image.width) for pair in manifest.pairs}
    for name, content in _members(data):
        if isinstance(content, bytes) and name in pictures:
            yield name, content
        elif isinstance(content, bytes) and name in shapes:
            with DECODING:
                mask = read_mask(content, shape=shapes[name])
            yield name, to_png(mask)


def _files(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The name and the digest of every file beside the manifest."""
    for pair in manifest.pairs:
        yield pair.image.file, pair.image.sha256
        yield pair.mask.file, pair.mask.sha256


def _members(data: bytes) -> Iterator[tuple[str, bytes | ImageRefused]]:
    try:
        yield from members(data)
    except ImageRefused as error:
        raise ContextRefused(error.detail) from error


def _problem(name: str, content: bytes | ImageRefused, pair: Pair, max_pixels: int) -> str | None:
    """What is wrong with one file of a pair, in words."""
    picture = pair.image
    if isinstance(content, ImageRefused):
        return f"{name}: {content.detail}"
    if digest_of(content) != (picture.sha256 if name == picture.file else pair.mask.sha256):
        return f"{name} is not the file that the manifest speaks of (its SHA-256 differs)."
    try:
        check_size(picture.width, picture.height, max_pixels=max_pixels)
        if name == picture.file:
            return _picture_problem(content, picture, max_pixels)
        with DECODING:
            read_mask(content, shape=(picture.height, picture.width))
    except (ImageRefused, ValueError) as error:
        return f"{name}: {error.detail if isinstance(error, AccrueError) else error}"
    return None


def _picture_problem(content: bytes, picture: Picture, max_pixels: int) -> str | None:
    height, width = decode(content, max_pixels=max_pixels).shape[:2]
    media_type = open_image(content, max_pixels=max_pixels).media_type
    if (width, height, media_type) != (picture.width, picture.height, picture.media_type):
        return (
            f"{picture.file} is {media_type} of {width} x {height} pixels, and the manifest says "
            f"{picture.media_type} of {picture.width} x {picture.height}."
        )
    return None
