"""Alerts as signed webhooks by https://www.standardwebhooks.com: one POST per alert, with the verdict and its evidence.

A receiver that accepts and then loses the connection gets the same message again; delivery is at least once. It is the
same one by its ``webhook-id``, which is made of the alert and its phase and so is equal on every attempt, after a crash
of the hub, too: keep the ids of some days, and drop what you have. The signature's timestamp is the machine's time of
the attempt, since receivers refuse what is older than minutes, even where the hub's own clock is moved.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from consumers.alerts.receiver import TOTAL_SECONDS, Post
from domain.alert_delivery import Outcome
from domain.alerts import Alert, Kind, Phase, summary
from runtime.clock import Clock, SystemClock
from schemas.records import SlaVerdictIssued


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """``alert`` is the same for opening and closing; ``threshold``: the percent of the target a warning is for;
    ``reason``: why the alert is over; ``verdict``: the one that opened or closed it, whole, as on the topic."""

    alert: str
    kind: str
    summary: str
    verdict: SlaVerdictIssued
    threshold: int | None = None
    reason: str | None = None
    url: str | None = None


class Message(msgspec.Struct, frozen=True):
    """``type``: sla.breached, sla.warned or sla.resolved; ``timestamp``: when the verdict was reached, ISO 8601."""

    type: str
    timestamp: str
    data: Body


class WebhookReceiver:
    """Posts each alert to ``url``, signed with ``secret`` (``whsec_`` and base64). Raises ``ValueError`` for a secret
    that is none. ``public_url``: where people reach the hub, for links; ``wall``: the machine's clock;
    ``seconds``: how long one attempt may take."""

    batch = 1
    width = 16
    renew: float | None = None

    def __init__(
        self,
        url: str,
        secret: str,
        public_url: str = "",
        *,
        wall: Clock | None = None,
        name: str = "webhook",
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.name = name
        self._public_url = public_url.rstrip("/")
        self._wall = wall or SystemClock()
        self._post = Post(url, self.width, seconds)
        try:
            self._signer = Webhook(secret)
        except (EmptyWebhookSecretError, binascii.Error) as error:
            raise ValueError(f"the webhook's secret must be whsec_ followed by base64: {error}") from error

    async def deliver(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """One POST per alert, all at once."""
        if len(alerts) == 1:
            return [await self._send(alerts[0])]
        return list(await asyncio.gather(*(self._send(alert) for alert in alerts)))

    async def close(self) -> None:
        """Close the connections."""
        await self._post.close()

    async def _send(self, alert: Alert) -> Outcome:
        body = msgspec.json.encode(self._message(alert))
        at = datetime.fromtimestamp(self._wall.now() // 1_000_000, UTC)
        headers = {
            "webhook-id": alert.message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(alert.message_id, at, body.decode()),
        }
        return await self._post(body, headers)

    def _message(self, alert: Alert) -> Message:
        verdict = alert.closed or alert.opened
        return Message(
            type=_TYPES.get(alert.key.kind, "sla.warned") if alert.phase is Phase.OPEN else "sla.resolved",
            timestamp=datetime.fromtimestamp(verdict.judged_at // 1_000_000, UTC).isoformat().replace("+00:00", "Z"),
            data=Body(
                alert=str(alert.key.id),
                kind=alert.key.kind,
                summary=summary(alert),
                verdict=verdict,
                threshold=alert.key.threshold or None,
                reason=alert.because.value if alert.because else None,
                url=f"{self._public_url}/tickets/{alert.key.ticket}" if self._public_url else None,
            ),
        )


_TYPES: dict[str, str] = {Kind.BREACH: "sla.breached", Kind.WARNING: "sla.warned"}
