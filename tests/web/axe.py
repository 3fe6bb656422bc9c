"""What axe finds on a page: faults that keep people out, by the rules of WCAG 2.2 AA and good practice."""

import json
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def faults(page: Page) -> list[tuple[str, str]]:
    """What axe finds on the page as it is: the rule, and the first place that breaks it."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(f"axe.run({{runOnly: {json.dumps(RULES)}}})")["violations"]
    return [(each["id"], each["nodes"][0]["html"]) for each in found]
