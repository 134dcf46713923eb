"""A bundle's file as it would stand on the log: read, its holidays turned into dates, and checked, all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from domain.errors import PolicyInvalid, Reason
from domain.policies import Bundle
from domain.policy_checks import advice, problems
from domain.policy_reading import read_bundle
from hub.policy import feeds
from hub.policy.holidays import Fetch, Origin, resolve
from streams.configuration import LARGEST, Fault, canonical, read


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was read. ``text``: what goes on the log; ``bundle``: what it says, if it can be used; ``notes``:
    what is allowed and seldom meant, or was left out."""

    file: Path
    text: str
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    bundle: Bundle | None = None
    document: object = None

    def usable(self) -> Bundle:
        """The bundle. Raises ``PolicyInvalid`` for a file with faults."""
        if self.bundle is None:
            raise PolicyInvalid(self.faults[0].reason, str(self.faults[0]), str(self.file))
        return self.bundle


def check(file: Path, year: int, fetch: Fetch = feeds.fetch) -> Checked:
    """Read a file and find everything that is wrong with it. ``year``: the one it is, for feeds that go on for ever.

    Raises ``PolicyInvalid`` when there is no such file.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(4 * LARGEST + 1).decode("utf-8-sig")
    except OSError as error:
        raise PolicyInvalid(Reason.BAD_VALUE, f"can't be read: {error.strerror}", str(file)) from error
    except UnicodeDecodeError as error:
        raise PolicyInvalid(Reason.BAD_VALUE, f"is no UTF-8 text: {error.reason}", str(file)) from error
    written = read(text)
    faults, notes = list(written.faults), list[Fault]()
    if not written.whole:
        return Checked(file, text, faults)
    resolved = resolve(written.document, Origin(file.parent, year, fetch))
    faults += [written.of(error) for error in resolved.errors]
    for problem in problems(resolved.document):
        faults.append(written.of(problem, resolved.moved.get(problem.where)))
    for where, detail in resolved.notes:
        notes.append(Fault(Reason.NOT_VALID, detail, where, *written.place(where)))
    faults.sort(key=lambda fault: (fault.line, fault.column))
    if faults:
        return Checked(file, text, faults, notes)
    bundle = read_bundle(resolved.document, 0)
    notes += [Fault(Reason.NOT_VALID, detail, where, *written.place(where)) for where, detail in advice(bundle)]
    if resolved.named:
        told = f"# Made from {file.name}: holidays that were named there are dates here; holidays_from says whence.\n"
        text = told + yaml.safe_dump(resolved.document, allow_unicode=True, sort_keys=False, default_flow_style=None)
    if len(canonical(resolved.document)) > LARGEST:
        faults.append(Fault(Reason.TOO_LARGE, f"takes more than {LARGEST} characters as JSON", "", 1, 1))
        return Checked(file, text, faults, notes)
    return Checked(file, text, faults, notes, bundle, resolved.document)
