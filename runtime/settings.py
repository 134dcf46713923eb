"""Every setting of the hub in one typed class, read from ``HUB_…`` variables once, at start.

Nothing else in the hub reads the environment. Each field's sentence is also what ``docs/settings.md`` shows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, get_type_hints

import msgspec
from msgspec import Meta


class SettingInvalid(Exception):
    """A setting that can't be used: says which, what it holds, and what it takes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's settings; the variable of a field is ``HUB_`` and its name in capitals."""

    kafka: Annotated[str, Meta(description="Kafka's bootstrap servers, host:port separated by commas.")] = (
        "127.0.0.1:9092"
    )
    postgres: Annotated[str, Meta(description="PostgreSQL's address as a URL.")] = "postgresql:///hub"
    registry: Annotated[str, Meta(description="URL of a Confluent-compatible schema registry; empty: pinned ids.")] = ""
    partitions: Annotated[int, Meta(ge=1, description="Partitions of every topic when it is created.")] = 4
    replication: Annotated[int, Meta(ge=1, description="Replicas of every topic when it is created.")] = 1
    topic_prefix: Annotated[str, Meta(description="Put before every topic's name, for several hubs on one Kafka.")] = ""
    tenant: Annotated[str, Meta(description="The tenant whose data commands without one belong to.")] = "default"
    api_token: Annotated[str, Meta(description="Bearer token that every HTTP call but health must carry.")] = ""
    http_host: Annotated[str, Meta(description="Address the HTTP server listens on.")] = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65535, description="Port the HTTP server listens on.")] = 8080
    lmtp_host: Annotated[str, Meta(description="Address the mail door (LMTP) listens on.")] = "127.0.0.1"
    lmtp_port: Annotated[int, Meta(ge=0, le=65535, description="Port the mail door (LMTP) listens on.")] = 8024
    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port a worker shows its metrics on, for `hub run` the first of several; 0: none.",
        ),
    ] = 0
    accounts: Annotated[str, Meta(description="YAML file of the channel accounts and their secrets.")] = ""
    blobs: Annotated[str, Meta(description="Folder for payloads and attachments too large for a topic.")] = (
        ".local/blobs"
    )
    mail_limit: Annotated[int, Meta(ge=1, description="Largest mail the mail door takes, in bytes.")] = 25 * 1024 * 1024
    body_limit: Annotated[int, Meta(ge=1, description="Largest HTTP body taken, in bytes.")] = 4 * 1024 * 1024
    publish_timeout: Annotated[
        float, Meta(gt=0, description="Seconds a door waits for Kafka before it tells the sender to retry.")
    ] = 5.0
    session_timeout: Annotated[
        float, Meta(ge=1, description="Seconds after which Kafka gives a silent worker's partitions to another.")
    ] = 10.0
    tick: Annotated[float, Meta(gt=0, description="Seconds between two looks at the clocks that come due.")] = 0.1
    retention_days: Annotated[
        int, Meta(ge=1, description="Days without contact after which a customer with nothing open leaves the state.")
    ] = 35
    dead_letter_limit: Annotated[
        int, Meta(ge=1, description="Dead letters a worker writes within a minute at most; one more stops it.")
    ] = 1_000
    dead_letter_share: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of the records that these letters must have as well for it to stop."),
    ] = 0.5
    sequences: Annotated[
        str,
        Meta(
            description="What sources number, as `pattern=per` or `pattern=per:first` with blanks between; "
            "per is conversation, source or nothing, first the first number. Else: per conversation, first unknown."
        ),
    ] = ""
    source_grace: Annotated[
        float, Meta(ge=0, description="Seconds that a gap in a source's numbers may be open before it counts as loss.")
    ] = 60.0
    alertmanager: Annotated[str, Meta(description="Base URL of Alertmanager; empty: none.")] = ""
    alert_webhook: Annotated[str, Meta(description="URL that alerts are posted to, signed; empty: none.")] = ""
    alert_webhook_secret: Annotated[
        str, Meta(description="Secret of that webhook in the standard-webhooks form, whsec_ and base64.")
    ] = ""
    public_url: Annotated[str, Meta(description="Address under which people and vendors reach the HTTP server.")] = ""
    clock_file: Annotated[
        str, Meta(description="File with seconds to add to the clock, read on each look; for demonstrations only.")
    ] = ""
    log_level: Annotated[str, Meta(description="Least level that is logged: debug, info, warning or error.")] = "info"

    def topic(self, name: str) -> str:
        """A topic's name on this Kafka."""
        return self.topic_prefix + name

    @property
    def blob_folder(self) -> Path:
        """The folder for large payloads."""
        return Path(self.blobs)


def descriptions() -> dict[str, str]:
    """Each setting's sentence, by field name; the documentation is checked against it."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: next(m.description or "" for m in hint.__metadata__) for name, hint in hints.items()}


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings from ``environment`` (default: the process's). Raises ``SettingInvalid`` for what can't be used."""
    given = os.environ if environment is None else environment
    known = {f"HUB_{name.upper()}": name for name in descriptions()}
    values = {known[key]: value for key, value in given.items() if key in known}
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"a HUB_… variable can't be used: {error} (see docs/settings.md)") from error
