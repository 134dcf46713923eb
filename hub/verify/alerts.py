"""What the alerts' table has to hold after the verdicts that were read, folded one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from domain.alerts import Known, clock_id, decide
from hub.verify.findings import Findings, Named
from hub.verify.rows import AlertRow
from schemas.records import SlaVerdictIssued


class Alerts:
    """The alerts of one partition's verdicts, told in the order in which they were issued."""

    def __init__(self) -> None:
        self._known: dict[uuid.UUID, Known] = {}
        self._clocks: dict[str, uuid.UUID] = {}
        self._rows: dict[str, AlertRow] = {}

    def told(self, verdict: SlaVerdictIssued) -> None:
        """One verdict that alerts have read."""
        clock = clock_id(verdict)
        decision = decide(self._known.get(clock, Known()), verdict)
        self._known[clock] = decision.known
        if decision.opens is not None:
            name = str(decision.opens.id)
            self._clocks[name] = clock
            self._rows[name] = AlertRow(decision.quiet, verdict.judged_at, None, None, None)
        for key, because in decision.closes:
            row = self._rows[str(key.id)]
            self._rows[str(key.id)] = row._replace(closed_at=verdict.judged_at, because=because.value)

    def conclude(self, rows: Mapping[str, AlertRow], findings: Findings) -> None:
        """Compare with the rows that are there."""
        missing, extra = Named(), Named()
        for name, row in self._rows.items():
            if rows.get(name) != row._replace(revision=self._known[self._clocks[name]].revision):
                missing.add(name, f"alerts: {name} is missing")
        for name in rows.keys() - self._rows.keys():
            extra.add(name, f"alerts: no verdict asks for {name}")
        for name in missing.found.keys() & rows.keys():
            extra.add(name, f"alerts: {name} is not what its verdicts say")
        findings.pair(missing, extra)
        findings.compared["alerts"] += len(rows)
