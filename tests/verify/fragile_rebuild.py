"""``hub rebuild`` that dies by SIGKILL when it comes to the given step: ``python -m tests.verify.fragile_rebuild 3``.

A step is each call that changes something outside, or asks whether it may. The steps are printed as they are passed;
with 0 all of them are.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from hub.cli import app
from hub.rebuild import command
from projections.rebuilding import store

STEPS = ("restore", "append", "write", "drop_before", "check_nobody_writes")


def main() -> None:
    deadly, passed = int(sys.argv.pop(1)), 0

    def counting(name: str, work: Callable[..., Awaitable[Any]], where: str) -> Callable[..., Awaitable[Any]]:
        async def step(*args: Any, **named: Any) -> Any:
            nonlocal passed
            result = await work(*args, **named) if where == "after" else None
            passed += 1
            print(f"step {where} {name}", flush=True)
            if passed == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return result if where == "after" else await work(*args, **named)

        return step

    for name in STEPS:
        setattr(command, name, counting(name, getattr(command, name), "after"))
    for name in ("begin", "finish", "replace"):
        setattr(store, name, counting(name, getattr(store, name), "before"))
    app(["rebuild"])


if __name__ == "__main__":
    main()
