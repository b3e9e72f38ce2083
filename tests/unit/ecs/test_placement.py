"""Placement as pure arithmetic: nobody is chosen who must not be, and the chosen one is what the strategy prefers."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ecsnet.model.capacity import (
    ContainerInstance,
    PlacementConstraint,
    PlacementStrategy,
    Reservation,
    taken,
    without,
)
from ecsnet.services.ecs import placement
from ecsnet.services.ecs.placement import Candidate, Need, choose, refusal, spread_place

GROUP = "service:web"


def instance(number: int, **more: object) -> ContainerInstance:
    given = {
        "arn": f"arn:{number}",
        "account": "1",
        "region": "r",
        "id": f"{number}",
        "cluster": "c",
        "instance": f"i-{number}",
        "cpu": 2048,
        "memory": 4096,
        "registered": 0.0,
        "agent_connected": True,
        "reserved_ports": (22,),
        "task_enis": 2,
        "vpc": "vpc-1",
        "az": "a",
    } | more
    return ContainerInstance(**given)  # type: ignore[arg-type]


def candidate(row: ContainerInstance, groups: Counter[str] | None = None) -> Candidate:
    counts = groups if groups is not None else Counter()
    return Candidate(instance=row, count=lambda group: counts[group], running=counts.total())


def reason(need: Need, row: ContainerInstance, *constraints: PlacementConstraint, **groups: int) -> str | None:
    against = refusal(need, candidate(row, Counter(groups)), constraints)
    return against.reason if against is not None else None


def test_every_reason() -> None:
    one = instance(1, attributes=(("stack", "prod"),))
    need = Need(take=Reservation(), group="g")
    assert reason(need, one) is None
    assert reason(need, msgspec.structs.replace(one, agent_connected=False)) == "AGENT"
    assert reason(Need(take=Reservation(), attributes=(("x", None),)), one) == "ATTRIBUTE"
    assert reason(Need(take=Reservation(), attributes=(("stack", "test"),)), one) == "ATTRIBUTE"
    assert reason(Need(take=Reservation(), zones=frozenset({("vpc-1", "b")})), one) == "LOCATION"
    assert reason(Need(take=Reservation(), zones=frozenset({("vpc-2", "a")})), one) == "LOCATION"
    assert reason(Need(take=Reservation(cpu=2049)), one) == "RESOURCE:CPU"
    assert reason(Need(take=Reservation(memory=4097)), one) == "RESOURCE:MEMORY"
    assert reason(Need(take=Reservation(ports=(22,))), one) == "RESOURCE:PORTS"
    assert reason(Need(take=Reservation(ports_udp=(22,))), one) is None
    assert reason(Need(take=Reservation(enis=3)), one) == "RESOURCE:ENI"
    assert reason(need, one, PlacementConstraint(type="distinctInstance"), g=1) == placement.DISTINCT
    assert reason(need, one, PlacementConstraint(type="distinctInstance"), other=1) is None
    test = PlacementConstraint(type="memberOf", expression="attribute:stack == test")
    assert reason(need, one, test) == placement.MEMBER_OF


def test_a_port_given_out_dynamically_is_taken() -> None:
    one = instance(1, used=Reservation(dynamic=(32768,)))
    assert reason(Need(take=Reservation(ports=(32768,))), one) == "RESOURCE:PORTS"


def test_the_closest_is_named_first() -> None:
    far, near = instance(1, agent_connected=False), instance(2, used=Reservation(memory=4096))
    refused = choose(Need(take=Reservation(memory=1)), [candidate(far), candidate(near)])
    assert isinstance(refused, tuple)
    assert [(one.instance.id, one.reason) for one in refused] == [("2", "RESOURCE:MEMORY"), ("1", "AGENT")]


def test_binpack_fills_the_fullest_first() -> None:
    rows = [instance(1, used=Reservation(memory=100)), instance(2, used=Reservation(memory=3000)), instance(3)]
    found = choose(
        Need(take=Reservation(memory=512)),
        [candidate(row) for row in rows],
        strategies=[PlacementStrategy(type="binpack", field="memory")],
    )
    assert found == rows[1]


def test_spread_counts_instances_that_are_full() -> None:
    """Zone a has two tasks on its full instance: the next one goes to b although a's other instance is empty."""
    full, empty, other = instance(1, used=Reservation(cpu=2048)), instance(2), instance(3, az="b")
    zones = {"1": "a", "2": "a", "3": "b"}
    rows = [
        msgspec.structs.replace(row, attributes=(("ecs.availability-zone", zones[row.id]),))
        for row in (full, empty, other)
    ]
    found = choose(
        Need(take=Reservation(cpu=1), group=GROUP),
        [
            candidate(rows[0], Counter({GROUP: 2})),
            candidate(rows[1]),
            candidate(rows[2], Counter({GROUP: 1})),
        ],
        strategies=placement.SERVICE_DEFAULT,
    )
    assert found == rows[2]


SIZES = st.builds(
    Reservation,
    cpu=st.integers(0, 1024),
    memory=st.integers(0, 2048),
    ports=st.sampled_from([(), (80,), (80, 443), (22,)]),
    enis=st.integers(0, 1),
)
STRATEGIES = st.sampled_from(
    [
        (),
        placement.SERVICE_DEFAULT,
        (PlacementStrategy(type="binpack", field="cpu"),),
        (PlacementStrategy(type="random"),),
        (PlacementStrategy(type="spread", field="host"), PlacementStrategy(type="binpack", field="memory")),
    ]
)
CONSTRAINTS = st.sampled_from(
    [
        (),
        (PlacementConstraint(type="distinctInstance"),),
        (PlacementConstraint(type="memberOf", expression="attribute:ecs.availability-zone != c"),),
    ]
)


@given(
    zones=st.lists(st.sampled_from("abc"), min_size=0, max_size=5),
    wishes=st.lists(SIZES, max_size=25),
    strategies=STRATEGIES,
    constraints=CONSTRAINTS,
    seed=st.integers(0, 65535),
)
def test_no_instance_is_ever_overfilled(
    zones: list[str],
    wishes: list[Reservation],
    strategies: tuple[PlacementStrategy, ...],
    constraints: tuple[PlacementConstraint, ...],
    seed: int,
) -> None:
    rows = {
        f"arn:{number}": instance(number, az=zone, attributes=(("ecs.availability-zone", zone),))
        for number, zone in enumerate(zones)
    }
    groups: dict[str, Counter[str]] = {arn: Counter() for arn in rows}
    placed: list[tuple[str, Reservation]] = []
    for wish in wishes:
        need = Need(take=wish, group=GROUP)
        among = [candidate(row, groups[arn]) for arn, row in rows.items()]
        found = choose(need, among, constraints, strategies, seed=seed)
        able = [one.instance.arn for one in among if refusal(need, one, constraints) is None]
        if isinstance(found, tuple):
            assert able == []
            assert len(found) == len(rows)
            continue
        assert found.arn in able
        if strategies and strategies[0].type == "spread":
            counts: Counter[str | None] = Counter()
            for arn, row in rows.items():
                counts[spread_place(row, strategies[0].field)] += groups[arn][GROUP]
            best = min(counts[spread_place(rows[arn], strategies[0].field)] for arn in able)
            assert counts[spread_place(found, strategies[0].field)] == best
        rows[found.arn] = taken(found, wish)
        groups[found.arn][GROUP] += 1
        placed.append((found.arn, wish))
    for arn, row in rows.items():
        own = [wish for where, wish in placed if where == arn]
        assert row.used.cpu == sum(wish.cpu for wish in own) <= row.cpu
        assert row.used.memory == sum(wish.memory for wish in own) <= row.memory
        assert row.used.enis <= row.task_enis
        assert len(set(row.used.ports)) == len(row.used.ports)
        assert 22 not in row.used.ports
        if any(one.type == "distinctInstance" for one in constraints):
            assert len(own) <= 1
        if any(one.type == "memberOf" for one in constraints):
            assert not own or row.az != "c"
        left = row.used
        for wish in own:
            left = without(left, wish)
        assert left == Reservation()
