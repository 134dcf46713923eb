"""The versions of what is configured over HTTP: which there were, what each says, and which is in force.

A version never changes, so its ETag is its number: who asks again with ``If-None-Match`` is answered 304 until another
version is in force.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, Field

from domain.policies import Bundle
from domain.policy_reading import read_bundle
from hub.http.answers import Instant, when, written
from hub.http.backends import Here
from hub.http.problems import Refused, described
from hub.http.reads import Cursor, cursor_of, place_of
from hub.http.security import require_token
from projections.configurations import store
from projections.postgres import reading

if TYPE_CHECKING:
    from projections.configurations.store import Version

_MOST = 50
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "It is the version that If-None-Match names."}}
Asked = Annotated[str | None, Header(alias="If-None-Match", max_length=256)]


class CalendarVersion(BaseModel):
    """A calendar of a version; ``digest`` is what the evidence of verdicts names."""

    name: str
    tz: str
    digest: str


class PolicyVersion(BaseModel):
    """A version of what is promised. ``applied_by``, ``source``: who published it, where that was kept."""

    version: int
    tenant: str
    name: str
    in_force: bool
    published_at: Instant | None
    applied_by: str | None
    source: str | None
    event: str = Field(description="The event that brought it.")
    policies: list[str]
    calendars: list[CalendarVersion]

    @classmethod
    def of(cls, version: Version) -> Self:
        return cls(**_told(version))


class PolicyVersionInFull(PolicyVersion):
    """A version with all that it says."""

    bundle: dict[str, Any] = Field(description="The bundle as it is on the log.")  # Any: JSON
    written: str | None = Field(description="The YAML that it was made from, where that was kept.")

    @classmethod
    def of(cls, version: Version) -> Self:
        return cls(**_told(version), bundle=msgspec.json.decode(version.body), written=version.written)


class PolicyVersions(BaseModel):
    """A page of versions, the newest first."""

    versions: list[PolicyVersion]
    next: str | None


def _told(version: Version) -> dict[str, Any]:  # Any: the fields of a model
    bundle = _bundle(version.body, version.version)
    return {
        "version": version.version,
        "tenant": version.tenant,
        "name": version.name,
        "in_force": version.in_force,
        "published_at": None if version.published_at is None else written(when(version.published_at)),
        "applied_by": version.applied_by,
        "source": version.source,
        "event": version.event,
        "policies": [policy.name for policy in bundle.policies],
        "calendars": [
            CalendarVersion(name=name, tz=calendar.rules.tz, digest=calendar.digest)
            for name, calendar in bundle.calendars.items()
        ],
    }


@lru_cache(maxsize=100)
def _bundle(body: str, version: int) -> Bundle:
    return read_bundle(msgspec.json.decode(body), version)


def _answer(found: Version, asked: str | None, response: Response) -> PolicyVersionInFull | Response:
    etag = f'"{found.version}"'
    if asked is not None and (
        asked.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in asked.split(","))
    ):
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return PolicyVersionInFull.of(found)


def router() -> APIRouter:
    """The routes under ``/v1/policies``; all of them need the token."""
    routes = APIRouter(prefix="/v1/policies", tags=["reading"], dependencies=[Depends(require_token)])

    @routes.get("", responses=described())
    async def list_policies(
        here: Here,
        tenant: Annotated[str | None, Query(max_length=128)] = None,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=_MOST, description="Most versions on a page.")] = 20,
    ) -> PolicyVersions:
        """The versions that were published, the newest first: whose, when, by whom, and what they hold."""
        place = place_of(cursor)
        async with reading(here.pool) as connection:
            found = await store.versions(connection, tenant, limit + 1, place[0] if place else None)
        page = found[:limit]
        return PolicyVersions(
            versions=[PolicyVersion.of(version) for version in page],
            next=cursor_of(page[-1].version, page[-1].event) if len(found) > limit else None,
        )

    @routes.get("/current", response_model=PolicyVersionInFull, responses=described(404) | _UNCHANGED)
    async def get_current_policies(
        here: Here,
        response: Response,
        tenant: Annotated[str | None, Query(max_length=128, description="By default HUB_TENANT.")] = None,
        asked: Asked = None,
    ) -> PolicyVersionInFull | Response:
        """The version in force for a tenant, with all that it says."""
        async with reading(here.pool) as connection:
            found = await store.current(connection, here.settings.tenant if tenant is None else tenant)
        if found is None:
            raise Refused(404, "nothing was published for this tenant yet; hub policy apply does", "unknown_version")
        return _answer(found, asked, response)

    @routes.get("/{version}", response_model=PolicyVersionInFull, responses=described(404) | _UNCHANGED)
    async def get_policies(
        here: Here, response: Response, version: Annotated[int, Path(ge=1, lt=1 << 63)], asked: Asked = None
    ) -> PolicyVersionInFull | Response:
        """One version, with all that it says."""
        async with reading(here.pool) as connection:
            found = await store.get(connection, version)
        if found is None:
            raise Refused(404, "no version has this number", "unknown_version")
        return _answer(found, asked, response)

    return routes
