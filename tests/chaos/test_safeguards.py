"""Each safeguard is needed, and the check sees it missing; the hub comes through the same course of events with all of
them. Those with processes of their own take longer: ``make safeguards`` plays them, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.safeguards.scenarios import SCENARIOS, Ground, Scenario
from tests.chaos.without import SAFEGUARDS, Cut, ShapeChanged, _make, without

BY_HAND = [scenario for scenario in SCENARIOS if scenario.course is not None]
AT_ONCE = 3


@pytest.fixture(scope="module")
def ground(kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(kafka, postgres, Path(tmp_path_factory.mktemp("safeguards")))
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, made.prepare()).result()
        yield made
        thread.submit(asyncio.run, made.clear()).result()


def test_every_safeguard_has_a_scenario_and_can_be_switched_off_and_on_again() -> None:
    assert {scenario.safeguard for scenario in SCENARIOS} == SAFEGUARDS.keys()
    for name in SAFEGUARDS:
        with without(name):
            pass
    with without(*SAFEGUARDS):
        pass


def test_a_safeguard_that_was_rewritten_or_renamed_is_told_and_not_passed_over() -> None:
    with pytest.raises(ShapeChanged, match="0 times"):
        _make("runtime.stage:Stage._is_new", [Cut("runtime.stage:Stage._is_new", "if these_words:", "if False:")])
    with pytest.raises(ShapeChanged, match="gone"):
        _make("runtime.stage:Stage._was_new", [Cut("runtime.stage:Stage._was_new", "return", "pass")])


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
async def test_with_all_safeguards_every_course_of_events_is_come_through(ground: Ground) -> None:
    courses = {scenario.course: scenario for scenario in BY_HAND}
    turns = asyncio.Semaphore(AT_ONCE)

    async def play(scenario: Scenario) -> str:
        async with turns:
            result = await ground.play(scenario)
        return "" if result.report.clean else f"{scenario.name}: {result.report.counts()}\n{result.report.first(3)}"

    found = await asyncio.gather(*(play(scenario) for scenario in courses.values()))
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.parametrize("scenario", BY_HAND, ids=lambda scenario: scenario.name)
async def test_without_a_safeguard_the_check_finds_something(ground: Ground, scenario: Scenario) -> None:
    result = await ground.play(scenario, (scenario.safeguard, *scenario.covered_by))
    assert not result.report.clean
