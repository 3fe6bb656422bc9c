"""The service against a small model of itself: people and time do anything, in any order."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, select, update

from service.clock import now
from service.context.queries import pairs
from service.db import reading, unit_of_work
from service.queue.queries import live
from service.tables import Annotation, ContextEntry, Draft, Interaction, Label, Lease, Role, Submission
from tests.factories import CLICK, a_project, told
from tests.service.conftest import Alone
from tests.service.hands import change_settings
from tests.service.people import a_member
from tests.service.piece import LIVE, Piece

PEOPLE, IMAGES, OVERLAP = 3, 2, 2
DONE = "done"
NOTHING_LEFT = "nothing left"
ALL = IMAGES * OVERLAP

# Anybody and any annotation; but mostly one that the rule is about, by whoever holds it.
WHO = st.integers(0, 4 * PEOPLE - 1)
WHICH = st.integers(0, 4 * ALL - 1)


class Team(RuleBasedStateMachine):
    """Three people who annotate and review each other, two for every image."""

    def __init__(self, alone: Alone) -> None:
        super().__init__()
        self.alone = alone
        project = a_project(alone.api, images=IMAGES)
        change_settings(alone, project.id, overlap=OVERLAP, review_every=1)
        self.label_id = project.label_id
        with unit_of_work(alone.sessions) as session:
            again = [
                {"label_id": self.label_id, "image_id": image, "position": image, "replica": replica}
                for image in project.image_ids
                for replica in range(1, OVERLAP)
            ]
            session.execute(insert(Annotation), again)
        with reading(alone.sessions) as session:
            of_label = select(Annotation).where(Annotation.label_id == self.label_id)
            rows = session.scalars(of_label.order_by(Annotation.position, Annotation.id)).all()
        self.pieces = [Piece(row.id, row.image_id) for row in rows]
        self.people: list[httpx.Client] = [a_member(alone, project.id, Role.REVIEWER) for _ in range(PEOPLE)]
        self.ids = [int(told(person.get("/me"))["id"]) for person in self.people]
        self.tokens: dict[tuple[int, int], str] = {}
        self.seen: dict[int, tuple[int, int, tuple[Any, ...]]] = {}
        self.clock = 0

    # ---- what is sent, and what is expected to come of it

    def post(self, who: int, piece: Piece, action: str, body: Any = None, method: str = "POST") -> str:
        path = f"/annotations/{piece.id}"
        version = told(self.alone.api.get(path))["version"]
        token = self.tokens.get((who, piece.id), "none")
        headers = {"If-Match": f'"{version}"', "Lease-Token": token}
        answer = self.people[who].request(method, f"{path}/{action}", json=body, headers=headers)
        self.do_jobs()
        return outcome(answer)

    def take(self, who: int, path: str, expected: Piece | str) -> bool:
        """Ask for an annotation; whether the one that is expected came, and not what refuses it."""
        answer = self.people[who].post(path)
        self.do_jobs()
        if isinstance(expected, str):
            assert outcome(answer) == expected
            return False
        given = told(answer)
        assert given["annotation"]["id"] == expected.id
        assert (given["draft"] is not None) == (who in expected.drafts)
        self.tokens[who, expected.id] = given["lease"]["token"]
        expected.holder, expected.live = who, True
        return True

    def do_jobs(self) -> None:
        self.alone.work()
        self.alone.jobs.sent.clear()

    def choose(self, who: int, which: int, *states: str) -> tuple[int, Piece]:
        """Somebody and an annotation: mostly one in these states that somebody holds, and its holder."""
        likely = self.somebody_holds(*states) or self.some(*states)
        piece = likely[which % len(likely)] if likely and which >= ALL else self.pieces[which % ALL]
        return (piece.holder if piece.holder is not None and who >= PEOPLE else who % PEOPLE), piece

    def some(self, *states: str) -> list[Piece]:
        return [each for each in self.pieces if each.state in states]

    def somebody_holds(self, *states: str) -> list[Piece]:
        return [each for each in self.some(*states) if each.holder is not None]

    def has_another(self, who: int, piece: Piece) -> bool:
        others = (each for each in self.pieces if each.image == piece.image and each is not piece)
        return any(other.author == who for other in others)

    # ---- what people do

    @rule(who=st.integers(0, PEOPLE - 1))
    def ask_for_the_next(self, who: int) -> None:
        turns = [
            *(each for each in self.pieces if each.workable and each.live and each.holder == who),
            *sorted(
                (e for e in self.pieces if e.state == "returned" and not e.live and e.author == who),
                key=lambda each: each.id,
            ),
            *(
                each
                for each in self.pieces
                if each.state == "open" and not each.live and not self.has_another(who, each)
            ),
        ]
        turn = turns[0] if turns else NOTHING_LEFT
        if self.take(who, f"/labels/{self.label_id}/next", turn):
            turns[0].author = who

    @rule(who=WHO, which=WHICH)
    def open_this_very_one(self, who: int, which: int) -> None:
        who, piece = self.choose(who, which, "open", "returned")
        expected: Piece | str = piece
        if not piece.workable:
            expected = "annotation_not_open"
        elif (
            (piece.state == "returned" and piece.author != who)
            or (piece.live and piece.holder != who)
            or self.has_another(who, piece)
        ):
            expected = "annotation_not_free"
        if self.take(who, f"/annotations/{piece.id}/open", expected):
            piece.author = who

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(
        who=WHO,
        which=WHICH,
        how=st.sampled_from(["draw", "paint"]),
    )
    def draw(self, who: int, which: int, how: str) -> None:
        who, piece = self.choose(who, which, *LIVE)
        paint = {"kind": "fill_holes", "step": piece.step}
        action, body = ("interactions", {"prompts": [CLICK]}) if how == "draw" else ("edits", paint)
        expected = piece.refusal(who) or DONE
        assert self.post(who, piece, action, body) == expected
        if expected == DONE:
            piece.add_step(who)
            piece.live = True

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(
        who=WHO,
        which=WHICH,
        action=st.sampled_from(["undo", "redo"]),
    )
    def undo_or_redo(self, who: int, which: int, action: str) -> None:
        who, piece = self.choose(who, which, *LIVE)
        leads_to = piece.parents.get(piece.step) if action == "undo" else piece.following
        expected = piece.refusal(who) or (DONE if leads_to is not None else "nothing_to_undo")
        assert self.post(who, piece, action) == expected
        if expected == DONE:
            assert leads_to is not None
            piece.step, piece.live = leads_to, True

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(who=WHO, which=WHICH, size=st.integers(0, 3))
    def save_a_draft(self, who: int, which: int, size: int) -> None:
        who, piece = self.choose(who, which, *LIVE)
        expected = piece.refusal(who) or DONE
        assert self.post(who, piece, "draft", {"prompts": [CLICK] * size}, "PUT") == expected
        if expected == DONE:
            piece.drafts[who], piece.live = size, True

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(
        who=WHO,
        which=WHICH,
        action=st.sampled_from(["submit", "submit", "skip"]),
    )
    def submit_or_skip(self, who: int, which: int, action: str) -> None:
        who, piece = self.choose(who, which, "open", "returned")
        expected = piece.refusal(who) or (DONE if piece.workable else "annotation_not_open")
        body = {"reason": "blurred"} if action == "skip" else None
        assert self.post(who, piece, action, body) == expected
        if expected != DONE:
            return
        if action == "submit":
            self.clock += 1
            piece.submitter, piece.submitted_at = who, self.clock
            piece.final_steps.append(piece.step)
        piece.close("submitted" if action == "submit" else "skipped")

    @precondition(lambda self: self.some("submitted"))
    @rule(who=st.integers(0, PEOPLE - 1))
    def ask_for_a_review(self, who: int) -> None:
        waiting = [each for each in self.pieces if each.state == "submitted"]
        held = [each for each in waiting if each.live and each.holder == who]
        free = [each for each in waiting if not each.live and each.submitter != who]
        turns = held or sorted(free, key=lambda each: each.submitted_at)
        if turns and turns[0].holder != who and turns[0].makers.get(turns[0].step) != who:
            turns[0].step = turns[0].final_steps[-1]
        self.take(who, f"/labels/{self.label_id}/review/next", turns[0] if turns else NOTHING_LEFT)

    @precondition(lambda self: self.somebody_holds("submitted"))
    @rule(
        who=WHO,
        which=WHICH,
        action=st.sampled_from(["accept", "return"]),
    )
    def decide(self, who: int, which: int, action: str) -> None:
        who, piece = self.choose(who, which, "submitted")
        expected = piece.refusal(who) or (DONE if piece.state == "submitted" else "annotation_not_open")
        body = {"reason": "too small"} if action == "return" else None
        assert self.post(who, piece, action, body) == expected
        if expected != DONE:
            return
        if action == "return":
            piece.step = piece.tip = piece.final_steps[-1]
        elif piece.step != piece.final_steps[-1]:
            piece.final_steps.append(piece.step)
        piece.close("accepted" if action == "accept" else "returned")

    @precondition(lambda self: self.some("submitted"))
    @rule(who=WHO, which=WHICH)
    def take_back(self, who: int, which: int) -> None:
        _, piece = self.choose(who, which, "submitted")
        who = who % PEOPLE if who < PEOPLE or piece.submitter is None else piece.submitter
        expected = DONE
        if piece.state != "submitted" or piece.submitter != who:
            expected = DONE if piece.state == "accepted" else "annotation_not_accepted"
        elif piece.live and piece.holder != who:
            expected = "annotation_not_free"
        assert self.post(who, piece, "withdraw", {"reason": "too soon"}) == expected
        if expected == DONE:
            piece.close("returned")
            piece.step = piece.tip = piece.final_steps[-1]

    @precondition(lambda self: self.some("accepted", "skipped"))
    @rule(
        who=WHO,
        which=WHICH,
        action=st.sampled_from(["reopen", "withdraw"]),
    )
    def take_up_again(self, who: int, which: int, action: str) -> None:
        ended, otherwise = {
            "reopen": ("skipped", "annotation_not_open"),
            "withdraw": ("accepted", "annotation_not_accepted"),
        }[action]
        who, piece = self.choose(who, which, ended)
        expected = DONE if piece.state == ended else otherwise
        if action == "withdraw" and piece.state == "submitted" and piece.submitter == who:
            return  # that is to take it back
        body = {"reason": "wrong side"} if action == "withdraw" else None
        assert self.post(who, piece, action, body) == expected
        if expected == DONE:
            piece.close("open" if action == "reopen" else "returned")
            if action == "withdraw":
                piece.step = piece.tip = piece.final_steps[-1]

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(
        who=WHO,
        which=WHICH,
        action=st.sampled_from(["heartbeat", "release"]),
    )
    def live_on_or_let_go(self, who: int, which: int, action: str) -> None:
        who, piece = self.choose(who, which, *LIVE)
        expected = piece.lease_refusal(who) or DONE
        assert self.post(who, piece, action) == expected
        if expected == DONE:
            piece.holder, piece.live = (who, True) if action == "heartbeat" else (None, False)

    # ---- what happens to them

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(which=WHICH, clock=st.sampled_from(["expires_at", "idle_at"]))
    def a_lease_ends(self, which: int, clock: str) -> None:
        _, piece = self.choose(0, which, *LIVE)
        with unit_of_work(self.alone.sessions) as session:
            ended = {clock: now() - timedelta(seconds=1)}
            session.execute(update(Lease).where(Lease.annotation_id == piece.id).values(**ended))
        piece.live = False

    @precondition(lambda self: self.somebody_holds(*LIVE))
    @rule(which=WHICH)
    def a_manager_takes_it_back(self, which: int) -> None:
        _, piece = self.choose(0, which, *LIVE)
        assert self.alone.api.post(f"/annotations/{piece.id}/revoke").status_code == 204
        piece.holder, piece.live = None, False

    # ---- what is true at all times

    @invariant()
    def every_annotation_is_where_it_should_be(self) -> None:
        with reading(self.alone.sessions) as session:
            for piece in self.pieces:
                row = session.get_one(Annotation, piece.id)
                author = None if piece.author is None else self.ids[piece.author]
                assert (row.state, row.step, row.author_id) == (piece.state, piece.step, author)
                before = self.seen.get(piece.id, (0, 0, ()))
                visible = (piece.state, piece.step, len(piece.parents), len(piece.final_steps))
                assert row.version > before[0] or (row.version == before[0] and visible == before[2])
                assert row.fence >= before[1]
                self.seen[piece.id] = (row.version, row.fence, visible)

    @invariant()
    def nobody_holds_what_somebody_else_holds(self) -> None:
        with reading(self.alone.sessions) as session:
            held = select(Lease.annotation_id, Lease.user_id, live(now()).label("live"))
            found = session.execute(held.where(Lease.annotation_id.in_(self.of_pieces()))).all()
        leases = {row.annotation_id: (row.user_id, bool(row.live)) for row in found}
        assert leases == {
            each.id: (self.ids[each.holder], each.live) for each in self.pieces if each.holder is not None
        }

    @invariant()
    def nothing_that_was_drawn_is_lost(self) -> None:
        with reading(self.alone.sessions) as session:

            def rows(kind: Any, *columns: Any) -> list[tuple[Any, ...]]:
                found = select(kind.annotation_id, *columns).where(kind.annotation_id.in_(self.of_pieces()))
                return sorted(tuple(row) for row in session.execute(found))

            assert rows(Interaction, Interaction.n, Interaction.parent) == self.all_of(
                lambda each: each.parents.items()
            )
            submitted = select(Submission.annotation_id, Submission.step).order_by(Submission.id)
            finals = session.execute(submitted.where(Submission.annotation_id.in_(self.of_pieces()))).all()
            drafts = [
                (row[0], self.ids.index(row[1]), len(row[2]))
                for row in rows(Draft, Draft.user_id, Draft.prompts)
            ]
        assert drafts == self.all_of(lambda each: each.drafts.items())
        for each in self.pieces:
            assert [step for annotation, step in finals if annotation == each.id] == each.final_steps

    @invariant()
    def the_context_is_what_is_accepted_of_each_image_one(self) -> None:
        with reading(self.alone.sessions) as session:
            label = session.get_one(Label, self.label_id)
            shown = [pair.entry_id for pair in pairs(session, label.id, label.context_version)]
            entries = session.scalars(select(ContextEntry).where(ContextEntry.id.in_(shown))).all()
        accepted = [each for each in self.pieces if each.state == "accepted"]
        assert {entry.annotation_id for entry in entries} <= {each.id for each in accepted}
        assert sorted(entry.image_id for entry in entries) == sorted({each.image for each in accepted})

    def of_pieces(self) -> list[int]:
        return [each.id for each in self.pieces]

    def all_of(self, get: Callable[[Piece], Iterable[tuple[int, int]]]) -> list[tuple[int, int, int]]:
        return sorted((each.id, *one) for each in self.pieces for one in get(each))


def outcome(answer: httpx.Response) -> str:
    if answer.status_code == 204 and answer.request.url.path.endswith("/next"):
        return NOTHING_LEFT
    return DONE if answer.is_success else str(answer.json().get("code"))


def test_a_team_does_anything_in_any_order(alone: Alone) -> None:
    run_state_machine_as_test(
        lambda: Team(alone),
        settings=settings(
            max_examples=20,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
