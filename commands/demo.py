"""`accrue demo`: the service with a project in it, the first images annotated by a simulated person.

The images are made here, by the synthetic task generator with a fixed seed, and are CC0.
"""

from rich.console import Console
from rich.progress import track

from commands.samples import Sample, as_png
from commands.serve import Running, serve
from commands.simulate import Plan, annotate, truths_of
from models.synthetic import demo_task
from service.client import Accrue
from service.settings import Settings

PROJECT, LABEL = "Demo: synthetic cells", "cell"
IMAGES, ANNOTATED = 24, 12


def demo(settings: Settings, console: Console) -> None:
    """Runs until it is stopped; what an earlier run did is there already and is not done again."""

    def prepare_and_tell(running: Running) -> None:
        prepare(running.url, running.token, console)
        said = (
            f"Open   {running.url}/#token={running.token}",
            f"Token  {running.token}",
            "Ctrl-C stops it; the same command goes on from here.",
        )
        console.print(*said, sep="\n", highlight=False, soft_wrap=True)

    serve(settings, prepare_and_tell)


def prepare(url: str, token: str, console: Console) -> None:
    """The project with its images, and the first of them annotated."""
    samples = demo_samples()
    with Accrue(url, token, patience=120) as client:
        label_id, accepted = _project(client, samples)
        missing = ANNOTATED - accepted
        if missing <= 0:
            return
        truths = truths_of(samples)
        rows = annotate(client, label_id, truths, Plan())
        said = "A simulated annotator accepts the first images"
        for _, _row in zip(track(range(missing), said, console=console), rows, strict=False):
            pass


def _project(client: Accrue, samples: list[Sample]) -> tuple[int, int]:
    """The demo's label and how many of its images are accepted; made where it is missing."""
    known = {project["name"]: project for project in client.projects()}
    project_id = int(known[PROJECT]["id"]) if PROJECT in known else client.create_project(PROJECT)
    client.upload_images(project_id, [(sample.name, sample.data) for sample in samples])
    for label in known.get(PROJECT, {}).get("labels", ()):
        if label["name"] == LABEL:
            return int(label["id"]), int(label["accepted"])
    return client.add_label(project_id, LABEL), 0


def demo_samples() -> list[Sample]:
    """The demo's images and masks, the same every time."""
    images, masks = demo_task(IMAGES)
    return [
        Sample(f"cells_{i + 1:02d}.png", as_png(image), mask)
        for i, (image, mask) in enumerate(zip(images, masks, strict=True))
    ]
