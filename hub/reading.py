"""``hub parse``: what an adapter makes of a payload, for those who write adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec
import typer
from rich.console import Console

from adapters.contract import Account, Delivery
from domain.errors import HubError
from hub.processes import ParseFailed, adapters, known_adapters
from runtime.clock import SystemClock


class _Forgetting:
    """Gives attachments their reference without keeping them: parsing stores nothing."""

    def put(self, data: bytes) -> str:
        """The reference that the blob store would give."""
        import hashlib

        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def get(self, reference: str) -> bytes:
        """There is nothing."""
        raise KeyError(reference)


def parse_files(adapter: str, files: Sequence[Path], region: str, own: str, out: TextIO, err: Console) -> int:
    """Print each file's events as JSON lines. Returns 1 if a file could not be read."""
    known = adapters()
    if adapter not in known:
        raise typer.BadParameter(f"an adapter is one of {', '.join(known_adapters())}")
    account = Account("default", "parse", region=region or None, options={"own_addresses": own} if own else {})
    failed = 0
    for file in files:
        try:
            delivery = Delivery(body=file.read_bytes(), received_at=SystemClock().now())
            for event in known[adapter].read(delivery, account, _Forgetting()):
                out.write(msgspec.json.encode(event).decode() + "\n")
        except OSError as error:
            failed = 1
            err.print(f"{file}: {error.strerror}", highlight=False)
        except HubError as error:
            failed = 1
            letter = ParseFailed(str(file), str(error), error.reason.value)
            err.print(msgspec.json.encode(letter).decode(), highlight=False, soft_wrap=True)
    return failed
