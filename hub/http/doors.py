"""The HTTP doors: vendors' webhooks, and CloudEvents from anybody who holds the API token.

A door answers "accepted" only when the events are durable. Who can't prove who he is gets 401, and nothing is kept; a
body that can't be read is kept as a dead letter and answered with what stops that vendor's retries; without Kafka it is
503, so that the vendor delivers again. Reading and checking are the adapters' work.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.cloudevents.receive import CloudEvents, EventsRefused
from adapters.contract import INLINE_LIMIT, Account, Adapter, BlobStore, Delivery, Publisher
from domain.errors import DeliveryRefused, HubError, Reason, SignatureRejected, Unavailable, Unreadable
from hub.http.problems import Fault, answer, described, unexpected
from runtime import metrics
from runtime.clock import Clock
from runtime.publisher import RecordRefused
from runtime.settings import Settings
from schemas.records import InteractionReceived

_log = logging.getLogger(__name__)
_RETRY_AFTER = "5"  # seconds
_LONGEST_WAIT = 30.0  # seconds of Prefer: wait
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})")
_MOST = 100  # faults listed; a batch of thousands of faults has mostly one cause
AwaitVisible = Callable[[Sequence[str], float], Awaitable[bool]]


class HttpAdapter(Adapter, Protocol):
    """An adapter whose deliveries come by HTTP. ``unreadable_status`` stops its sender's retries of what is broken."""

    unreadable_status: int

    def challenge(self, delivery: Delivery, account: Account) -> str | None:
        """The text that answers a sender's check of the address (a GET), or None where it makes none."""
        ...


class _Accepted(msgspec.Struct):
    ids: list[str]


class _Refused(Exception):
    """A delivery that goes no further. ``outcome`` is the metric's label, ``status`` what the sender gets."""

    def __init__(
        self,
        outcome: str,
        status: int,
        detail: str,
        reason: Reason | None,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self._status = status
        self._detail = detail
        self._reason = reason
        self._faults = faults
        self._headers = headers

    def response(self, request: Request, adapter: str) -> Response:
        """The answer; counts the delivery as well."""
        metrics.deliveries_received.labels(adapter, self.outcome).inc()
        if self._status < 400:  # what stops the retries of a sender who takes any error for a reason to repeat
            return _json({"detail": self._detail}, self._status)
        return answer(
            request, self._status, self._detail, self._reason and self._reason.value, self._faults, self._headers
        )


def doors(
    adapters: Mapping[str, HttpAdapter],
    accounts: Mapping[str, Sequence[Account]],
    publisher: Publisher,
    blobs: BlobStore,
    clock: Clock,
    settings: Settings,
    await_visible: AwaitVisible | None = None,
) -> APIRouter:
    """The routes. ``accounts``: by adapter name. ``await_visible(ids, seconds)``: whether the read model has them."""
    router = APIRouter(tags=["doors"])
    known = {(name, account.name): account for name, many in accounts.items() for account in many}
    events_adapter: HttpAdapter = CloudEvents()
    events_account = Account(tenant=settings.tenant, name="events", secret=settings.api_token)

    def find(adapter: str, account: str) -> tuple[HttpAdapter, Account]:
        found = known.get((adapter, account))
        if adapter not in adapters or found is None:
            detail = "there is no such adapter or account; accounts are named in the file of HUB_ACCOUNTS"
            raise _Refused("unknown_account", 404, detail, Reason.UNKNOWN_ACCOUNT)
        return adapters[adapter], found

    async def receive(adapter: HttpAdapter, account: Account, request: Request) -> list[InteractionReceived]:
        """Take a delivery in: returns its events once they are durable, raises ``_Refused`` otherwise."""
        delivery = await _delivery(request, clock, settings.body_limit)
        try:
            adapter.verify(delivery, account)
            events = await read(adapter, account, delivery)
            await publisher.publish(events)
        except SignatureRejected as error:
            raise _stranger(error) from error
        except EventsRefused as error:
            faults = [Fault(where=fault.pointer, detail=fault.detail) for fault in error.faults[:_MOST]]
            detail = f"{len(error.faults)} fault(s), so that none of the events was stored; correct and send all again"
            raise _Refused("refused", 422, detail, error.reason, faults) from error
        except DeliveryRefused as error:
            raise _Refused("refused", 422, str(error), error.reason) from error
        except (Unavailable, OSError) as error:
            raise _unavailable(error) from error
        except Unreadable as error:
            raise await bury(adapter, account, delivery, error.reason, str(error)) from error
        except RecordRefused as error:
            raise await bury(adapter, account, delivery, Reason(error.reason), str(error)) from error
        metrics.events_published.labels(adapter.name).inc(len(events))
        return events

    async def read(adapter: HttpAdapter, account: Account, delivery: Delivery) -> list[InteractionReceived]:
        """What the adapter makes of a delivery. A large one takes time and may wait for a disk: it gets a thread."""
        try:
            if len(delivery.body) > INLINE_LIMIT:
                return await asyncio.to_thread(adapter.read, delivery, account, blobs)
            return adapter.read(delivery, account, blobs)
        except (HubError, OSError):
            raise
        except Exception as error:
            # A fault of ours must not lose what a sender delivers for a limited time only: keep it.
            _log.exception("the adapter %s failed on a delivery to %s", adapter.name, account.name)
            raise Unreadable(
                Reason.NOT_VALID, f"the adapter failed with {type(error).__name__}; see the log"
            ) from error

    async def bury(adapter: HttpAdapter, account: Account, delivery: Delivery, reason: Reason, detail: str) -> _Refused:
        """Keep the delivery as a dead letter, and say so in a way that stops the sender's retries."""
        try:
            letter = await publisher.dead_letter(f"{adapter.name}/{account.name}", reason, detail, delivery.body)
        except (Unavailable, OSError) as error:
            return _unavailable(error)
        return _Refused("unreadable", adapter.unreadable_status, f"kept as dead letter {letter}: {detail}", reason)

    @router.post(
        "/v1/channels/{adapter}/{account}",
        summary="Take a vendor's delivery.",
        response_class=Response,
        responses=described(404, 413),
    )
    async def deliver(adapter: str, account: str, request: Request) -> Response:
        """Events of a channel account, in its vendor's own form and authenticated in its vendor's own way."""
        label = adapter if adapter in adapters else "unknown"
        try:
            found, owner = find(adapter, account)
            events = await receive(found, owner, request)
        except _Refused as refused:
            return refused.response(request, label)
        metrics.deliveries_received.labels(label, "accepted").inc()
        return _json(_Accepted([event.id for event in events]), 200)

    @router.get(
        "/v1/channels/{adapter}/{account}",
        summary="Answer a vendor's check of the address.",
        response_class=Response,
        responses=described(404, 405),
    )
    async def check(adapter: str, account: str, request: Request) -> Response:
        """The challenge by which a vendor finds out that this address is ours."""
        delivery = Delivery(
            body=b"", received_at=clock.now(), headers=dict(request.headers), query=dict(request.query_params)
        )
        try:
            found, owner = find(adapter, account)
            echo = found.challenge(delivery, owner)
        except SignatureRejected as error:
            return _stranger(error).response(request, adapter)
        except _Refused as refused:
            return refused.response(request, adapter if adapter in adapters else "unknown")
        if echo is None:
            return answer(request, 405, "this channel checks no address; deliver by POST", headers={"Allow": "POST"})
        return Response(echo, media_type="text/plain")

    @router.post(
        "/v1/events",
        status_code=202,
        summary="Take CloudEvents: one or a batch.",
        response_class=Response,
        responses=described(400, 413),
    )
    async def take(request: Request) -> Response:
        """Events in the hub's own words, as CloudEvents in structured, batch or binary mode. All or none are taken."""
        try:
            events = await receive(events_adapter, events_account, request)
        except _Refused as refused:
            return refused.response(request, events_adapter.name)
        metrics.deliveries_received.labels(events_adapter.name, "accepted").inc()
        ids = [event.id for event in events]
        seconds = _preferred_wait(request)
        if await_visible is not None and seconds and await await_visible(ids, seconds):
            return _json(_Accepted(ids), 200, {"Preference-Applied": f"wait={seconds:g}"})
        return _json(_Accepted(ids), 202)

    return router


class Doorway:
    """ASGI middleware that brings a delivery (a POST) straight to its door in ``doors``; others go on to ``app``.

    FastAPI's own way there took more than half of a single event's CPU time, for what a door doesn't use: its arguments
    are in the path, its answers are made, and it tells its own errors. A route with dependencies goes that way still.
    """

    def __init__(self, app: ASGIApp, doors: APIRouter) -> None:
        self._app = app
        routes = (each for each in doors.routes if isinstance(each, APIRoute) and not each.dependencies)
        self._doors = [each for each in routes if "POST" in (each.methods or ())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            for door in self._doors:
                if found := door.path_regex.match(scope["path"]):
                    await self._answer(door, found.groupdict(), Request(scope, receive), send)
                    return
        await self._app(scope, receive, send)

    async def _answer(self, door: APIRoute, named: dict[str, str], request: Request, send: Send) -> None:
        response: Response
        try:
            response = await door.endpoint(**named, request=request)
        except Exception as error:
            # What no door foresaw is answered and logged as it is for any other path.
            response = await unexpected(request, error)
        await response(request.scope, request.receive, send)


async def _delivery(request: Request, clock: Clock, limit: int) -> Delivery:
    """What arrived, read up to ``limit`` bytes and no further."""
    headers = dict(request.headers)
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except ClientDisconnect as error:
        detail = "the connection ended before the body did; deliver again"
        raise _Refused("cut_off", 400, detail, Reason.CUT_OFF) from error
    except HTTPException as error:  # the server around us counts bytes as well
        raise _too_large(limit) from error
    return Delivery(
        body=bytes(body),
        received_at=clock.now(),
        headers=headers,
        query=dict(request.query_params),
        media_type=headers.get("content-type", "application/octet-stream"),
    )


def _too_large(limit: int) -> _Refused:
    detail = f"the body has more than {limit} bytes; split the batch, or raise HUB_BODY_LIMIT"
    return _Refused("too_large", 413, detail, Reason.TOO_LARGE, headers={"Connection": "close"})


def _stranger(error: SignatureRejected) -> _Refused:
    return _Refused("bad_signature", 401, str(error), error.reason, headers={"WWW-Authenticate": "Bearer"})


def _unavailable(error: Unavailable | OSError) -> _Refused:
    """Kafka or the disk for large payloads: the sender is to deliver again."""
    headers = {"Retry-After": _RETRY_AFTER}
    if isinstance(error, Unavailable):
        return _Refused("unavailable", 503, error.detail, error.reason, headers=headers)
    _log.error("a payload can't be stored in the folder of HUB_BLOBS: %s", error)
    return _Refused("unavailable", 503, "the payload can't be stored; deliver again later", None, headers=headers)


def _preferred_wait(request: Request) -> float:
    """Seconds of ``Prefer: wait=N`` (RFC 7240), at most 30; 0 when there is none."""
    match = _WAIT.search(request.headers.get("prefer", ""))
    return min(float(match[1]), _LONGEST_WAIT) if match else 0.0


def _json(body: object, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers=dict(headers) if headers else None,
    )
