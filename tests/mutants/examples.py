"""What tests run with under ``make mutants`` in place of ``tests/conftest.py``: no servers, and the same few examples.

A pytest plugin (``-p tests.mutants.examples``). The tests of a mutant run once for each of hundreds of mutants; and a
test that drew other examples each time would tell a mutant today and miss it tomorrow. Whoever takes so much longer
than any test does is in a loop without an end: the process says so and ends, by its own CPU time, so that other work
on the machine decides nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

LONGEST = 8.0  # seconds of CPU time; the longest test takes one
TIMEOUT = 36  # how a process tells mutmut

EXAMPLES = 12
_OWN = "_hypothesis_internal_use_settings"  # where hypothesis' own plugin looks for a test's settings, too

settings.register_profile("mutants", deadline=None, derandomize=True, database=None, max_examples=EXAMPLES)
settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test draws more examples, whatever it asks for itself."""
    for item in items:
        test = getattr(item, "obj", None)
        own: settings | None = getattr(test, _OWN, None)
        if own is not None and own.max_examples > EXAMPLES:
            setattr(test, _OWN, settings(own, max_examples=EXAMPLES))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    signal.signal(signal.SIGVTALRM, lambda *_: os._exit(TIMEOUT))
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
