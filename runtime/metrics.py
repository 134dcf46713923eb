"""The catalogue of metrics: each one typed, named and explained here, and nowhere else.

Names are ``hub_<noun>_<what>_total`` or ``_seconds``. Labels come from closed sets; never a customer, ticket or person.
"""

from __future__ import annotations

import contextlib

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Every process.
native = Gauge("hub_native", "1 where rules and codec run compiled, as in the image, else 0.")

# Doors.
deliveries_received = Counter(
    "hub_deliveries_received_total", "Deliveries at the doors, by adapter and outcome.", ["adapter", "outcome"]
)
events_published = Counter("hub_events_published_total", "Events made durable by the doors, by adapter.", ["adapter"])
publish_seconds = Histogram("hub_publish_seconds", "From a door to Kafka's acknowledgement.", buckets=_FAST)
dead_letters = Counter("hub_dead_letters_total", "Dead letters written, by stage and reason.", ["stage", "reason"])
dead_letters_waiting = Gauge(
    "hub_dead_letters_waiting",
    "Dead letters, written and not, for which a stage has stopped: HUB_DEAD_LETTER_LIMIT.",
    ["stage", "reason"],
)

# Stages.
records_processed = Counter("hub_records_processed_total", "Records folded, by stage.", ["stage"])
batch_records = Histogram(
    "hub_batch_records",
    "Records per batch, by stage.",
    ["stage"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000),
)
fold_seconds = Histogram("hub_fold_seconds", "Time to fold or to decide one batch, by stage.", ["stage"], buckets=_FAST)
batch_seconds = Histogram(
    "hub_batch_seconds", "From a batch's arrival to its outputs being durable, by stage.", ["stage"], buckets=_FAST
)
restore_seconds = Histogram("hub_restore_seconds", "Time to restore a partition's state, by stage.", ["stage"])
stage_lag = Gauge("hub_stage_lag", "Records between a stage's position and the end.", ["stage", "partition"])
state_keys = Gauge("hub_state_keys", "Customers held in a partition's state, by stage.", ["stage", "partition"])
gaps_refused = Counter("hub_gaps_refused_total", "Batches that began after the state's position.", ["stage"])

# Clocks.
clocks_open = Gauge("hub_clocks_open", "Due times waiting, by partition.", ["partition"])
tick_delay_seconds = Histogram("hub_tick_delay_seconds", "From due to the tick that fires it.", buckets=_FAST)
clocks_judged = Gauge(
    "hub_clocks_judged_timestamp_seconds", "Up to when all clocks of a partition are judged, unix time.", ["partition"]
)

# Readers.
entries_projected = Counter("hub_entries_projected_total", "Records written to Postgres, by topic.", ["topic"])
projector_delay_seconds = Gauge(
    "hub_projector_delay_seconds", "Age of the oldest record not yet written to Postgres; 0: none.",
    ["topic", "partition"],
)  # fmt: skip
projector_seconds = Histogram("hub_projector_seconds", "Time of one projector transaction.", buckets=_FAST)
alerts_delivered = Counter("hub_alerts_delivered_total", "Alerts accepted, by receiver.", ["receiver"])
alerts_failed = Counter(
    "hub_alerts_failed_total", "Attempts that a receiver did not accept, by why.", ["receiver", "reason"]
)
alerts_waiting = Gauge("hub_alerts_waiting", "Alerts not yet accepted, by receiver.", ["receiver"])
alerts_parked = Gauge("hub_alerts_parked", "Alerts refused, which nobody sends again, by receiver.", ["receiver"])
alert_delay_seconds = Histogram(
    "hub_alert_delay_seconds", "From due to the alert accepted by the receiver.", buckets=_FAST
)

# Sources. Every process that counts shows the same gauges, out of Postgres: take their maximum, never their sum.
_SOURCE = ["tenant", "source"]
source_events = Counter("hub_source_events_total", "Events counted, repeats left out; 200 sources, and other.", _SOURCE)
source_gaps = Gauge("hub_source_gaps", "Gaps in a source's own numbers, open beyond HUB_SOURCE_GRACE.", _SOURCE)
source_missing = Gauge("hub_source_missing_events", "Numbers missing in those gaps.", _SOURCE)
source_last_event = Gauge(
    "hub_source_last_event_timestamp_seconds", "When Kafka took a source's last event, unix time.", _SOURCE
)
source_difference = Gauge(
    "hub_source_count_difference", "What a source says it sent in the last 24 h, less what was received of it.", _SOURCE
)

# People.
streams_open = Gauge("hub_live_streams_open", "Live timelines being watched.")


def forget(gauge: Gauge, *labels: str) -> None:
    """Show a gauge no more for these labels: what a worker lost is another one's to tell of."""
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)
