"""Every name that a user may give a place, and what is said of one that nobody has."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec
import pytest
import rows

from ecsnet.control.places import NotFoundError, resolve
from ecsnet.model import ec2, ecs
from ecsnet.model import tables as t
from ecsnet.store.store import Store

TASK = "0001" + "0" * 28
SERVICE = f"arn:aws:ecs:{rows.REGION}:{rows.ACCOUNT}:service/default/api"


@pytest.fixture
def store() -> Store:
    store = Store(None, t.SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
        task = msgspec.structs.replace(rows.task(1, 2), service=SERVICE, group="service:api")
        tx.put(t.TASKS, task)
        tx.put(
            t.SERVICES,
            ecs.Service(
                arn=SERVICE, account=rows.ACCOUNT, region=rows.REGION, name="api", cluster="default", created=0.0,
                desired=1, deployments=(), body="{}",
            ),
        )  # fmt: skip
    return store


@pytest.mark.parametrize("name", [TASK, TASK[:6], rows.task_arn(1), "api", "service:api", "10.0.2.10"])
def test_a_task_by_its_names(store: Store, name: str) -> None:
    place = resolve(store.snapshot, name)
    assert (place.kind, place.id, place.namespace) == ("task", rows.task_arn(1), "t000100000000")
    assert place.label == f"task api {TASK[:12]}"
    assert [(end.interface, end.device) for end in place.ends] == [(rows.identifier("eni", 2), "eth0")]
    assert place.addresses == (IPv4Address("10.0.2.10"),)


@pytest.mark.parametrize(
    "name",
    ["web", "load-balancer:web", rows.load_balancer_arn(1), "web.example", rows.identifier("eni", 1), "198.18.0.1"],
)
def test_a_load_balancer_by_its_names(store: Store, name: str) -> None:
    place = resolve(store.snapshot, name)
    assert (place.kind, place.id, place.namespace) == ("load balancer", rows.load_balancer_arn(1), "b000100000000")
    assert place.ends[0].public == (IPv4Address("198.18.0.1"),)


def test_a_public_address_is_where_packets_to_the_place_go(store: Store) -> None:
    assert resolve(store.snapshot, "198.18.0.1").addresses[0] == IPv4Address("198.18.0.1")
    assert resolve(store.snapshot, "198.18.0.2").kind == "NAT gateway"
    assert resolve(store.snapshot, rows.identifier("nat", 1)).addresses == (IPv4Address("10.0.1.9"),)


def test_an_address_of_two_vpcs_needs_the_vpc(store: Store) -> None:
    with store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc(2))
        rows.put_interface(tx, rows.interface(9, "10.0.2.10", 9, vpc=rows.identifier("vpc", 2)))
    with pytest.raises(NotFoundError, match="is in 2 VPCs"):
        resolve(store.snapshot, "10.0.2.10")
    place = resolve(store.snapshot, "10.0.2.10", rows.identifier("vpc", 2))
    assert (place.kind, place.namespace) == ("interface", None)
    assert place.label.endswith("(not attached)")


def test_an_address_that_nobody_has_is_a_place_without_ends(store: Store) -> None:
    place = resolve(store.snapshot, "10.0.2.99")
    assert (place.kind, place.ends, place.namespace) == ("address", (), None)
    assert resolve(store.snapshot, "internet").namespace == "internet"


def test_two_things_of_one_name_are_told_apart(store: Store) -> None:
    with store.transaction() as tx:
        tx.put(t.LOAD_BALANCERS, msgspec.structs.replace(rows.load_balancer(1), name="api"))
    with pytest.raises(NotFoundError) as refused:
        resolve(store.snapshot, "api")
    assert refused.value.hint == "Say service:api or load-balancer:api"
    assert resolve(store.snapshot, "service:api").kind == "task"
    assert resolve(store.snapshot, "load-balancer:api").kind == "load balancer"


@pytest.mark.parametrize(("name", "hint"), [("nobody", "There are: 0002"), ("eni-1", "See: ecsnet map"), ("", "There")])
def test_a_name_that_nothing_has(store: Store, name: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        resolve(store.snapshot, name)
    assert refused.value.hint.startswith(hint)


def test_an_instance_has_a_namespace_once_it_was_seen(store: Store) -> None:
    instance = rows.identifier("i", 7)
    with store.transaction() as tx:
        rows.put_interface(tx, rows.interface(9, "10.0.2.20", 2, owner=("instance", instance)))
    assert resolve(store.snapshot, instance).namespace is None
    with store.transaction() as tx:
        tx.put(t.OBSERVED_INSTANCES, ec2.ObservedInstance(instance=instance, revision=1))
    assert (
        resolve(store.snapshot, "10.0.2.20").namespace == resolve(store.snapshot, instance).namespace == "i000700000000"
    )
