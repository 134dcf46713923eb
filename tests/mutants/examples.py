"""What tests run with under ``make mutants`` in place of ``tests/conftest.py``: no servers, and the same few examples.

A pytest plugin (``-p tests.mutants.examples``). The tests of a mutant run once for each of hundreds of mutants; and a
test that drew other examples each time would tell a mutant today and miss it tomorrow.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("mutants", deadline=None, derandomize=True, database=None, max_examples=12)
settings.load_profile("mutants")
