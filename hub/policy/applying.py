"""Puts a bundle on the log, or says what that would change: ``hub policy apply`` and its dry run."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from adapters.contract import event_id
from domain.policies import Bundle
from domain.policy_reading import read_bundle
from hub.policy.difference import difference, span
from hub.policy.files import check
from hub.policy.preview import Preview, Shift
from hub.policy.preview import preview as look_ahead
from hub.policy.showing import in_force, print_changes, print_faults, this_year, when
from hub.processes import publisher_for
from projections.configurations import store
from projections.postgres import open_pool, reading
from runtime.clock import clock_for
from runtime.settings import Settings
from schemas.records import Actor, Configuration, InteractionReceived
from schemas.vocabulary import CONFIGURATION
from streams.configuration import canonical_configuration


def configuration_event(text: str, tenant: str, at: int, by: str = "") -> InteractionReceived:
    """The event that brings a bundle into force. Its id comes from its text: the same at the same time is one event."""
    return InteractionReceived(
        id=event_id(tenant, "hub/policy", f"{at}\x1f{text}", CONFIGURATION),
        type=CONFIGURATION,
        tenant=tenant,
        source="hub/policy",
        channel="internal",
        direction="internal",
        occurred_at=at,
        received_at=at,
        conversation=f"configuration:{tenant}",
        actor=Actor("agent", by) if by else None,
        facts=Configuration("default", text),
    )


async def apply(settings: Settings, file: Path, tenant: str, by: str, out: Console, err: Console) -> int:
    """Check a bundle and publish it. Returns 2 when it can't be used, with every fault and its place."""
    clock = clock_for(settings.clock_file)
    checked = check(file, this_year(settings))
    print_faults(checked, err)
    if checked.faults:
        return 2
    event = configuration_event(checked.text, tenant or settings.tenant, clock.now(), by or _user())
    canonical_configuration(event)  # what the identity stage will ask of it
    async with publisher_for(settings, clock) as publisher:
        await publisher.publish([event])
    count = len(checked.usable().policies)
    out.print(f"{file.name}: {count} policies are on the log as event {event.id}", highlight=False)
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""


async def preview(
    settings: Settings, file: Path, tenant: str, examples: int, as_json: bool, out: Console, err: Console
) -> int:
    """Print what a bundle would change, of the one in force and of open tickets. Returns 2 when it can't be used."""
    whose = tenant or settings.tenant
    checked = check(file, this_year(settings))
    print_faults(checked, err)
    if checked.faults:
        return 2
    after = checked.usable()
    pool = await open_pool(settings.postgres, most=2)
    try:
        async with reading(pool) as connection:
            version, before = await in_force(connection, whose)
            known = _Versions(await store.bodies(connection, await store.versions_of_clocks(connection, whose)))
            pages = store.open_tickets(connection, whose)
            now = clock_for(settings.clock_file).now()
            found = await look_ahead(pages, whose, before, after, known, now, examples)
    finally:
        await pool.close()
    changes = difference(before, after)
    if as_json:
        told = {"in_force": version.version if version else None, "changes": changes, "open_tickets": found}
        out.out(msgspec.json.format(msgspec.json.encode(told)).decode(), highlight=False)
        return 0
    print_changes(changes, version, out)
    _print(found, out)
    out.print("nothing was applied", highlight=False)
    return 0


class _Versions(dict[int, Bundle]):
    """Bundles by version, each read when it is first asked for."""

    def __init__(self, bodies: Mapping[int, str]) -> None:
        super().__init__()
        self._bodies = bodies

    def get(self, key: int, default: Bundle | None = None) -> Bundle | None:  # type: ignore[override]  # no other default
        if key not in self and key in self._bodies:
            self[key] = read_bundle(msgspec.json.decode(self._bodies[key]), key)
        return super().get(key, default)


def _print(found: Preview, out: Console) -> None:
    out.print(f"\n{found.tickets} open tickets, {found.unchanged} of them unchanged; of the others' clocks:")
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("tickets", "moved", "longer", "shorter", "earlier", "later", "new", "dropped", "overdue")
    table.add_column("policy", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    for name, tally in found.policies.items():
        table.add_row(name, *(str(getattr(tally, column)) for column in columns))
    out.print(table)
    for shift in found.examples:
        out.print(f"  {_sentence(shift)}", highlight=False, markup=False, soft_wrap=True)


def _sentence(shift: Shift) -> str:
    if shift.what == "new":
        return f"{shift.ticket} {shift.metric}: promised within {span(shift.target_after or 0)} by {shift.policy_after}"
    if shift.what == "dropped":
        return f"{shift.ticket} {shift.metric}: no longer promised; it was due {when(shift.due_before) or 'never'}"
    target = f"{span(shift.target_before or 0)} → {span(shift.target_after or 0)}"
    if shift.due_after is None:
        return f"{shift.ticket} {shift.metric}: {target}, standing still ({shift.policy_after})"
    about = "about " if shift.approximate else ""
    late = ", which has passed" if shift.overdue else ""
    due = f"due {when(shift.due_before)} → {about}{when(shift.due_after)}{late}"
    return f"{shift.ticket} {shift.metric}: {target}, {due} ({shift.policy_after})"
