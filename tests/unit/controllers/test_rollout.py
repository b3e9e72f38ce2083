"""The arithmetic of rolling updates: the guide's own examples, and what must hold for every service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecsnet.controllers.rollout import Member, ceiling, decide, floor


def member(number: int, *, primary: bool = True, healthy: bool = True, failing: bool = False, az: str = "a") -> Member:
    return Member(
        task=f"t{number}",
        primary=primary,
        running=True,
        healthy=healthy and not failing,
        failing=failing,
        az=az,
        created=float(number),
    )


@pytest.mark.parametrize(
    ("desired", "minimum", "maximum", "may_stop", "may_start"),
    [(4, 50, 100, 2, 0), (2, 75, 100, 0, 0), (4, 100, 200, 0, 4), (3, 100, 125, 0, 0)],
)
def test_examples_of_the_guide(desired: int, minimum: int, maximum: int, may_stop: int, may_start: int) -> None:
    old = [member(number, primary=False) for number in range(desired)]
    decision = decide(desired, minimum, maximum, old)
    assert (len(decision.stop), decision.start) == (may_stop, may_start)
    assert decision.blocked == (may_stop == may_start == 0)


def test_scale_in_takes_from_the_fullest_zone() -> None:
    members = [member(1, az="a"), member(2, az="a"), member(3, az="b")]
    assert decide(2, 100, 200, members).stop == ("t2",)


def test_a_failing_task_goes_first_when_there_is_no_room_for_its_replacement() -> None:
    members = [member(1), member(2, failing=True)]
    assert decide(2, 0, 100, members).stop == ("t2",)
    crowded = decide(2, 100, 150, members)
    assert (crowded.start, crowded.stop) == (1, ())


def test_a_replaced_task_goes_when_its_replacement_is_healthy() -> None:
    waiting = [member(1, failing=True), member(2, healthy=False)]
    assert decide(1, 100, 200, waiting).stop == ()
    ready = [member(1, failing=True), member(2)]
    assert decide(1, 100, 200, ready).stop == ("t1",)


MEMBERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from("abc")), max_size=12).map(
    lambda rows: [
        member(number, primary=primary, healthy=healthy, failing=failing, az=az)
        for number, (primary, healthy, failing, az) in enumerate(rows)
    ]
)


@given(desired=st.integers(0, 6), minimum=st.integers(0, 100), extra=st.integers(1, 200), members=MEMBERS)
def test_percentages_are_kept(desired: int, minimum: int, extra: int, members: list[Member]) -> None:
    maximum = minimum + extra
    decision = decide(desired, minimum, maximum, members)
    assert len(set(decision.stop)) == len(decision.stop)
    if decision.start:
        assert len(members) + decision.start <= ceiling(desired, maximum)
    left = [one for one in members if one.task not in decision.stop]
    before = sum(1 for one in members if one.healthy)
    after = sum(1 for one in left if one.healthy)
    surplus = max(0, sum(1 for one in members if one.primary and not one.failing) - desired)
    assert after >= min(before, floor(desired, minimum)) - surplus
    assert sum(1 for one in left if one.primary and not one.failing) + decision.start <= max(
        desired, sum(1 for one in left if one.primary and not one.failing)
    )


@given(desired=st.integers(0, 6), members=MEMBERS)
def test_at_the_goal_nothing_is_done(desired: int, members: list[Member]) -> None:
    goal = [member(number) for number in range(desired)]
    decision = decide(desired, 100, 200, goal)
    assert (decision.start, decision.stop, decision.blocked) == (0, (), False)
