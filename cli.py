"""The `accrue` command: the one place that starts things; each command imports its own needs."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from commands.serve import Running
    from service.settings import Settings

app = typer.Typer(
    help="Annotate a whole image dataset; each image needs fewer interactions than the one before.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may hold a token
)

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept.", show_default=False)]
Port = Annotated[int | None, typer.Option(help="0 takes a free one.", show_default=False)]


class Kind(StrEnum):
    """The prompts that simulated annotators give."""

    CLICK = "click"
    SCRIBBLE = "scribble"
    BOX = "box"


class ExportFormat(StrEnum):
    """What a project can be exported as."""

    PNG = "png"
    LABELMAP = "labelmap"
    COCO = "coco"
    NIFTI = "nifti"
    NUMPY = "numpy"
    CSV = "csv"
    JSON = "json"


class Blank(StrEnum):
    """What slices of a volume are of which a mask file says nothing."""

    OPEN = "open"
    EMPTY = "empty"


class Commit(StrEnum):
    """Which mask joins the context in an evaluation."""

    PREDICTION = "prediction"
    TRUTH = "truth"


class Tables(StrEnum):
    """What an evaluation can print."""

    MAIN = "main"
    ABLATION = "ablation"
    ABSENCE = "absence"
    GUARANTEES = "guarantees"
    PEERS = "peers"
    CALIBRATION = "calibration"
    ALL = "all"


@contextmanager
def _told() -> Iterator[None]:
    """What a person can do something about ends as a sentence, not as a traceback."""
    try:
        yield
    except Exception as error:
        from commands.errors import sentence_of

        if (sentence := sentence_of(error)) is None:
            raise
        typer.echo(f"accrue: {sentence}", err=True)
        raise typer.Exit(1) from error


@app.command()
def serve(data_dir: DataDir = None, host: str | None = None, port: Port = None) -> None:
    """Run a whole installation: database, Valkey, a worker and the API, in one folder."""
    from commands.serve import first_admin_link
    from commands.serve import serve as run

    def announce(running: "Running") -> None:
        typer.echo(f"Accrue is at {running.settings.public_url or running.url}\nCtrl-C stops it.")
        if link := first_admin_link(running.settings, running.url):
            typer.echo(f"It has no administrator yet. Open this link, once, to be it:\n{link}")

    with _told():
        run(_installation(data_dir=data_dir, host=host, port=port), announce)


@app.command()
def worker() -> None:
    """Run a worker for an installation whose database, Valkey and storage are set by ACCRUE_ variables."""
    from workers.app import run_worker

    with _told():
        raise typer.Exit(run_worker(_installation()))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database up to date."""
    from commands.serve import migrate as run

    with _told():
        run(_installation(data_dir=data_dir))


@app.command()
def user(
    name: str,
    link: Annotated[bool, typer.Option("--link", help="Print a link to choose a password.")] = False,
    admin: Annotated[bool | None, typer.Option(help="May everything, everywhere.")] = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="May sign in at all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a new token of a person, who is created if there is none of that name.

    The first person of an installation is its administrator, unless `accrue serve` has started there.
    """
    from commands.users import Wish, change_user

    with _told():
        settings = _installation(data_dir=data_dir)
        typer.echo(change_user(settings, name, Wish(link, admin, enable)))


@app.command()
def backup(file: Path, data_dir: DataDir = None) -> None:
    """Write the whole installation to FILE, while it runs; FILE holds password hashes, keep it safe."""
    from commands.backup import backup as run

    with _told(), _counting() as progress:
        end = run(_installation(data_dir=data_dir), file, progress)
        typer.echo(f"{sum(end.rows.values())} rows and {end.blobs} blobs are in {file}.")
        if end.lost:
            typer.echo(f"{len(end.lost)} blobs were lost already: `accrue verify` says which.", err=True)
            raise typer.Exit(1)


@app.command()
def restore(file: Path, data_dir: DataDir = None) -> None:
    """Make an installation, which must be empty, what FILE says; SQLite and PostgreSQL alike."""
    from commands.restore import restore as run

    with _told(), _counting() as progress:
        end = run(_installation(data_dir=data_dir), file, progress)
        typer.echo(f"{sum(end.rows.values())} rows and {end.blobs} blobs are restored.")


@app.command()
def verify(data_dir: DataDir = None) -> None:
    """Read every image and mask that a row names, and say which are missing or damaged."""
    from commands.backup import verify as run

    with _told(), _counting() as progress:
        wrong = run(_installation(data_dir=data_dir), progress)
        typer.echo("\n".join(wrong) or "Everything is there.")
        raise typer.Exit(bool(wrong))


@app.command()
def demo(data_dir: Path = Path("demo-data"), port: Port = None) -> None:
    """Run the service with a project of synthetic images, the first of them annotated by simulation."""
    from rich.console import Console

    from commands.demo import demo as run

    with _told():
        run(_installation(data_dir=data_dir, port=port), Console())


@app.command(name="import")
def import_folder(
    folder: Annotated[
        Path,
        typer.Argument(help="Images and volumes, with NAME_mask files, COCO JSON, or an unpacked export."),
    ],
    project: Annotated[str, typer.Option(help="Its name; made if there is none.")],
    token: Annotated[str, typer.Option(envvar="ACCRUE_TOKEN", help="Of a manager of the project.")],
    label: Annotated[str | None, typer.Option(help="Of the masks; made if there is none.")] = None,
    axis: Annotated[int | None, typer.Option(min=0, max=2, help="To cut volumes along.")] = None,
    blank: Annotated[
        Blank, typer.Option(help="What slices are of which the mask file of a volume says nothing.")
    ] = Blank.OPEN,
    url: str = "http://127.0.0.1:8000",
) -> None:
    """Upload a folder, masks last. What is there already is not sent again, so it can be repeated."""
    from rich.console import Console

    from commands.folders import Ways
    from commands.folders import import_folder as run
    from service.client import Accrue

    with _told(), Accrue(url, token) as client:
        ways = Ways(label, axis, blank.value)
        if not run(client, folder, project, ways, console=Console()):
            raise typer.Exit(1)


@app.command(name="export")
def export_project(
    project: Annotated[str, typer.Argument(help="Its name or id.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    token: Annotated[str, typer.Option(envvar="ACCRUE_TOKEN", help="Of a manager of the project.")],
    format: ExportFormat = ExportFormat.PNG,
    label: Annotated[list[str] | None, typer.Option(help="Only this label; repeatable.")] = None,
    images: Annotated[bool, typer.Option(help="The images too: png, labelmap, numpy.")] = False,
    separate: Annotated[bool, typer.Option(help="A volume for each label: nifti.")] = False,
    url: str = "http://127.0.0.1:8000",
) -> None:
    """Write the accepted masks of a project to a file. A download that broke off goes on where it was."""
    from rich.console import Console

    from commands.export import export as run
    from service.client import Accrue

    with _told(), Accrue(url, token) as client:
        options = {"images": images, "separate": separate}
        run(client, project, format.value, out, labels=label, console=Console(), **options)


@app.command()
def simulate(
    source: Annotated[Path, typer.Argument(help="A folder of NAME.png with NAME_mask.png, or a pack.")],
    label: Annotated[str, typer.Option(help="The structure to segment.")],
    images: Annotated[int, typer.Option(min=1)] = 16,
    annotators: Annotated[int, typer.Option(min=1, max=64)] = 1,
    prompt: Kind = Kind.CLICK,
    target: Annotated[float, typer.Option(min=0, max=1, help="Dice at which an image is accepted.")] = 0.9,
    max_interactions: Annotated[int, typer.Option(min=0)] = 20,
    context: Annotated[bool, typer.Option(help="Condition the network on the accepted masks.")] = True,
    model: str | None = None,
    seed: int = 0,
    out: Path = Path("simulation"),
    url: Annotated[str | None, typer.Option(help="A running service; none starts one.")] = None,
    token: Annotated[list[str] | None, typer.Option(help="One per annotator, with --url.")] = None,
) -> None:
    """Have simulated annotators annotate a dataset over HTTP, and show interactions per image."""
    from rich.console import Console

    from commands.simulate import Plan
    from commands.simulate import simulate as run

    with _told():
        run(
            source,
            label,
            Plan(prompt.value, target, max_interactions, seed),
            images=images,
            annotators=annotators,
            use_context=context,
            model=model,
            service=(url, token or []) if url else None,
            out=out,
            console=Console(),
        )


@app.command()
def evaluate(
    packs: Annotated[list[Path], typer.Argument(help="Packs, folders of packs, or of files with masks.")],
    table: Annotated[Tables, typer.Option(help="What to measure; each takes minutes.")] = Tables.MAIN,
    label: Annotated[str | None, typer.Option(help="Only this label of each pack.")] = None,
    images: Annotated[int, typer.Option(min=2)] = 16,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    prompt: Annotated[list[Kind] | None, typer.Option(help="Repeatable; none: click and scribble.")] = None,
    target: Annotated[float, typer.Option(min=0, max=1)] = 0.9,
    budget: Annotated[int, typer.Option(min=1)] = 20,
    commit: Annotated[Commit, typer.Option(help="The mask that joins the context.")] = Commit.PREDICTION,
    model: str = "memory-v1",
    weights: Annotated[Path | None, typer.Option(help="Instead of those that ship.")] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Other weights, beside them in ablation.")
    ] = None,
    device: str = "cpu",
    json: Annotated[Path | None, typer.Option(help="Write everything measured here.")] = None,
) -> None:
    """Measure interactions per image without the service, with and without context."""
    from commands import evaluate as run
    from models.evaluate import Protocol
    from models.registry import load

    with _told():
        predictor = load(model, device=device, weights=weights)
        plan = run.Plan(
            predictor,
            run.read_tasks(packs, label),
            Protocol(images, target=target, budget=budget, commit=commit.value),
            [kind.value for kind in prompt or (Kind.CLICK, Kind.SCRIBBLE)],
            seeds,
            against={str(path): load(model, device=device, weights=path) for path in against or []},
        )
        tables = list(run.TABLES) if table is Tables.ALL else [table.value]
        measured = f"{model}, weights {predictor.weights_sha256}"
        run.evaluate(plan, tables, run.wide_console(), model=measured, report=json)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Checkpoint, weights and log; a run there is resumed.")],
    minutes: Annotated[float, typer.Option(min=0, help="In all, earlier runs in --out included.")] = 120,
    packs: Annotated[Path | None, typer.Option(help="A folder of packs; none: synthetic tasks only.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A pack to leave out.")] = None,
    start: Annotated[Path | None, typer.Option(help="Weights to begin with; none: from nothing.")] = None,
    device: str = "cpu",
    processes: Annotated[int, typer.Option(min=1, help="That learn together, on a CPU: one per core.")] = 1,
    seed: int = 0,
) -> None:
    """Train the default network."""
    from models.train import Recipe
    from models.train import train as run

    with _told():
        weights = run(
            out,
            minutes=minutes,
            packs=packs,
            exclude=tuple(exclude or ()),
            start=start,
            recipe=Recipe(seed=seed),
            device=device,
            processes=processes,
        )
        typer.echo(f"Weights: {weights}")


@contextmanager
def _counting() -> Iterator[Callable[[str, int], None]]:
    """A line on the terminal that says how far it is; none where nobody looks."""
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda what, count: status.update(f"{what}: {count}")


def _installation(**options: Any) -> "Settings":
    """The settings, by the options that were given and else by the environment.

    Whatever the command writes from then on is for its owner alone.
    """
    from service.settings import Settings

    os.umask(0o077)
    return Settings(**{name: value for name, value in options.items() if value is not None})


if __name__ == "__main__":
    app()
