"""The page's routes: sign in, find a customer, watch their history. All HTML comes from the templates, which escape all
values; the live stream carries the same pieces of HTML that the page is made of, so there is one way to show a thing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote
from uuid import UUID

import jinja2
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse, ServerSentEvent

from domain.errors import HubError
from hub.console import words
from hub.http import problems
from hub.http.backends import Backends, Here
from hub.http.live import follow
from hub.http.problems import Refused
from hub.http.reads import Watched, cursor_of, known, place_of, spellings, watched
from hub.http.security import COOKIE, SESSION_SECONDS, gate_of
from projections.customers import store as customers
from projections.postgres import reading
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from schemas.records import SlaVerdictIssued, TicketChanged

_ENTRIES = 50
_TICKETS = 100
_FORM_LIMIT = 8192

_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
for _word in (
    words.plain, words.channel, words.direction, words.clock_state, words.outcome, words.meaning, words.who,
    words.duration, words.due, words.exact, words.utc, words.size, words.link,
):  # fmt: skip
    _environment.filters[_word.__name__] = _word


class SignedOut(Exception):
    """Somebody without a session asks for a page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A ticket with the verdicts on it."""

    ticket: TicketChanged
    verdicts: list[SlaVerdictIssued]


def _html(template: str, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_environment.get_template(template).render(values), status)


class _Page(APIRoute):
    """A route whose errors are pages, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:  # Any: as FastAPI declares it
        answer = super().get_route_handler()

        async def answer_or_explain(request: Request) -> Response:
            try:
                return await answer(request)
            except SignedOut:
                wanted = request.url.path if request.method == "GET" else "/"
                return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)
            except Refused as error:
                return _html("error.html", error.status_code, title="That did not work", detail=error.detail)
            except RequestValidationError:
                return _html("error.html", 404, title="Not found", detail="There is no page at this address.")
            except HubError as error:
                detail = "The hub's database does not answer just now. Reload the page in a moment."
                page = _html("error.html", problems.status_of(error), title="Not available", detail=detail)
                page.headers["Retry-After"] = str(problems.RETRY_AFTER_SECONDS)
                return page

        return answer_or_explain


async def _signed_in(request: Request) -> None:
    if not gate_of(request).knows_session(request.cookies.get(COOKIE)):
        raise SignedOut


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _FORM_LIMIT:
            raise Refused(413, "The form is too large.", "too_large")
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


Form = Annotated[dict[str, str], Depends(_form)]


def _local(path: str) -> str:
    """A path on this server to go on to; anything else becomes the first page."""
    safe = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if safe else "/"


async def _shown(here: Backends, customer: str) -> list[Shown]:
    """The customer's tickets, those that need somebody first."""
    async with reading(here.pool) as connection:
        found = await tickets.page(connection, tickets.Filter(customer=customer), _TICKETS)
        judged = await verdicts.of_tickets(connection, [ticket.id for ticket in found])
    never = 1 << 63
    found.sort(key=lambda t: (t.status in ("resolved", "closed"), tickets.next_due(t.clocks) or never, -t.opened_at))
    return [Shown(ticket, [verdict for verdict in judged if verdict.ticket == ticket.id]) for ticket in found]


def _panel(shown: list[Shown], now: int) -> str:
    return _environment.get_template("tickets.html").render(shown=shown, now=now)


def router() -> APIRouter:
    """The page's routes."""
    everybody = APIRouter(route_class=_Page, include_in_schema=False)
    signed_in = APIRouter(route_class=_Page, include_in_schema=False, dependencies=[Depends(_signed_in)])

    @everybody.get("/login")
    async def show_login(next: str = "/") -> Response:
        return _html("login.html", next=_local(next), wrong=False)

    @everybody.post("/login")
    async def log_in(request: Request, form: Form) -> Response:
        gate = gate_of(request)
        onward = _local(form.get("next", "/"))
        if not gate.accepts(form.get("token", "").strip()):
            return _html("login.html", 401, next=onward, wrong=True)
        answer = RedirectResponse(onward, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, gate.open_session(), SESSION_SECONDS, httponly=True, samesite="strict", secure=secure, path="/"
        )
        return answer

    @everybody.post("/logout")
    async def log_out() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    @signed_in.get("/")
    async def show_start(here: Here) -> Response:
        async with reading(here.pool) as connection:
            found = await tickets.open_by_due(connection, _TICKETS)
        return _html("start.html", tickets=found, now=here.clock.now(), most=_TICKETS, asked=None, matches=None)

    # By POST: a phone number or mail address in a URL would stay in histories and logs.
    @signed_in.post("/search")
    async def search(here: Here, form: Form) -> Response:
        asked = form.get("contact", "").strip()[:320]
        async with reading(here.pool) as connection:
            matches = await customers.by_contact(connection, spellings(asked)) if asked else []
            if len({match.customer for match in matches}) == 1:
                return RedirectResponse(f"/customers/{matches[0].customer}", 303)
            found = await tickets.open_by_due(connection, _TICKETS)
        return _html("start.html", tickets=found, now=here.clock.now(), most=_TICKETS, asked=asked, matches=matches)

    @signed_in.get("/customers/{id}")
    async def show_customer(
        here: Here, id: UUID, cursor: Annotated[str | None, Query(max_length=64)] = None
    ) -> Response:
        place = place_of(cursor)
        after = timeline.Mark(*place) if place else None
        async with reading(here.pool) as connection:
            customer = await known(connection, id)
            points = await customers.contact_points(connection, customer.id)
            # The sequence first: what arrives between the two is then shown twice at most, and the page drops that.
            sequence = await timeline.last_sequence(connection, customer.id)
            entries = await timeline.page(connection, customer.id, _ENTRIES + 1, "desc", after)
        older = (
            cursor_of(entries[_ENTRIES - 1].occurred_at, entries[_ENTRIES - 1].id) if len(entries) > _ENTRIES else None
        )
        return _html(
            "customer.html",
            customer=customer,
            points=points,
            entries=entries[:_ENTRIES],
            older=older,
            live=after is None,
            sequence=sequence,
            panel=_panel(await _shown(here, customer.id), here.clock.now()),
            now=here.clock.now(),
        )

    @signed_in.get("/customers/{id}/live", response_class=EventSourceResponse)
    async def watch_customer(
        here: Here, wanted: Annotated[Watched, Depends(watched)]
    ) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(comment="watching", retry=2000)
        entry_html = _environment.get_template("entry.html")
        before: list[Shown] | None = None
        async for entries in follow(here.pool, here.signals, wanted.customer, wanted.after):
            for entry in entries:
                yield ServerSentEvent(raw_data=entry_html.render(entry=entry), event="entry", id=str(entry.sequence))
            try:
                shown = await _shown(here, wanted.customer)
            except HubError:
                continue  # the next signal brings it; follow() waits for the database
            if shown != before:
                before = shown
                now = here.clock.now()
                yield ServerSentEvent(raw_data=f"{now // 1000}\n{_panel(shown, now)}", event="tickets")

    both = APIRouter(include_in_schema=False)
    both.include_router(everybody)
    both.include_router(signed_in)
    return both
