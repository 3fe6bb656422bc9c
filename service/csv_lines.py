"""Lines of CSV in which a spreadsheet takes text for text."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any

# What begins like this is a formula to one spreadsheet or another.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def line(cells: Iterable[Any]) -> str:
    """A line of these cells: text is never taken for a formula, and moments are in ISO 8601."""
    stream = io.StringIO()
    csv.writer(stream).writerow(_told(cell) for cell in cells)
    return stream.getvalue()


def _told(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.isoformat()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
