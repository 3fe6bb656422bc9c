"""`accrue import`: a folder into a project, file by file told; what is there already is not sent again.

The unpacked export of a project goes in as it came out: its masks are those below its list of labels, and
its images are called what they were.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commands.errors import CommandError
from service.client import UPLOAD_BATCH, Accrue, RefusedError
from service.exports.naming import CONTENTS, IMAGES, LABEL_MAPS, MASKS, VOLUMES
from service.imports.legend import Legend, plain, read_legend
from service.imports.reading import MASK

# DICOM files often have no ending, or a number for one.
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".zip")
MOST_TOLD = 50


@dataclass
class Found:
    """What a folder holds: images, masks of them, files that are neither; and exports, with their labels."""

    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    exports: dict[Path, Legend] = field(default_factory=dict)

    def part(self, path: Path) -> tuple[Path, str] | None:
        """The export that a file is of, and the folder in it that the file lies in."""
        for parent in path.parents:
            if parent in self.exports:
                return parent, path.relative_to(parent).parts[0]
        return None


@dataclass(frozen=True)
class Destination:
    """The project that a folder goes into, where files are called by their path in the folder."""

    client: Accrue
    project_id: int
    folder: Path
    found: Found

    def named(self, paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each file, read no sooner than it is sent."""
        return ((self._name(path), path.read_bytes()) for path in paths)

    def listed(self, paths: Sequence[Path]) -> list[tuple[str, bytes]]:
        """The lists of labels of the exports that these masks are from."""
        exports = dict.fromkeys(part[0] for path in paths if (part := self.found.part(path)))
        return list(self.named([export / CONTENTS for export in exports]))

    def _name(self, path: Path) -> str:
        part = self.found.part(path)
        if part is not None and part[1] == IMAGES:
            path = part[0] / path.relative_to(part[0] / IMAGES)
        return path.relative_to(self.folder).as_posix()


@dataclass
class Report:
    """How many files came to what, and of those that were not taken why."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def note(self, path: Path, told: dict[str, Any]) -> None:
        """Keep why a file, or a member of an archive, was refused, and what a mask file names in vain."""
        if told["status"] == "refused":
            self.counts["refused"] += 1
            self.problems.append((f"{path}: {told['filename']}", told["problem"]["detail"]))
        for name in told.get("missing", ()):
            self.problems.append((str(path), f"There is no image called like {name}."))
        for image in told.get("refused", ()):
            self.problems.append((f"{path}: {image['file_name']}", image["problem"]["detail"]))

    def tell(self, console: Console) -> None:
        for path, why in self.problems[:MOST_TOLD]:
            console.print(f"[red]{escape(path)}[/red]: {escape(why)}", highlight=False)
        if len(self.problems) > MOST_TOLD:
            console.print(f"… and {len(self.problems) - MOST_TOLD} more")
        if self.left_out:
            more = len(self.left_out) - MOST_TOLD
            names = [*self.left_out[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
            console.print(f"Neither image nor mask: {', '.join(names)}", markup=False, highlight=False)
        counts = [f"{count} {what}" for what, count in self.counts.items() if count]
        console.print(", ".join(counts) or "Nothing to do.", highlight=False)


@dataclass(frozen=True)
class Ways:
    """How files are read: the label that all masks are of, the axis of volumes, what blank slices are."""

    label: str | None = None
    axis: int | None = None
    blank: str | None = None


def import_folder(client: Accrue, folder: Path, project: str, ways: Ways, *, console: Console) -> bool:
    """Whether every file was taken. Run again it goes on from where it was stopped."""
    if not folder.is_dir():
        raise CommandError(f"{folder} is no folder.")
    found = look_through(folder)
    listed = (name for legend in found.exports.values() for name in legend.values.values())
    project_id = _project(client, project, [*listed] if ways.label is None else [ways.label])
    report = Report(left_out=[path.relative_to(folder).as_posix() for path in found.others])
    report.counts["left out"] = len(found.others)
    with _bar(console) as bar:
        to = Destination(client, project_id, folder, found)
        _images(to, ways, report, bar)
        _masks(to, ways, report, bar)
    report.tell(console)
    return not report.problems


def look_through(folder: Path) -> Found:
    """The files of a folder and all below it, in order, without hidden ones."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    lists = {path.parent: read_legend(path.read_bytes()) for path in files if path.name == CONTENTS}
    found = Found(exports={parent: legend for parent, legend in lists.items() if legend is not None})
    for path in files:
        name = path.name.lower()
        ending = next((each for each in ENDINGS if name.endswith(each)), None)
        part = found.part(path)
        if part is not None and part[1] == CONTENTS:
            continue
        if (
            name.endswith(".json")
            or (ending and MASK.search(name.removesuffix(ending)))
            or (part is not None and part[1] in (MASKS, LABEL_MAPS, VOLUMES))
        ):
            found.masks.append(path)
        elif ending or path.suffix == "" or path.suffix[1:].isdecimal():
            found.images.append(path)
        else:
            found.others.append(path)
    return found


def _project(client: Accrue, name: str, labels: Iterable[str]) -> int:
    """The project's id; made, with its labels, where it is missing."""
    known = {each["name"]: each for each in client.projects()}
    project_id = int(known[name]["id"]) if name in known else client.create_project(name)
    there = {plain(each["name"]) for each in known.get(name, {}).get("labels", ())}
    for label in {plain(each): each for each in labels if plain(each) not in there}.values():
        client.add_label(project_id, label)
    return project_id


def _images(to: Destination, ways: Ways, report: Report, bar: Progress) -> None:
    paths, digests = to.found.images, {}
    for path in bar.track(paths, description="Looking"):
        with path.open("rb") as file:
            digests[path] = file_digest(file, "sha256").hexdigest()
    known = to.client.known_files(to.project_id, sorted(set(digests.values())))
    missing = [path for path in paths if digests[path] not in known]
    if len(missing) < len(paths):
        report.counts["there already"] += len(paths) - len(missing)

    def send(files: list[Path]) -> list[dict[str, Any]]:
        return to.client.upload_images(to.project_id, to.named(files), axis=ways.axis)

    for path, told in _sent(missing, send, bar, "Images"):
        if told["status"] == "stored":
            report.counts["files stored"] += 1
            report.counts["images in them"] += len(told["source"]["image_ids"])
        report.counts["there already"] += told["status"] == "duplicate"
        report.note(path, told)


def _masks(to: Destination, ways: Ways, report: Report, bar: Progress) -> None:
    def send(files: list[Path]) -> list[dict[str, Any]]:
        how: dict[str, Any] = {"label": ways.label, "blank": ways.blank, "listed": to.listed(files)}
        return to.client.import_masks(to.project_id, to.named(files), **how)

    for path, told in _sent(to.found.masks, send, bar, "Masks"):
        if told["status"] == "imported":
            report.counts["masks accepted"] += told["accepted"]
            report.counts["masks that were there, or somebody works on"] += len(told["kept"])
            report.counts["blank slices left open"] += told["blank"]
        report.note(path, told)


def _sent(
    paths: Sequence[Path], send: Callable[[list[Path]], list[dict[str, Any]]], bar: Progress, what: str
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file and what became of it, or of each member of an archive, in requests of several files.

    A request that is refused as a whole is sent again file by file.
    """
    task = bar.add_task(what, total=len(paths))
    for batch in _batches(paths):
        try:
            told = send(batch)
            of_each = [(batch[min(n, len(batch) - 1)], each) for n, each in enumerate(told)]
        except RefusedError:
            of_each = [(path, each) for path in batch for each in _alone(path, send)]
        yield from of_each
        bar.advance(task, len(batch))


def _alone(path: Path, send: Callable[[list[Path]], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return send([path])
    except RefusedError as error:
        return [{"status": "refused", "filename": path.name, "problem": {"detail": error.detail}}]


def _batches(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """A request's worth of files each; an archive alone, because its members are told one by one."""
    batch: list[Path] = []
    for path in paths:
        alone = path.suffix.lower() == ".zip"
        if batch and (alone or len(batch) == UPLOAD_BATCH):
            yield batch
            batch = []
        batch.append(path)
        if alone:
            yield batch
            batch = []
    if batch:
        yield batch


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)
