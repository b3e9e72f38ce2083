"""Addresses of bridge containers: upwards, wrapping, none twice, and none left."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec
import pytest

from ecsnet.model.capacity import BRIDGE_NETWORK, ContainerInstance, Reservation
from ecsnet.model.ecs import ContainerDefinition, TaskDefinition
from ecsnet.services.ecs import bridge_addresses


def definition(mode: str, *names: str) -> TaskDefinition:
    return TaskDefinition(
        arn="d",
        account="a",
        region="r",
        family="f",
        number=1,
        network_mode=mode,  # type: ignore[arg-type]
        containers=tuple(ContainerDefinition(name=name, image="x") for name in names),
        body="{}",
        registered=0.0,
    )


def instance(*used: str, last: str = "172.17.0.1") -> ContainerInstance:
    return ContainerInstance(
        arn="i",
        account="a",
        region="r",
        id="1",
        cluster="c",
        instance="i-1",
        cpu=1,
        memory=1,
        registered=0.0,
        used=Reservation(addresses=tuple(map(IPv4Address, used))),
        last_address=IPv4Address(last),
    )


def test_addresses_go_upwards_and_are_not_given_again_at_once() -> None:
    row, given = bridge_addresses.give(instance(), definition("bridge", "a", "b"))
    assert [str(address) for _, address in given] == ["172.17.0.2", "172.17.0.3"]
    _, given = bridge_addresses.give(row, definition("bridge", "a"))
    assert [str(address) for _, address in given] == ["172.17.0.4"]


def test_the_search_wraps_and_leaves_out_what_is_taken() -> None:
    _, given = bridge_addresses.give(instance("172.17.0.2", last="172.17.255.253"), definition("bridge", "a", "b"))
    assert [str(address) for _, address in given] == ["172.17.255.254", "172.17.0.3"]


def test_a_full_network_is_refused() -> None:
    every = tuple(BRIDGE_NETWORK.hosts())[1:]
    full = msgspec.structs.replace(instance(), used=Reservation(addresses=every[:-1]))
    _, given = bridge_addresses.give(full, definition("bridge", "a"))
    assert given == (("a", every[-1]),)
    with pytest.raises(bridge_addresses.NoAddressError):
        bridge_addresses.give(full, definition("bridge", "a", "b"))


def test_other_modes_have_no_address_of_it() -> None:
    assert bridge_addresses.give(instance(), definition("host", "a"))[1] == ()
