"""The planner: one owner per host object, no needless work; names; what completes an interface."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.lower import lower
from ecsnet.fabric.kernel.plan import OwnershipError, Planner, published_by
from ecsnet.hostplan.balancer import EnvoyResource
from ecsnet.hostplan.kernel import Address, HostObject, Namespace, NftElement, PolicyRule, Route
from ecsnet.logical.base import Delta, LogicalObject
from ecsnet.logical.network import Host, Port

BALANCER = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/0123456789abcdef"


class Thing(LogicalObject, frozen=True, kw_only=True, gc=False):
    name: str
    addresses: tuple[str, ...]


def _lower(thing: LogicalObject) -> Iterator[HostObject]:
    assert isinstance(thing, Thing)
    yield Namespace(name=thing.name, owner=thing.name)
    for address in thing.addresses:
        yield Address(netns=thing.name, link="lo", address=address)


def _delta(added: set[Thing] = frozenset(), removed: set[Thing] = frozenset()) -> Delta:  # type: ignore[assignment]
    return Delta(added=frozenset(added), removed=frozenset(removed))


def test_a_changed_object_touches_only_what_differs() -> None:
    planner = Planner(_lower)
    one, two = Thing(name="a", addresses=("1", "2")), Thing(name="a", addresses=("2", "3"))
    planner.apply(_delta({one}))
    put, remove = planner.apply(_delta({two}, {one}))
    assert [item.key for item in put] == ["address:a/lo/3"]
    assert remove == ("address:a/lo/1",)
    assert {item.key for item in planner.all()} == {"netns:a", "address:a/lo/2", "address:a/lo/3"}


def test_two_owners_of_one_object_are_a_fault() -> None:
    planner = Planner(_lower)
    planner.apply(_delta({Thing(name="a", addresses=())}))
    with pytest.raises(OwnershipError, match="netns:a"):
        planner.apply(_delta({Thing(name="a", addresses=("1",))}))


@pytest.mark.parametrize(
    ("make", "identifier", "name"),
    [
        (naming.router_namespace, "vpc-0123456789abcdef0", "r0123456789ab"),
        (naming.task_namespace, "arn:aws:ecs:us-east-1:1:task/c/0123456789abcdef0123456789abcdef", "t0123456789ab"),
        (naming.task_namespace, "0123456789abcdef0123456789abcdef", "t0123456789ab"),
        (naming.load_balancer_namespace, BALANCER, "b0123456789ab"),
        (naming.gateway_namespace, "igw-0123456789abcdef0", "g0123456789ab"),
        (naming.nat_gateway_namespace, "nat-0123456789abcdef0", "n0123456789ab"),
        (naming.interface_link, "eni-0123456789abcdef0", "e0123456789ab"),
    ],
)
def test_names_fit_the_kernel(make: object, identifier: str, name: str) -> None:
    assert make(identifier) == name  # type: ignore[operator]
    assert len(name) <= 15


@pytest.mark.parametrize("identifier", ["", "vpc-", "vpc-x;reboot", "../../etc", "vpc-ABC", "vpc-0 1"])
def test_no_name_is_made_from_anything_else(identifier: str) -> None:
    with pytest.raises(ValueError, match="hex digits"):
        naming.router_namespace(identifier)


def _port(**changes: object) -> Port:
    given: dict[str, object] = {
        "router": "vpc-0123456789abcdef0",
        "id": "eni-00000000000000001",
        "segment": "subnet-00000000000000001",
        "segment_number": 1,
        "mac": "02:00:00:00:00:01",
        "addresses": (IPv4Address("10.0.1.10"),),
        "network": IPv4Network("10.0.1.0/24"),
        "gateway": IPv4Address("10.0.1.1"),
        "host": "0123456789abcdef0123456789abcdef",
        "host_kind": "task",
        "index": 0,
        "checked": True,
        "group_set": 1,
    }
    return Port(**{**given, **changes})  # type: ignore[arg-type]


def test_an_interface_is_complete_when_its_published_key_is_in_force() -> None:
    port = _port()
    published = [item for item in lower(port) if published_by(item) is not None]
    assert {published_by(item) for item in published} == {("interface", port.id)}
    assert {item.key for item in published} == {naming.published_key(port.router, port.id)}


def test_the_published_element_waits_for_everything_of_the_interface() -> None:
    items = list(lower(_port()))
    keys = {item.key for item in items}
    for element in items:
        if isinstance(element, NftElement) and element.publish:
            others = {item.key for item in items if not (isinstance(item, NftElement) and item.publish)}
            waited = set(element.needs)
            links = {key for key in others if key.startswith("link:")}
            assert others - links <= waited
            assert any(set(item.needs) & links for item in items if item.key in waited), "the link is waited for too"
            assert not waited & (keys - others)


def test_a_gateways_interface_publishes_itself_as_open() -> None:
    port = _port(host_kind="nat", host="nat-00000000000000001", group_set=None, checked=False)
    published = [item for item in lower(port) if isinstance(item, NftElement) and item.publish]
    assert [(item.set, item.value) for item in published] == [("sgs", "ffff:0")]
    assert not any(isinstance(item, NftElement) and item.set in ("source4", "receiver4") for item in lower(port))


def test_a_balancers_second_interface_answers_from_its_own_table() -> None:
    first = [*lower(_port(host_kind="balancer", host=BALANCER, index=0))]
    second = [*lower(_port(host_kind="balancer", host=BALANCER, index=1, addresses=(IPv4Address("10.0.1.11"),)))]
    for items, tables in ((first, {100, 254}), (second, {101})):
        inside = [i for i in items if isinstance(i, Route) and i.netns.startswith("b")]
        assert {route.table for route in inside} == tables
        (rule,) = [i for i in items if isinstance(i, PolicyRule)]
        assert rule.table in tables
    assert not {i.key for i in first if not isinstance(i, Namespace)} & {i.key for i in second} - {
        key for key in (i.key for i in second) if "e000000000000" in key
    }


def test_an_ipv6_address_brings_the_link_local_gateway() -> None:
    items = list(lower(_port(addresses=(IPv4Address("10.0.1.10"), IPv6Address("2600::10")))))
    keys = {item.key for item in items}
    assert "address:r0123456789ab/e000000000000/fe80:ec2::1/128" in keys
    assert "route:t0123456789ab/254/::/0" in keys
    assert "fe80:ec2::1" not in str([item.key for item in lower(_port())])


def test_a_load_balancer_is_complete_with_its_namespace_and_listeners() -> None:
    (namespace,) = lower(Host(id=BALANCER, kind="balancer"))
    assert published_by(namespace) == ("load_balancer", BALANCER)
    (task,) = lower(Host(id="arn:aws:ecs:us-east-1:1:task/c/0123456789abcdef0123456789abcdef", kind="task"))
    assert published_by(task) is None
    listener = EnvoyResource(kind="listener", name="l", body=b"{}", owner=BALANCER)
    assert published_by(listener) == ("load_balancer", BALANCER)
    assert published_by(EnvoyResource(kind="cluster", name="c", body=b"{}", owner="x")) is None
