"""Who may call: a bearer token for programs, a signed cookie for the page, and the headers every answer carries.

There is one token and no roles. The cookie is not the token but proves, until it expires or the token changes, that
somebody gave it; it opens only what is read, so that no other site can make a browser change something.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.http.problems import Refused, answer
from runtime.clock import SECOND, Clock
from runtime.settings import SettingInvalid

COOKIE = "hub_session"
SESSION_SECONDS = 12 * 3600
_LINGER_BYTES, _LINGER_SECONDS = 64 * 1024 * 1024, 10.0
_READS = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: As they go out; ASGI has names in lower case.
_SENT = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


class Gate:
    """Checks tokens and makes sessions. Raises ``SettingInvalid`` when there is no token to check against."""

    def __init__(self, token: str, clock: Clock) -> None:
        if not token.strip():
            raise SettingInvalid(
                "HUB_API_TOKEN is empty: set it to a long random text, for example the output of `openssl rand -hex 32`"
            )
        self._token = token.encode()
        self._key = hmac.digest(self._token, b"hub page session", hashlib.sha256)
        self._clock = clock

    def accepts(self, token: str) -> bool:
        """Whether this is the token; takes as long for a nearly right one as for a wrong one."""
        return hmac.compare_digest(token.encode(), self._token)

    def _signature(self, expires: int) -> str:
        return hmac.new(self._key, str(expires).encode(), hashlib.sha256).hexdigest()

    def open_session(self) -> str:
        """A cookie's value for somebody who gave the token."""
        expires = self._clock.now() // SECOND + SESSION_SECONDS
        return f"{expires}.{self._signature(expires)}"

    def knows_session(self, value: str | None) -> bool:
        """Whether this cookie's value was made here, with this token, and has not expired."""
        expires, _, signature = (value or "").partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) < 16):
            return False
        genuine = hmac.compare_digest(signature.encode(), self._signature(int(expires)).encode())
        return genuine and int(expires) > self._clock.now() // SECOND


_bearer = HTTPBearer(auto_error=False, description="The setting HUB_API_TOKEN.")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Set by the login form; good for reading only.")


def gate_of(request: Request) -> Gate:
    """The gate of the application that serves this request."""
    gate = request.app.state.gate
    assert isinstance(gate, Gate)
    return gate


async def require_token(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    session: Annotated[str | None, Security(_cookie)] = None,
) -> None:
    """A dependency: lets nobody pass without the token, or, to read, a session. Answers 401."""
    gate = gate_of(request)
    if credentials is not None:
        if gate.accepts(credentials.credentials):
            return
    elif request.method in _READS and gate.knows_session(session):
        return
    raise Refused(
        401,
        "send the API token as 'Authorization: Bearer …'; it is the server's setting HUB_API_TOKEN",
        "no_token" if credentials is None else "wrong_token",
        {"WWW-Authenticate": "Bearer"},
    )


class Shell:
    """ASGI middleware around everything: limits bodies to ``body_limit`` bytes and sets the headers of each answer."""

    def __init__(self, app: ASGIApp, body_limit: int) -> None:
        self._app = app
        self._limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(each for each in _SENT if each[0] not in given),
                ]
            await send(message)

        length = Headers(scope=scope).get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._limit:
            if "expect" not in Headers(scope=scope):
                await _listen_to_the_end(receive)
            refusal = answer(Request(scope), 413, self._too_large(), "too_large", headers={"Connection": "close"})
            await refusal(scope, receive, send_with_headers)
            return
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                if message.get("more_body"):
                    await _listen_to_the_end(receive)
                raise Refused(413, self._too_large(), "too_large", {"Connection": "close"})
            return message

        await self._app(scope, receive_counted, send_with_headers)

    def _too_large(self) -> str:
        return f"the body has more than {self._limit} bytes, the setting HUB_BODY_LIMIT"


async def _listen_to_the_end(receive: Receive) -> None:
    """Read away what is still being sent, within bounds.

    A connection closed on a sender who is still talking is reset, and he never hears why.
    """
    taken = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while taken < _LINGER_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
