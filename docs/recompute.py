"""Recomputes a verdict: python recompute.py FILE, which holds an answer of GET /v1/tickets/{id}/verdicts/{verdict}."""

import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS, EPOCH, US = "mon tue wed thu fri sat sun".split(), datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
OUTCOMES = {(0, 0): ("warned",), (0, 1): ("met", "cancelled"), (1, 0): ("breached",), (1, 1): ("breached", "ended")}


def us(told):  # an instant, or a duration in seconds, in whole microseconds
    return (datetime.fromisoformat(told) - EPOCH) // US if isinstance(told, str) else round(told * 1e6)


def openings(rules, begin):  # the open time from an instant on: a holiday beats an override, a full date an annual one
    def at(clock):  # 24:00 is the next day's 00:00; a time that the clocks skip is moved on, of two the first counts
        passed = sum(int(part) * size for part, size in zip(clock.split(":"), (3600, 60, 1)))
        return (datetime(*day.timetuple()[:3], tzinfo=ZoneInfo(rules["tz"])) + timedelta(seconds=passed) - EPOCH) // US

    day = (EPOCH + begin * US).date() - timedelta(2)
    while (day := day + timedelta(1)).year < 2200:
        date, annual, hours = str(day), str(day)[5:], rules["hours"].get(DAYS[day.weekday()], [])
        shut = any(each in (date, annual) or each[:10] <= date <= each[11:] for each in rules["holidays"])
        hours = [] if shut else rules["overrides"].get(date, rules["overrides"].get(annual, hours))
        spans, breaks = [(at(a), at(b)) for a, b in hours], rules["breaks"].get(date, rules["breaks"].get(annual, []))
        for a, b in [(at(a), at(b)) for a, b in breaks]:
            spans = [part for x, y in spans for part in ((x, min(y, a)), (max(x, b), y))] if a < b else spans
        for a, b in sorted((a, b) for a, b in spans if max(a, begin) < b):
            yield max(a, begin), (begin := b)


def walk(rules, begin, end, left, close):  # the open time up to an end, and the instant at which so much is used up
    counted, due = 0, begin if left < 0 or (close and left == 0) else None
    for a, b in openings(rules, begin):
        due = a + left if due is None and left < b - a + close else due
        counted, left = counted + max(min(b, end) - a, 0), left - (b - a)
        if due is not None and b >= end:
            break
    return counted, due


def fault(v):  # the first thing that does not follow from the evidence, or None
    used, due, breached, past, row = 0, None, None, None, {"ended_by": "nothing", "end": "never"}
    for n, (row, begin, end) in enumerate((row, us(row["begin"]), us(row["end"])) for row in v["evidence"]):
        terms = v | {name: told for name, told in row.items() if told is not None}
        digest, left, close = terms["calendar_digest"], us(terms["target_seconds"]) - used, terms["boundary"] == "close"
        rules = json.dumps(v["calendars"].get(digest), sort_keys=True, separators=(",", ":"))
        if hashlib.sha256(rules.encode()).hexdigest() != digest:
            return f"does not hold: the calendar of evidence[{n}]"
        stands = 0, begin if left < 0 and row["policy"] != "" else None  # less may be promised than was used already
        counted, due = walk(json.loads(rules), begin, end, left, close) if row["running"] else stands
        breached = due if breached is None and due is not None and (end > due or left < 0) else breached
        if us(row["counted_seconds"]) != counted or past not in (None, (row["begin"], row["began_by"])) or end < begin:
            return f"does not hold: evidence[{n}]"
        used, past = used + counted, (row["end"], row["ended_by"])
    done = row["ended_by"] != "now"
    holds = {
        "elapsed_seconds": us(v["elapsed_seconds"]) == used,
        "due_at": (v["due_at"] and us(v["due_at"])) == (due if breached is None else breached),
        "ended_at": v["ended_at"] == (row["end"] if done else None),
        "outcome": v["outcome"] in ("retracted", *OUTCOMES[breached is not None, done]),
    }
    return next((f"does not hold: {name}" for name, true in holds.items() if not true), None)


if __name__ == "__main__":
    sys.exit(fault(json.load(open(sys.argv[1]))) or print("holds"))
