"""The ids of rows, as callers may name them; another number is refused before a database sees it."""

from typing import Annotated

from pydantic import Field

LARGEST_ID = 2**31 - 1

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
# Where a page of a listing begins: behind this id; 0 is the first page.
After = Annotated[int, Field(ge=0, le=LARGEST_ID)]
