"""The API against its own description: whatever is asked, the answer is one that the OpenAPI document promises."""

from __future__ import annotations

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.serving import TOKEN, serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STREAM = "/v1/customers/{id}/timeline/live"


async def test_every_answer_is_one_that_the_description_promises(dsn: str) -> None:
    async with serving(dsn) as served:
        document = (await served.http.get("/openapi.json")).json()
        asked = await asyncio.to_thread(_ask_everything, document, served.url)
    assert asked >= 6, "the description names the routes for reading"


def _ask_everything(document: dict[str, object], url: str) -> int:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = url
    asked = 0
    for found in schema.get_all_operations():
        if not isinstance(found, Ok):
            raise AssertionError(f"the description is broken: {found.err()}")
        operation = found.ok()
        if operation.path == STREAM or operation.method.upper() != "GET":
            continue  # a live stream does not end, and has its own tests; the doors have theirs
        asked += 1

        @settings(
            max_examples=15,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)

        check()
    return asked
