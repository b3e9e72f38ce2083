"""Address picks as properties: never twice, never reserved, and all that are free can be had."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from ec2_account import Ec2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ecsnet.model.tables import SCHEMA, SUBNETS
from ecsnet.services.ec2 import addressing, ops
from ecsnet.store.store import Store

SIZE = 11


class AddressesOfASubnet(RuleBasedStateMachine):
    """A /28 in which interfaces come and go, against a plain set of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(None, SCHEMA)
        self.ec2 = Ec2(store=self.store)
        self.ec2.quotas["addresses_per_interface"] = 2 * SIZE
        self.subnet = self.ec2.subnet(self.ec2.vpc("10.0.0.0/24"), "10.0.0.16/28")
        self.held: dict[str, set[IPv4Address]] = {}

    def teardown(self) -> None:
        self.store.close()

    @property
    def taken(self) -> set[IPv4Address]:
        return set().union(*self.held.values())

    @rule()
    def allocate(self) -> None:
        if len(self.taken) == SIZE:
            code, _ = self.ec2.error("CreateNetworkInterface", SubnetId=self.subnet)
            assert code == "InsufficientFreeAddressesInSubnet"
            return
        eni = self.ec2.interface(self.subnet)
        address = IPv4Address(eni["PrivateIpAddress"])
        assert address not in self.taken
        self.held[eni["NetworkInterfaceId"]] = {address}

    @rule(offset=st.integers(0, 15))
    def allocate_named(self, offset: int) -> None:
        address = IPv4Address("10.0.0.16") + offset
        free = 4 <= offset < 15 and address not in self.taken
        request = {"SubnetId": self.subnet, "PrivateIpAddress": str(address)}
        if free:
            eni = self.ec2("CreateNetworkInterface", **request)["NetworkInterface"]
            self.held[eni["NetworkInterfaceId"]] = {address}
        else:
            self.ec2.error("CreateNetworkInterface", **request)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), count=st.integers(1, 3))
    def assign(self, data: st.DataObject, count: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        request = {"NetworkInterfaceId": key, "SecondaryPrivateIpAddressCount": count}
        if len(self.taken) + count > SIZE:
            assert self.ec2.error("AssignPrivateIpAddresses", **request)[0] == "InsufficientFreeAddressesInSubnet"
            return
        reply = self.ec2("AssignPrivateIpAddresses", **request)
        new = {IPv4Address(one["PrivateIpAddress"]) for one in reply["AssignedPrivateIpAddresses"]}
        assert len(new) == count
        assert not new & self.taken
        self.held[key] |= new

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.ec2.verb(ops.release_interface, key)
        del self.held[key]

    @invariant()
    def the_count_is_right(self) -> None:
        row = self.store.snapshot.get(SUBNETS, self.subnet)
        assert row is not None
        assert addressing.free_count(self.store.snapshot, row) == SIZE - len(self.taken)
        assert all(addressing.is_usable(IPv4Network("10.0.0.16/28"), address) for address in self.taken)


TestAddressesOfASubnet = AddressesOfASubnet.TestCase
TestAddressesOfASubnet.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@settings(max_examples=200, deadline=None)
@given(prefix=st.integers(16, 28), base=st.integers(0, 2**32 - 1), offset=st.integers(0, 2**16 - 1))
def test_five_addresses_of_every_subnet_are_reserved(prefix: int, base: int, offset: int) -> None:
    """VPC User Guide, "Subnet sizing": the first four and the last."""
    block = IPv4Network((base, prefix), strict=False)
    address = block.network_address + offset % block.num_addresses
    reserved = {block.network_address + number for number in range(4)} | {block.broadcast_address}
    assert addressing.is_usable(block, address) is (address not in reserved)
    assert addressing.usable_count(block) == block.num_addresses - 5


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 40))
def test_public_addresses_are_unique_over_all_accounts(bare: Ec2, count: int) -> None:
    """Elastic IPs and automatic addresses come from one pool, without the part that the internet side uses."""
    bare.quotas["elastic_ips_per_region"] = 10_000
    owners = [bare, bare.other(account="222233334444"), bare.other(region="eu-west-1")]
    for number in range(count):
        owners[number % 3]("AllocateAddress")
    rows = list(bare.store.snapshot.tables["elastic_ip"].values())
    held = {row.public_ip for row in rows}
    assert len(held) == len(rows)
    assert all(address in IPv4Network("198.18.0.0/15") for address in held)
    assert not any(address in IPv4Network("198.19.255.0/24") for address in held)


def test_the_pick_searches_when_drawing_does_not_help(ec2: Ec2) -> None:
    """A source of chance that always says the same still finds the last free address."""
    subnet = ec2.subnet(ec2.vpc("10.0.0.0/16"), "10.0.0.0/28")
    ec2.ids.hex = lambda digits: "0" * digits  # type: ignore[method-assign]
    found = [ec2.interface(subnet)["PrivateIpAddress"] for _ in range(SIZE)]
    assert found == [f"10.0.0.{number}" for number in range(4, 15)]


def test_macs_are_local_and_made_from_the_id() -> None:
    assert addressing.mac_of("eni-0123456789abcdef0") == "02:78:9a:bc:de:f0"
    assert addressing.mac_of("eni-1") == "02:00:00:00:00:01"
