"""Wire shapes of people."""

from pydantic import BaseModel


class Me(BaseModel):
    id: int
    name: str
