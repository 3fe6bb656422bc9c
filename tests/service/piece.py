"""An annotation as the small model of the service has it."""

from dataclasses import dataclass, field

LIVE = ("open", "returned", "submitted")


@dataclass
class Piece:
    """An annotation as the model has it; steps by number, each with its parent."""

    id: int
    image: int
    state: str = "open"
    author: int | None = None
    submitter: int | None = None
    submitted_at: int = 0
    holder: int | None = None
    live: bool = False
    parents: dict[int, int] = field(default_factory=dict)
    makers: dict[int, int] = field(default_factory=dict)
    step: int = 0
    tip: int = 0
    final_steps: list[int] = field(default_factory=list)
    drafts: dict[int, int] = field(default_factory=dict)

    @property
    def workable(self) -> bool:
        return self.state in ("open", "returned")

    def add_step(self, who: int) -> None:
        n = len(self.parents) + 1
        self.parents[n], self.makers[n] = self.step, who
        self.step = self.tip = n

    def path(self, n: int) -> list[int]:
        return [*self.path(self.parents[n]), n] if n else []

    @property
    def following(self) -> int | None:
        upon = [n for n, parent in self.parents.items() if parent == self.step]
        return max([n for n in upon if n in self.path(self.tip)] or upon, default=None)

    def close(self, state: str) -> None:
        self.state, self.holder, self.live = state, None, False
        self.drafts.clear()

    def refusal(self, person: int) -> str | None:
        """Why somebody may not draw on it now."""
        if self.state not in LIVE or (self.state == "submitted" and self.holder != person):
            return "annotation_not_open"
        return self.lease_refusal(person)

    def lease_refusal(self, person: int) -> str | None:
        if self.holder is None:
            return "lease_expired"
        return None if self.holder == person else "lease_lost"
