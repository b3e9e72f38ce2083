"""Where a task is placed: pure decisions over candidates (Developer Guide, "Task placement").

The order is that of the guide: first what the task needs (agent, attributes, CPU, memory, ports, interface, zone), then
the constraints, then the strategies. Whoever cannot be chosen says why, in the words of RunTask's failures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ecsnet.model.capacity import (
    ContainerInstance,
    PlacementConstraint,
    PlacementStrategy,
    Reservation,
    attribute_values,
)
from ecsnet.services.ecs import query

AGENT, ATTRIBUTE, LOCATION = "AGENT", "ATTRIBUTE", "LOCATION"
CPU, MEMORY, PORTS, ENI = "RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:PORTS", "RESOURCE:ENI"
DISTINCT = "DistinctInstance placement constraint unsatisfied."
MEMBER_OF = "MemberOf placement constraint unsatisfied."

SERVICE_DEFAULT = (
    PlacementStrategy(type="spread", field="attribute:ecs.availability-zone"),
    PlacementStrategy(type="spread", field="instanceId"),
)
"""A service without a strategy: spread over zones, then where fewest tasks of it run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a task asks of an instance. `take.dynamic` is empty: those ports are chosen once the instance is."""

    take: Reservation
    dynamic: int = 0
    """How many host ports have to be found."""
    attributes: tuple[tuple[str, str | None], ...] = ()
    """requiresAttributes of the definition."""
    group: str = ""
    zones: frozenset[tuple[str, str]] | None = None
    """(VPC, Availability Zone) pairs in which the task's interface may be made; None without an interface."""
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An instance, and how many tasks that are to run it has: of a task group, and in all."""

    instance: ContainerInstance
    count: Callable[[str], int]
    running: int = 0

    def attribute(self, name: str) -> tuple[bool, str | None]:
        values = attribute_values(self.instance)
        return name in values, values.get(name)

    def member(self, name: str) -> str | None:
        one = self.instance
        match name:
            case "agentConnected":
                return "true" if one.agent_connected else "false"
            case "agentVersion":
                return one.agent_version
            case "ec2InstanceId":
                return one.instance
            case "registeredAt":
                return datetime.fromtimestamp(one.registered, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            case _:
                return str(self.running)

    def runs(self, group: str) -> bool:
        return self.count(group) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a candidate cannot take the task. The later the check that failed, the closer it was."""

    instance: ContainerInstance
    reason: str
    rank: int


_CHECKS = (AGENT, ATTRIBUTE, LOCATION, CPU, MEMORY, PORTS, ENI, MEMBER_OF, DISTINCT)


def refusal(need: Need, candidate: Candidate, constraints: Sequence[PlacementConstraint]) -> Refusal | None:
    """The first thing that forbids the task on the instance; None when nothing does."""
    reason = _refused(need, candidate, constraints)
    if reason is None:
        return None
    return Refusal(instance=candidate.instance, reason=reason, rank=_CHECKS.index(reason))


def _refused(need: Need, candidate: Candidate, constraints: Sequence[PlacementConstraint]) -> str | None:
    one, take = candidate.instance, need.take
    if not one.agent_connected:
        return AGENT
    values = attribute_values(one)
    if any(name not in values or want not in (None, values[name]) for name, want in need.attributes):
        return ATTRIBUTE
    if need.zones is not None and (one.vpc, one.az) not in need.zones:
        return LOCATION
    if take.cpu > one.cpu - one.used.cpu:
        return CPU
    if take.memory > one.memory - one.used.memory:
        return MEMORY
    if not _ports_free(one, take):
        return PORTS
    if take.enis > one.task_enis - one.used.enis:
        return ENI
    for constraint in constraints:
        match constraint.type:
            case "distinctInstance":
                if candidate.runs(need.group):
                    return DISTINCT
            case "memberOf":
                if not query.parse(constraint.expression or "").holds(candidate):
                    return MEMBER_OF
    return None


def _ports_free(one: ContainerInstance, take: Reservation) -> bool:
    """A port that was given out dynamically is as taken as a static one, although PORTS does not count it."""
    dynamic = set(one.used.dynamic)
    tcp = dynamic.union(one.used.ports, one.reserved_ports)
    udp = dynamic.union(one.used.ports_udp, one.reserved_ports_udp)
    return tcp.isdisjoint(take.ports) and udp.isdisjoint(take.ports_udp)


def choose(
    need: Need,
    candidates: Sequence[Candidate],
    constraints: Sequence[PlacementConstraint] = (),
    strategies: Sequence[PlacementStrategy] = (),
    *,
    seed: int = 0,
) -> ContainerInstance | tuple[Refusal, ...]:
    """The instance for one task, or why each candidate was refused (empty when there is none).

    `seed` decides where strategies leave a choice; the same seed chooses the same.
    """
    refused: list[Refusal] = []
    left: list[Candidate] = []
    for candidate in candidates:
        against = refusal(need, candidate, constraints)
        if against is None:
            left.append(candidate)
        else:
            refused.append(against)
    if not left:
        return tuple(sorted(refused, key=lambda one: (-one.rank, one.instance.arn)))
    for strategy in strategies:
        left = _best(strategy, left, candidates, need.group, seed)
    left.sort(key=lambda one: one.instance.arn)
    return left[seed % len(left)].instance


def _best(
    strategy: PlacementStrategy, left: list[Candidate], every: Sequence[Candidate], group: str, seed: int
) -> list[Candidate]:
    """Those of `left` that a strategy prefers. A place is as full as all its instances, also those that are full."""
    match strategy.type:
        case "random":
            left.sort(key=lambda one: one.instance.arn)
            return [left[seed % len(left)]]
        case "binpack":
            free = {one.instance.arn: _free(one.instance, strategy.field) for one in left}
            least = min(free.values())
            return [one for one in left if free[one.instance.arn] == least]
        case "spread":
            filled: dict[str | None, int] = {}
            for one in every:
                place = spread_place(one.instance, strategy.field)
                filled[place] = filled.get(place, 0) + one.count(group)
            least = min(filled[spread_place(one.instance, strategy.field)] for one in left)
            return [one for one in left if filled[spread_place(one.instance, strategy.field)] == least]


def _free(one: ContainerInstance, field: str) -> int:
    return one.cpu - one.used.cpu if field.lower() == "cpu" else one.memory - one.used.memory


def spread_place(one: ContainerInstance, field: str) -> str | None:
    """The place that a spread strategy counts an instance to; those without the attribute share one."""
    if field in ("instanceId", "host"):
        return one.arn
    return attribute_values(one).get(field.removeprefix("attribute:"))
