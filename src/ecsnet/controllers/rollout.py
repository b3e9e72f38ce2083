"""How many tasks a service starts and which it stops: pure arithmetic over what its tasks are.

Rules: ECS API `DeploymentConfiguration` (minimumHealthyPercent is rounded up, maximumPercent down) and Developer Guide,
"Rolling update" and "How the service scheduler replaces unhealthy tasks".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One task of the service that is to run (desired status RUNNING)."""

    task: str
    primary: bool
    """Belongs to the PRIMARY deployment."""
    running: bool
    healthy: bool
    """Counts towards the minimum healthy percent."""
    failing: bool
    """Fails its health checks and is to be replaced; such a member is not healthy."""
    az: str | None
    created: float
    place: str | None = None
    """The container instance; None on Fargate."""
    protected: bool = False
    """Neither scale-in nor a deployment may stop it (UpdateTaskProtection)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    start: int
    stop: tuple[str, ...]
    """Tasks to stop: surplus, of an older deployment, or failing."""
    blocked: bool = False
    """The percentages allow neither a start nor a stop."""


def floor(desired: int, minimum_percent: int) -> int:
    """The tasks that must stay healthy."""
    return -(-desired * minimum_percent // 100)


def ceiling(desired: int, maximum_percent: int) -> int:
    """The tasks that may exist at once."""
    return desired * maximum_percent // 100


def decide(desired: int, minimum_percent: int, maximum_percent: int, members: Sequence[Member]) -> Decision:
    """What to do next for a service that wants `desired` tasks of its PRIMARY deployment.

    A failing task is replaced before it is stopped when the maximum allows a further task, else it is stopped first.
    """
    sound = [one for one in members if one.primary and not one.failing]
    missing = max(0, desired - len(sound))
    slots = max(0, ceiling(desired, maximum_percent) - len(members))
    start = min(missing, slots)

    stop = [one.task for one in _surplus([one for one in sound if not one.protected], len(sound) - desired)]
    stop += [one.task for one in members if one.failing and _may_go(one, sound, desired, missing, slots)]
    gone = set(stop)
    room = sum(1 for one in members if one.healthy and one.task not in gone) - floor(desired, minimum_percent)
    older = (one for one in members if not one.primary and not one.failing and not one.protected)
    for one in sorted(older, key=_first_to_go):
        if not one.healthy:
            stop.append(one.task)
        elif room > 0:
            stop.append(one.task)
            room -= 1
    return Decision(
        start=start, stop=tuple(stop), blocked=missing > 0 and not start and not stop and not _waits(members)
    )


def _may_go(one: Member, sound: Sequence[Member], desired: int, missing: int, slots: int) -> bool:
    """Whether a failing task may be stopped: it is old, its replacement is healthy, or there is no room for one."""
    if not one.primary:
        return True
    return sum(1 for other in sound if other.healthy) >= desired or (missing > 0 and slots == 0)


def _waits(members: Sequence[Member]) -> bool:
    """Whether something is under way that will make room by itself."""
    return any(one.primary and not one.healthy for one in members)


def _first_to_go(one: Member) -> tuple[bool, bool, float]:
    return one.running, one.healthy, -one.created


def _surplus(sound: Sequence[Member], count: int) -> list[Member]:
    """`count` members to give up: what does not run yet first, then from the fullest zone, the newest first."""
    left = list(sound)
    chosen: list[Member] = []
    zones = Counter(one.az for one in left)
    for _ in range(min(max(0, count), len(left))):
        one = min(left, key=lambda one: (one.running, one.healthy, -zones[one.az], -one.created, one.task))
        left.remove(one)
        zones[one.az] -= 1
        chosen.append(one)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonDecision:
    start: tuple[str, ...]
    """Container instances that get a task."""
    stop: tuple[str, ...]


def decide_daemon(places: Sequence[str], minimum_percent: int, members: Sequence[Member]) -> DaemonDecision:
    """What to do next for a service that wants one task on each of `places` (Developer Guide, "Daemon").

    A task of an older deployment is stopped first and its successor started on the same instance, because the maximum
    percent of a daemon service is 100; how many at once, the minimum healthy percent says.
    """
    wanted = frozenset(places)
    stop: list[str] = []
    held: dict[str, Member] = {}
    older: list[Member] = []
    for one in sorted(members, key=lambda one: (not one.healthy, not one.running, one.created, one.task)):
        if one.place not in wanted or one.failing or (one.primary and one.place in held):
            stop.append(one.task)
        elif one.primary:
            held[one.place] = one
        else:
            older.append(one)
    doubled = [one for one in older if one.place in held]
    stop += [one.task for one in doubled]
    older = [one for one in older if one.place not in held]
    gone = set(stop)
    room = sum(1 for one in members if one.healthy and one.task not in gone) - floor(len(wanted), minimum_percent)
    for one in sorted(older, key=_first_to_go):
        if not one.healthy:
            stop.append(one.task)
        elif room > 0:
            stop.append(one.task)
            room -= 1
    gone = set(stop)
    occupied = {one.place for one in members if one.task not in gone}
    return DaemonDecision(start=tuple(place for place in places if place not in occupied), stop=tuple(stop))
