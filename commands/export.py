"""`accrue export`: a project as a file, over HTTP."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from commands.errors import CommandError
from service.client import Accrue
from service.imports.legend import meant

# Formats that have more to tell than what was accepted.
TELLS_ALL = ("json",)


def export(
    client: Accrue,
    project: str,
    form: str,
    path: Path,
    *,
    labels: Sequence[str] | None,
    images: bool,
    separate: bool,
    console: Console,
) -> None:
    """Write the project, by name or id, to ``path``; tell what could not be exported.

    Raises CommandError, with no file written, also when there is nothing to export.
    """
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent}.")
    if path.is_dir():
        raise CommandError(f"{path} is a folder. Name the file to write.")
    found = _project(client, project)
    chosen = _labels(found, labels) if labels else None
    if form not in TELLS_ALL and not _accepted(found, chosen):
        raise CommandError("Nothing is accepted yet, so there is nothing to export.")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        made = client.export(
            int(found["id"]),
            form,
            path,
            labels=chosen,
            images=images,
            separate=separate,
            progress=lambda what, share: bar.update(task, description=what, completed=share),
        )
    for line in made["report"]:
        console.print(f"[red]{escape(line['item'])}[/red]: {escape(line['what'])}", highlight=False)
    console.print(f"{made['size']:,} bytes are in {path}.", markup=False, highlight=False)


def _project(client: Accrue, named: str) -> dict[str, Any]:
    found = [each for each in client.projects() if named in (each["name"], str(each["id"]))]
    exact = [each for each in found if each["name"] == named] or found
    if not exact:
        raise CommandError(f"There is no project {named!r} that you have a part in.")
    return exact[0]


def _accepted(project: dict[str, Any], chosen: Sequence[int] | None) -> int:
    return sum(label["accepted"] for label in project["labels"] if chosen is None or label["id"] in chosen)


def _labels(project: dict[str, Any], names: Sequence[str]) -> list[int]:
    known = {str(label["name"]): int(label["id"]) for label in project["labels"]}
    found = []
    for name in names:
        if (label := meant(known, name)) is None:
            raise CommandError(f"The project has no label {name!r}, only {', '.join(known) or 'none yet'}.")
        found.append(known[label])
    return found
