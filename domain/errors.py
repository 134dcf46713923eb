"""Every error the hub raises on purpose.

::

    HubError                      what went wrong, where, and what to do; ``reason`` is from a closed set
    ├── CalendarInvalid           a calendar that can't be used (where = place in the input)
    ├── DurationInvalid           a negative duration, or an instant without a time zone
    ├── PolicyInvalid             a policy or the bundle around it can't be used (where = place in the input)
    ├── DeliveryRefused           what arrived at a door is not accepted; nothing is stored but a metric
    │   └── SignatureRejected     the sender could not prove who it is
    ├── Unreadable                what arrived can't be read: kept as a dead letter with this reason
    ├── NotResolvable             an event that names nobody the hub knows: kept as a dead letter
    ├── CommandRefused            a command that can't be carried out: kept as a dead letter
    └── Unavailable               a server the hub needs does not answer; retry later

``reason`` is also the label of the metric that counts these errors, so it never carries data.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The closed set of reasons, one per thing that can be done about it."""

    # doors
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_ACCOUNT = "unknown_account"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_VALID = "not_valid"
    NOT_MAIL = "not_mail"
    CUT_OFF = "cut_off"
    # records on a topic
    NOT_WIRE_FORMAT = "not-wire-format"
    UNKNOWN_SCHEMA = "unknown-schema"
    NOT_AVRO = "not-avro"
    NOT_VALID_RECORD = "not-valid"
    # identity
    NO_CONTACT_POINT = "no_contact_point"
    UNKNOWN_TICKET = "unknown_ticket"
    UNKNOWN_CUSTOMER = "unknown_customer"
    # configuration
    NO_HOURS = "no_hours"
    BAD_INTERVAL = "bad_interval"
    OVERLAP = "overlap"
    UNKNOWN_ZONE = "unknown_zone"
    UNKNOWN_KEY = "unknown_key"
    BAD_VALUE = "bad_value"
    NEVER_OPENS = "never_opens"
    NAIVE_INSTANT = "naive_instant"
    NEGATIVE_DURATION = "negative_duration"
    # casework
    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_PRIORITY = "unknown_priority"
    UNKNOWN_LINK = "unknown_link"
    TICKET_CLOSED = "ticket_closed"
    TICKET_MERGED = "ticket_merged"
    NOT_OPEN = "not_open"
    NOT_ALLOWED = "not_allowed"
    CONTRADICTORY = "contradictory"
    SAME_TICKET = "same_ticket"
    OTHER_CUSTOMER = "other_customer"
    ALREADY_MERGED = "already_merged"
    TARGET_CLOSED = "target_closed"
    TARGET_MERGED = "target_merged"
    CYCLE = "cycle"
    NOT_MERGED = "not_merged"
    NOT_LINKED = "not_linked"
    MISSING_FIELD = "missing_field"
    # servers
    KAFKA_UNAVAILABLE = "kafka_unavailable"
    POSTGRES_UNAVAILABLE = "postgres_unavailable"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    SOURCE_UNAVAILABLE = "source_unavailable"
    LOGIN_REFUSED = "login_refused"


class HubError(Exception):
    """``reason``: from the closed set; ``detail``: what to do, for a person; ``where``: the place in the input."""

    retryable = False

    def __init__(self, reason: Reason, detail: str, where: str = "") -> None:
        super().__init__(f"{where}: {detail}" if where else detail)
        self.reason = reason
        self.detail = detail
        self.where = where


class CalendarInvalid(HubError):
    """A calendar that can't be used."""


class DurationInvalid(HubError):
    """A negative duration, or an instant without a time zone."""


class PolicyInvalid(HubError):
    """A policy, or the bundle around it, can't be used."""


class DeliveryRefused(HubError):
    """What arrived at a door is not accepted; nothing is stored but a metric."""


class SignatureRejected(DeliveryRefused):
    """The sender could not prove who it is."""


class Unreadable(HubError):
    """What arrived can't be read; its bytes are kept as a dead letter with this reason."""


class NotResolvable(HubError):
    """An event that names nobody the hub knows."""


class CommandRefused(HubError):
    """A command that can't be carried out on the ticket it names."""


class Unavailable(HubError):
    """A server the hub needs does not answer."""

    retryable = True
