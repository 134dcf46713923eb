"""The examples of ``docs/sla-examples.md`` come out as a person calculated them, and leave out no word of a promise.

The page's tables are made by the code, so a wrong rule would rewrite them; these expectations were written by hand.
"""

from __future__ import annotations

from typing import get_args

import pytest

from domain.policies import METRICS, Boundary, Reopen
from domain.recheck import OUTCOMES
from tests.docs.promised import EXAMPLES
from tests.docs.promises import Example, Row, clock, minutes, played, span
from tests.domain.stories import MINUTE, START

#: By example: what is said, as when, promise, verdict, used, due, whose, shares (if they are of more than one).
CALCULATED = {
    "weekend": ["Mon 12 Jan 10:30 / first_response 1 / met / 3 h 30 min / Mon 12 Jan 11:00 / vendor-a"],
    "closing": [
        "next_open: Mon 12 Jan 09:00 / first_response 1 / met / 2 h / Mon 12 Jan 09:00 / vendor-a",
        "close: Fri 9 Jan 17:00 / first_response 1 / breached / 2 h / Fri 9 Jan 17:00 / vendor-a",
        "close: Mon 12 Jan 09:00 / first_response 1 / ended / 2 h / Fri 9 Jan 17:00 / vendor-a",
    ],
    "forward": [
        "09:00 to 17:00: Sun 29 Mar 16:30 / first_response 1 / met / 8 h 30 min / Mon 30 Mar 09:30 / vendor-a",
        "around the clock: Sun 29 Mar 16:30 / first_response 1 / met / 23 h 30 min / Sun 29 Mar 17:00 / vendor-a",
    ],
    "holiday": ["Mon 4 May 11:00 / first_response 1 / met / 3 h / Mon 4 May 12:00 / vendor-a"],
    "bot": ["Mon 5 Jan 10:07 / first_response 1 / met / 3 min / Mon 5 Jan 10:09 / vendor-a"],
    "unanswered-call": ["Mon 5 Jan 10:31 / first_response 1 / met / 27 min / Mon 5 Jan 11:04 / vendor-a"],
    "repeats": [
        "Mon 5 Jan 09:30 / next_response 1 / met / 30 min / Mon 5 Jan 11:00 / vendor-a",
        "Mon 5 Jan 11:30 / next_response 2 / met / 1 h 30 min / Mon 5 Jan 12:00 / vendor-a",
    ],
    "pending": [
        "Mon 5 Jan 15:00 / resolution 1 / met / 4 h / Tue 6 Jan 11:00 / vendor-a",
        "Mon 5 Jan 15:00 / agent_work 1 / met / 3 h / Tue 6 Jan 12:00 / vendor-a",
        "Mon 5 Jan 15:00 / total_resolution 1 / met / 6 h / Tue 6 Jan 09:00 / vendor-a",
    ],
    "reopened": [
        "resume: Mon 5 Jan 10:00 / resolution 1 / met / 1 h / Mon 5 Jan 13:00 / vendor-a",
        "resume: Mon 5 Jan 12:00 / resolution 1 / retracted / 1 h / Mon 5 Jan 15:00 / vendor-a",
        "resume: Mon 5 Jan 13:30 / resolution 1 / met / 2 h 30 min / Mon 5 Jan 15:00 / vendor-a",
        "count_closed: Mon 5 Jan 10:00 / resolution 1 / met / 1 h / Mon 5 Jan 13:00 / vendor-a",
        "count_closed: Mon 5 Jan 12:00 / resolution 1 / retracted / 3 h / Mon 5 Jan 13:00 / vendor-a",
        "count_closed: Mon 5 Jan 13:00 / resolution 1 / breached / 4 h / Mon 5 Jan 13:00 / vendor-a",
        "count_closed: Mon 5 Jan 13:30 / resolution 1 / ended / 4 h 30 min / Mon 5 Jan 13:00 / vendor-a",
        "new_cycle: Mon 5 Jan 10:00 / resolution 1 / met / 1 h / Mon 5 Jan 13:00 / vendor-a",
        "new_cycle: Mon 5 Jan 13:30 / resolution 2 / met / 1 h 30 min / Mon 5 Jan 16:00 / vendor-a",
    ],
    "raised": ["Mon 5 Jan 13:30 / resolution 1 / met / 4 h 30 min / Mon 5 Jan 14:00 / vendor-a"],
    "lowered": [
        "Mon 5 Jan 13:00 / resolution 1 / breached / 3 h / Mon 5 Jan 13:00 / vendor-a",
        "Mon 5 Jan 14:00 / resolution 1 / ended / 3 h / Mon 5 Jan 13:00 / vendor-a",
    ],
    "handed-over": [
        "Mon 5 Jan 10:30:20 / ownership 1 / met / 1 h 30 min 20 s / Mon 5 Jan 13:00 / vendor-a",
        "Mon 5 Jan 11:15:50 / ownership 2 / met / 45 min 30 s / Mon 5 Jan 14:30:20 / own",
        "Mon 5 Jan 12:00 / resolution 1 / met / 3 h / Mon 5 Jan 15:00 / vendor-a"
        " / vendor-a 2 h 14 min 30 s, own 45 min 30 s",
        "Mon 5 Jan 12:00 / ownership 3 / met / 44 min 10 s / Mon 5 Jan 15:15:50 / vendor-a",
    ],
    "taken-on": [
        "Mon 5 Jan 09:10 / acknowledgement 1 / met / 10 min / Mon 5 Jan 09:30 / vendor-a",
        "Mon 5 Jan 10:00 / ownership 1 / met / 1 h / Mon 5 Jan 13:00 / vendor-a",
        "Mon 5 Jan 10:30 / acknowledgement 2 / breached / 30 min / Mon 5 Jan 10:30 / own",
        "Mon 5 Jan 10:40 / acknowledgement 2 / ended / 40 min / Mon 5 Jan 10:30 / own",
        "Mon 5 Jan 12:00 / ownership 2 / met / 2 h / Mon 5 Jan 14:00 / own",
    ],
    "late": [
        "Mon 5 Jan 11:00 / first_response 1 / breached / 2 h / Mon 5 Jan 11:00 / vendor-a",
        "Mon 5 Jan 13:00 / first_response 1 / retracted / 1 h 30 min / Mon 5 Jan 11:00 / vendor-a",
        "Mon 5 Jan 13:00 / first_response 1 / met / 1 h 30 min / Mon 5 Jan 11:00 / vendor-a",
    ],
    "merged": [
        "first: Fri 9 Jan 12:00 / next_response 1 / cancelled / 99 h / Sat 10 Jan 09:00 / vendor-a",
        "second: Fri 9 Jan 15:00 / next_response 1 / met / 102 h / Sat 10 Jan 09:00 / vendor-a",
    ],
    "warned": [
        "Mon 5 Jan 11:00 / resolution 1 / warned, 50 % / 2 h / Mon 5 Jan 13:00 / vendor-a",
        "Mon 5 Jan 12:30 / resolution 1 / warned, 30 min before / 3 h 30 min / Mon 5 Jan 13:00 / vendor-a",
        "Mon 5 Jan 13:00 / resolution 1 / breached / 4 h / Mon 5 Jan 13:00 / vendor-a",
        "Mon 5 Jan 13:10 / resolution 1 / ended / 4 h 10 min / Mon 5 Jan 13:00 / vendor-a",
    ],
    "calls": [
        "Mon 5 Jan 10:00:15 / call_answer 1 / met / 15 s / Mon 5 Jan 10:00:20 / vendor-a",
        "Mon 5 Jan 10:10:20 / call_answer 2 / breached / 20 s / Mon 5 Jan 10:10:20 / vendor-a",
        "Mon 5 Jan 10:10:25 / call_answer 2 / ended / 25 s / Mon 5 Jan 10:10:20 / vendor-a",
        "Mon 5 Jan 10:20:10 / call_answer 3 / cancelled / 10 s / Mon 5 Jan 10:20:20 / vendor-a",
    ],
    "callback": ["Tue 6 Jan 09:15 / callback 1 / met / 1 h 15 min / Tue 6 Jan 10:00 / vendor-a"],
    "updates": [
        "Mon 5 Jan 12:30 / periodic_update 1 / met / 3 h / Mon 5 Jan 13:30 / vendor-a",
        "Mon 5 Jan 14:00 / periodic_update 2 / cancelled / 1 h 30 min / Mon 5 Jan 16:30 / vendor-a",
    ],
}


def in_short(example: Example, row: Row) -> str:
    under = f"{row.policy}: " if row.policy else f"{row.ticket}: " if example.name == "merged" else ""
    shares = "" if row.shares == f"{row.whose} {row.used}" else f" / {row.shares}"
    said = f"{row.told} / {row.promise} / {row.verdict} / {row.used} / {row.due} / {row.whose}"
    return f"{under}{said}{shares}".replace("`", "")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name)
def test_it_comes_out_as_a_person_calculated_it(example: Example) -> None:
    assert [in_short(example, row) for row in played(example)] == CALCULATED[example.name]


def test_no_word_of_a_promise_is_without_an_example() -> None:
    rows = [row for example in EXAMPLES for row in played(example)]
    assert {row.promise.split("`")[1] for row in rows} == set(METRICS)
    assert {row.verdict.split("`")[1] for row in rows} == set(OUTCOMES)
    compared = {row.policy.strip("`") for row in rows}
    assert {*get_args(Boundary), *get_args(Reopen)} <= compared
    assert set(CALCULATED) == {example.name for example in EXAMPLES}


def test_times_are_shown_as_the_clock_on_the_wall_shows_them() -> None:
    assert minutes("01-05 09:00") == 0
    assert clock(START) == "Mon 5 Jan 09:00"
    assert clock(START + round(minutes("03-29 16:30:05") * MINUTE)) == "Sun 29 Mar 16:30:05"
    assert [span(seconds * 1_000_000) for seconds in (0, 59, 3600, 3725, 360_000)] == [
        "0 s",
        "59 s",
        "1 h",
        "1 h 2 min 5 s",
        "100 h",
    ]
