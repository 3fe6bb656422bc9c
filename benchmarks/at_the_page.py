"""The same simulated annotator over HTTP and at the page: what the mouse and the page cost in interactions.

`python -m benchmarks.at_the_page [SOURCE LABEL]`: images with their truth as `accrue simulate` takes them; by
default the demo's, made here.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.apart import service_apart
from benchmarks.browser import Workplace, chromium
from commands.demo import demo_samples
from commands.samples import Sample, read_samples
from commands.simulate import Hands, Plan, Row, annotate, truths_of
from models.prompts import Prompt
from service.client import Accrue
from service.held import Held, seen

IMAGES = 8
PLAN = Plan(prompt="scribble")


@dataclass(frozen=True)
class AtThePage:
    """Draws with the mouse, and sees what the service has kept of it."""

    workplace: Workplace
    client: Accrue

    def next(self, label_id: int) -> Held | None:
        """The annotation that the page has opened; the first time it is opened here."""
        page = self.workplace.page
        with page.expect_response(lambda answer: answer.url.endswith("/next")) as answer:
            if "/annotate" in page.url:
                self.workplace.submit()
            else:
                self.workplace.open(label_id)
        if answer.value.status == 204:
            return None
        found = answer.value.json()
        self.workplace.ready()
        return seen(found["annotation"], found["lease"]["token"])

    def interact(self, held: Held, prompts: Sequence[Prompt]) -> Held:
        with self.workplace.noting("reply"):
            self.workplace.draw(prompts)
        self.workplace.saved()
        return self.client.refresh(held)

    def submit(self, held: Held) -> None:
        """The page submits and opens the next in one key: ``next`` presses it."""


def main() -> int:
    source = sys.argv[1:]
    samples = (read_samples(Path(source[0]), source[1]) if source else demo_samples())[:IMAGES]
    with service_apart() as service, chromium() as browser, Accrue(service.url, service.token) as client:
        workplace = Workplace.signed_in(browser, service.url, service.token)
        over_http = simulated(client, client, samples)
        at_the_page = simulated(AtThePage(workplace, client), client, samples)
    table = Table(title=f"interactions until Dice {PLAN.target}, with strokes")
    for column in ("image", "context", "over HTTP", "at the page", "Dice", "Dice"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for one, other in zip(over_http, at_the_page, strict=True):
        dice = (f"{each.final_dice:.2f}" for each in (one, other))
        table.add_row(one.image, str(other.context), str(one.interactions), str(other.interactions), *dice)
    Console().print(table)
    return 0


def simulated(hands: Hands, client: Accrue, samples: list[Sample]) -> list[Row]:
    """A new project with these images, annotated to its end."""
    project = client.create_project(f"by {type(hands).__name__}")
    client.upload_images(project, [(sample.name, sample.data) for sample in samples])
    truths = truths_of(samples)
    return list(annotate(hands, client.add_label(project, "object"), truths, PLAN))


if __name__ == "__main__":
    sys.exit(main())
