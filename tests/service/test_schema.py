"""Every operation against the API's description of itself: with what fits it, and with what does not."""

from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)

from tests.service.conftest import Alone
from tests.service.hands import take_next
from tests.service.test_permissions import Ended, rows_of

EXAMPLES = 4
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    ignored_auth,
]


Operation = APIOperation[Any, Any, Any, Any]


@dataclass(frozen=True)
class Asker:
    """Somebody who asks for everything: with these headers, about things that are there or made up."""

    headers: dict[str, str]
    there: dict[str, int]

    def complaints(self, operation: Operation) -> list[str]:
        """What is wrong with the answers to one operation."""
        named = {name: self.there[name] for name in self.there if f"{{{name}}}" in operation.path}
        found = []
        for mode in GenerationMode:

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode, path_parameters=named or None))
            def ask(case: Case) -> None:
                case.call_and_validate(headers=self.headers, checks=CHECKS)

            try:
                ask()
            except Unsatisfiable:  # nothing about it can be wrong
                continue
            except (Failure, FailureGroup) as failure:
                found.append(f"{operation.label}, {mode.value}: {failure}")
        return found


@pytest.fixture
def operations(alone: Alone) -> list[Operation]:
    app = alone.api.app  # type: ignore[attr-defined]
    app.state.events = Ended()
    found = schemathesis.openapi.from_asgi("/api/openapi.json", app).get_all_operations()
    # What takes things away comes last: there would be nothing left to ask the others about.
    return sorted((each.ok() for each in found), key=lambda each: each.method.upper() == "DELETE")


def rows_and_lease(alone: Alone) -> tuple[dict[str, int], dict[str, str]]:
    """One of each thing that a path can name, the annotation among them in the admin's hands."""
    there = rows_of(alone)
    hand = take_next(alone, alone.api, there["label_id"])
    hand.draw()
    return there | {"annotation_id": hand.id}, hand.lease


@pytest.mark.parametrize("known", ["what is there", "what is made up"])
def test_the_admin_gets_what_the_description_promises(
    alone: Alone, operations: list[Operation], known: str
) -> None:
    there, lease = rows_and_lease(alone) if known == "what is there" else ({}, {})
    asker = Asker({"Authorization": alone.api.headers["Authorization"], **lease}, there)
    assert [each for operation in operations for each in asker.complaints(operation)] == []


def test_a_stranger_gets_what_the_description_promises(alone: Alone, operations: list[Operation]) -> None:
    asker = Asker({}, rows_of(alone))
    assert [each for operation in operations for each in asker.complaints(operation)] == []
