"""Alerts to Prometheus' Alertmanager, API v2: ``POST /api/v2/alerts`` with up to a hundred alerts in one array.

Alertmanager knows an alert by its labels, so that a repeated delivery is the same alert and pages nobody again; what it
knows is lost when it restarts, so open alerts are told again every minute. It resolves an alert by itself when its
``endsAt`` has passed (or ``resolve_timeout`` after the last delivery without one), hence an open alert ends a week from
now and stays up while the hub is down. Instants are the machine's, since Alertmanager compares them with its own, even
if the hub's clock is moved. Source: https://github.com/prometheus/alertmanager (api/v2/api.go, types/types.go), 0.25.

An alert that is resolved within Alertmanager's ``group_wait`` notifies nobody; that is the route's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from consumers.alerts.receiver import Post
from domain.alert_delivery import Answer, Outcome
from domain.alerts import Alert, Kind, Phase, labels, notes
from runtime.clock import Clock, SystemClock

HELD = timedelta(days=7)


class PostableAlert(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The API's ``postableAlert``. Instants are RFC 3339."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")


class AlertmanagerReceiver:
    """Posts to the Alertmanager at the base address ``url``. ``public_url``: where people reach the hub, for the link
    from an alert to its ticket; ``wall``: the machine's clock."""

    batch = 100
    width = 4

    def __init__(
        self,
        url: str,
        public_url: str = "",
        *,
        renew: float = 60.0,
        wall: Clock | None = None,
        name: str = "alertmanager",
    ) -> None:
        self.name = name
        self.renew: float | None = renew
        self._public_url = public_url.rstrip("/")
        self._wall = wall or SystemClock()
        self._post = Post(f"{url.rstrip('/')}/api/v2/alerts", self.width)

    async def deliver(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """All in one request. Alertmanager takes the good ones of an array and answers 400 if one was bad without
        saying which, so a refused array is halved until the bad ones stand alone."""
        outcome = await self._post(msgspec.json.encode([self._postable(alert) for alert in alerts]))
        if outcome.answer is not Answer.REFUSED or len(alerts) == 1:
            return [outcome] * len(alerts)
        middle = len(alerts) // 2
        return await self.deliver(alerts[:middle]) + await self.deliver(alerts[middle:])

    async def close(self) -> None:
        """Close the connections."""
        await self._post.close()

    def _postable(self, alert: Alert) -> PostableAlert:
        now = self._wall.now()
        began = alert.opened.judged_at
        if alert.key.kind == Kind.BREACH and alert.opened.due_at is not None:
            began = alert.opened.due_at
        ends = _moment(now) if alert.phase is Phase.RESOLVE else _moment(now) + HELD
        return PostableAlert(
            labels=labels(alert),
            annotations=notes(alert),
            starts_at=_moment(min(began, now)).isoformat(),
            ends_at=ends.isoformat(),
            generator_url=f"{self._public_url}/tickets/{alert.key.ticket}" if self._public_url else None,
        )


def _moment(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
