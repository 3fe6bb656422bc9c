"""Files as people have them, with their masks beside them: tasks of images of the original size."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from commands.errors import CommandError
from commands.folders import look_through
from models.data import FEWEST_PIXELS, Task
from service.errors import AccrueError
from service.images.files import open_image
from service.images.nifti import is_nifti
from service.images.slices import Pixels
from service.imports.reading import Home, names_for, values_of, volume_of
from service.settings import Settings
from service.tables import Image, Source


def read_originals(folder: Path) -> list[Task]:
    """The pairs of NAME and NAME_mask in a folder and those below it; the structure is what is not zero.

    Each volume is a task, and so are all pictures of one folder; slices that hold too little of it are
    left out (those with none are the task's ``lacking``), and tasks with fewer than two images. Raises
    CommandError for a file that cannot be read.
    """
    max_pixels = Settings().max_image_pixels
    pairs: dict[str, list[tuple[Pixels, Pixels]]] = defaultdict(list)
    lacking: dict[str, list[Pixels]] = defaultdict(list)
    for image, mask in pairs_in(folder):
        slices = [(pixels, values != 0) for pixels, values in slices_of(image, mask, max_pixels=max_pixels)]
        place = (image if len(slices) > 1 else image.parent).relative_to(folder)
        name = f"{folder.resolve().name}/{place if place.name else 'images'}"
        pairs[name] += [pair for pair in slices if pair[1].sum() >= FEWEST_PIXELS]
        lacking[name] += [pixels for pixels, mask in slices if not mask.any()]
    return [
        Task(name, [pixels for pixels, _ in of], [mask for _, mask in of], lacking[name])
        for name, of in pairs.items()
        if len(of) > 1
    ]


def pairs_in(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The images of a folder and those below it that have a mask, and the mask."""
    found = look_through(folder)
    images = {path.relative_to(folder).as_posix(): path for path in found.images}
    for mask in found.masks:
        names = names_for(mask.relative_to(folder).as_posix())
        if image := next((images[name] for name in names if name in images), None):
            yield image, mask


def slices_of(image: Path, mask: Path, *, max_pixels: int) -> list[tuple[Pixels, Pixels]]:
    """The pixels of each slice, and the values of the mask there, as the service reads both.

    Raises CommandError for a file that cannot be read.
    """
    try:
        return list(_slices(image, mask, max_pixels))
    except AccrueError as error:
        raise CommandError(f"{image} with {mask.name}: {error}") from error


def _slices(image: Path, mask: Path, max_pixels: int) -> Iterator[tuple[Pixels, Pixels]]:
    opened = open_image(image.read_bytes(), max_pixels=max_pixels)
    pixels = {each.frame: each.pixels for each in opened.slices()}
    rows = [
        Image(name=image.name, frame=frame, height=slice_.shape[0], width=slice_.shape[1])
        for frame, slice_ in pixels.items()
    ]
    source = Source(name=image.name, geometry=opened.geometry)
    data, home = mask.read_bytes(), Home(source, rows)
    if is_nifti(data):
        home = volume_of(source, [(row, source) for row in rows], "") or home
    for row, values in values_of(data, home, max_pixels=max_pixels):
        yield pixels[row.frame], values
