"""Errors as RFC 9457 problem details, for whatever goes wrong in the HTTP server.

``type`` is always ``about:blank``; ``reason`` is a word for programs, from the hub's closed set where it has one. What
the caller sent is never repeated, since it may be personal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from domain.errors import (
    CommandRefused,
    DeliveryRefused,
    HubError,
    NotResolvable,
    Reason,
    SignatureRejected,
    Unavailable,
    Unreadable,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
_EXPECTED = {"uuid_parsing": "a UUID is expected here"}  # where pydantic's words repeat what was sent
_STATUSES: tuple[tuple[type[HubError], int], ...] = (
    (Unavailable, 503),
    (SignatureRejected, 401),
    (DeliveryRefused, 400),
    (NotResolvable, 404),
    (CommandRefused, 409),
    (Unreadable, 422),
)


class Fault(BaseModel):
    """One thing that is wrong with a request: ``where`` it stands and what is expected there."""

    where: str
    detail: str


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str = "about:blank"
    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str = Field(description="What went wrong and what to do, for a person.")
    instance: str | None = Field(default=None, description="The path that was asked for.")
    reason: str | None = Field(default=None, description="A word for programs.")
    errors: list[Fault] | None = Field(default=None, description="What is wrong with the request, part by part.")


_schema: dict[str, Any] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")  # Any: JSON
SCHEMAS: dict[str, Any] = {**_schema.pop("$defs"), "Problem": _schema}


class Refused(HTTPException):
    """An answer other than success. ``detail``: what went wrong and what to do; ``reason``: a word for programs."""

    def __init__(
        self, status: int, detail: str, reason: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.reason = reason


def answer(
    request: Request,
    status: int,
    detail: str,
    reason: str | None = None,
    errors: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as a response."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        reason=reason,
        errors=list(errors) or None,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def status_of(error: HubError) -> int:
    """The HTTP status that says what this error says."""
    if error.reason is Reason.TOO_LARGE:
        return 413
    if error.reason is Reason.UNKNOWN_ACCOUNT:
        return 404
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason = error.reason if isinstance(error, Refused) else None
    detail = error.detail
    if error.status_code == 404 and not isinstance(error, Refused):
        detail = "there is nothing at this path; /openapi.json lists what there is"
    return answer(request, error.status_code, detail, reason, headers=error.headers)


async def _hub_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HubError)
    status = status_of(error)
    if status >= 500:
        log.warning("request failed", reason=error.reason.value, detail=error.detail, where=error.where)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.retryable else {}
    # What stands in brackets is the cause as the driver tells it: it may name hosts, and is for the log.
    detail = f"{error.detail.partition(' (')[0]}; try again in a moment" if error.retryable else error.detail
    return answer(request, status, detail, error.reason.value, headers=headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [
        Fault(where=".".join(map(str, each["loc"])), detail=_EXPECTED.get(each["type"], each["msg"]))
        for each in error.errors()
    ]
    return answer(request, 422, "the request has parts that can't be used; see errors", Reason.NOT_VALID.value, faults)


async def unexpected(request: Request, error: Exception) -> JSONResponse:
    """The answer to what nobody foresaw, which the log gets with its traceback."""
    log.error("unexpected error", path=request.url.path, exc_info=error)
    return answer(request, 500, "the server made a mistake; its log has the details")


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(HubError, _hub_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, unexpected)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:  # Any: a piece of OpenAPI
    """The ``responses`` of an operation for OpenAPI: problems with these statuses, and those any may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in (*statuses, 401, 422, 503)
    }
