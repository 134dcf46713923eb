"""Facts restated from another engine's suite on policies: which one is chosen, and which can be used.

There, policies are tried in the order of their names, and match on words of a title; here, in the order in which they
are written, and on values. What is asked is translated so: sorted by name, and a title as what the ticket is about.
"""

from __future__ import annotations

from typing import Any

import pytest

from domain.policies import Attributes
from domain.policy_checks import problems
from domain.policy_reading import read_bundle
from tests.shared import requires_shared, vectors

pytestmark = requires_shared

Vector = dict[str, Any]  # Its shape differs with its op.
SUITE = "zammad_escalation"
CONTAINS = "title contains "
ALWAYS = {"hours": {"mon": [["00:00", "24:00"]]}}
#: Their times for an answer and between updates are metrics of one clock; the hub's are two, each with its own.
METRICS = {"response_min": "next_response", "update_min": "periodic_update"}


def chosen(*ops: str) -> list[Any]:
    return [pytest.param(vector, id=vector["id"]) for vector in vectors(SUITE) if vector.get("op") in ops]


def bundle(policies: list[dict[str, Any]]) -> dict[str, Any]:
    base = {"calendar": "always", "targets": {"resolution": "1h"}}
    return {"calendars": {"always": ALWAYS}, "policies": [base | policy for policy in policies]}


def match(said: str | None, title: str) -> dict[str, str]:
    """A condition on words as one on the title that has them; one that it does not have is on another title."""
    if said is None:
        return {}
    assert said.startswith(CONTAINS), said
    words = said.removeprefix(CONTAINS)
    return {"about": title if words in title else words}


def test_there_are_vectors() -> None:
    assert len(chosen("select_policy")) >= 3
    assert len(chosen("validate_policy")) >= 2


@pytest.mark.parametrize("vector", chosen("select_policy"))
def test_the_first_policy_that_matches_is_chosen(vector: Vector) -> None:
    title = vector["ticket"]["title"]
    by_name = sorted(vector["policies"], key=lambda policy: str(policy["name"]))
    made = [{"name": policy["name"], "match": match(policy["match"], title)} for policy in by_name]
    policy = read_bundle(bundle(made), 1).policy_for(Attributes("t", "email", "normal", about=title))
    assert (policy.name if policy else None) == vector["expected"]


@pytest.mark.parametrize("vector", chosen("validate_policy"))
def test_a_policy_can_be_used(vector: Vector) -> None:
    promised = {METRICS[name]: f"{minutes}m" for name, minutes in vector["policy"].items() if minutes is not None}
    found = problems(bundle([{"name": "one", "targets": {"resolution": "1h", **promised}}]))
    if set(METRICS.values()) <= set(promised):
        # Refused there, since the two share a clock; here both can be promised at once.
        assert found == []
    else:
        assert (found == []) == vector["expected"]["valid"]
