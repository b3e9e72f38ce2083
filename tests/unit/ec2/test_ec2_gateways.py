"""Internet gateways, Elastic IPs and NAT gateways."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from ec2_account import Ec2

from ecsnet.model.ec2 import ObservedInterface
from ecsnet.model.tables import NAT_GATEWAYS, OBSERVED_INTERFACES
from ecsnet.services.ec2 import ops

MISSING = "0" * 16 + "f"


@dataclass
class Edge:
    ec2: Ec2
    vpc: str
    subnet: str
    gateway: str

    def nat(self, allocation: str | None = None, **request: object) -> str:
        if allocation is not None:
            request["AllocationId"] = allocation
        reply = self.ec2("CreateNatGateway", SubnetId=self.subnet, **request)
        return str(reply["NatGateway"]["NatGatewayId"])

    def seen(self, nat: str) -> dict[str, object]:
        (row,) = self.ec2("DescribeNatGateways", NatGatewayIds=[nat])["NatGateways"]
        return dict(row)


@pytest.fixture
def edge(ec2: Ec2) -> Edge:
    vpc = ec2.vpc("10.0.0.0/16")
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    return Edge(ec2=ec2, vpc=vpc, subnet=ec2.subnet(vpc, "10.0.0.0/28"), gateway=gateway)


def test_one_gateway_per_vpc(edge: Edge) -> None:
    ec2 = edge.ec2
    again = {"InternetGatewayId": edge.gateway, "VpcId": edge.vpc}
    assert ec2.error("AttachInternetGateway", **again) == (
        "Resource.AlreadyAssociated",
        f"resource {edge.gateway} is already attached to network {edge.vpc}",
    )
    second = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    code, _ = ec2.error("AttachInternetGateway", InternetGatewayId=second, VpcId=edge.vpc)
    assert code == "Resource.AlreadyAssociated"
    assert ec2.error("DetachInternetGateway", InternetGatewayId=second, VpcId=edge.vpc) == (
        "Gateway.NotAttached",
        f"resource {second} is not attached to network {edge.vpc}",
    )
    code, text = ec2.error("DeleteInternetGateway", InternetGatewayId=edge.gateway)
    assert code == "DependencyViolation"
    assert text.startswith(f"The internetGateway '{edge.gateway}' has dependencies and cannot be deleted.")
    assert ec2.error("DeleteInternetGateway", InternetGatewayId=f"igw-{MISSING}") == (
        "InvalidInternetGatewayID.NotFound",
        f"The internetGateway ID 'igw-{MISSING}' does not exist",
    )


def test_a_gateway_with_public_addresses_behind_it_stays(edge: Edge) -> None:
    ec2 = edge.ec2
    eni = ec2.verb(
        ops.allocate_interface,
        subnet=edge.subnet,
        groups=(),
        description="task",
        requester_managed=True,
        requester_id=None,
        attachment=None,
        public_ip=True,
    )
    detach = {"InternetGatewayId": edge.gateway, "VpcId": edge.vpc}
    code, text = ec2.error("DetachInternetGateway", **detach)
    assert code == "DependencyViolation"
    assert text.startswith(
        f"Network {edge.vpc} has some mapped public address(es). Please unmap those public address(es) before "
        "detaching the gateway."
    )
    ec2.verb(ops.release_interface, eni.id)
    ec2("DetachInternetGateway", **detach)


def test_elastic_ip(edge: Edge) -> None:
    ec2 = edge.ec2
    made = ec2("AllocateAddress")
    assert IPv4Address(made["PublicIp"]) in IPv4Network("198.18.0.0/15")
    eni = ec2.interface(edge.subnet)
    key = eni["NetworkInterfaceId"]
    reply = ec2("AssociateAddress", AllocationId=made["AllocationId"], NetworkInterfaceId=key)
    (shown,) = ec2("DescribeAddresses", PublicIps=[made["PublicIp"]])["Addresses"]
    assert shown["PrivateIpAddress"] == eni["PrivateIpAddress"]
    assert shown["AssociationId"] == reply["AssociationId"]
    (seen,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[key])["NetworkInterfaces"]
    assert seen["Association"]["PublicIp"] == made["PublicIp"]
    assert ec2("AssociateAddress", AllocationId=made["AllocationId"], NetworkInterfaceId=key) == reply
    assert ec2.error("ReleaseAddress", AllocationId=made["AllocationId"])[0] == "InvalidIPAddress.InUse"
    ec2("DisassociateAddress", AssociationId=reply["AssociationId"])
    assert ec2.error("DisassociateAddress", AssociationId=reply["AssociationId"]) == (
        "InvalidAssociationID.NotFound",
        f"The association ID '{reply['AssociationId']}' does not exist",
    )
    ec2("ReleaseAddress", AllocationId=made["AllocationId"])
    assert ec2.error("ReleaseAddress", AllocationId=made["AllocationId"]) == (
        "InvalidAllocationID.NotFound",
        f"Allocation ID '{made['AllocationId']}' not found.",
    )
    assert ec2.error("ReleaseAddress", PublicIp=made["PublicIp"]) == (
        "InvalidAddress.NotFound",
        f"Address '{made['PublicIp']}' not found.",
    )


def test_an_address_moves_only_when_allowed(edge: Edge) -> None:
    ec2 = edge.ec2
    first, second = ec2.interface(edge.subnet), ec2.interface(edge.subnet)
    eip, spare = ec2("AllocateAddress"), ec2("AllocateAddress")
    bound = ec2("AssociateAddress", AllocationId=eip["AllocationId"], NetworkInterfaceId=first["NetworkInterfaceId"])[
        "AssociationId"
    ]
    move = {"AllocationId": eip["AllocationId"], "NetworkInterfaceId": second["NetworkInterfaceId"]}
    assert ec2.error("AssociateAddress", **move) == (
        "Resource.AlreadyAssociated",
        f"resource {eip['AllocationId']} is already associated with associate-id {bound}",
    )
    ec2("AssociateAddress", **move, AllowReassociation=True)
    over = {"AllocationId": spare["AllocationId"], "NetworkInterfaceId": second["NetworkInterfaceId"]}
    assert ec2.error("AssociateAddress", **over)[0] == "Resource.AlreadyAssociated"
    ec2("AssociateAddress", **over, AllowReassociation=True)
    by_interface = [{"Name": "network-interface-id", "Values": [second["NetworkInterfaceId"]]}]
    (only,) = ec2("DescribeAddresses", Filters=by_interface)["Addresses"]
    assert only["PublicIp"] == spare["PublicIp"]


def test_address_errors(edge: Edge) -> None:
    ec2 = edge.ec2
    other = ec2.interface(ec2.subnet(ec2.vpc("10.5.0.0/16"), "10.5.0.0/24"))["NetworkInterfaceId"]
    eip = ec2("AllocateAddress")["AllocationId"]
    assert ec2.error("AssociateAddress", AllocationId=eip, NetworkInterfaceId=other)[0] == "Gateway.NotAttached"
    assert ec2.error("AssociateAddress", AllocationId=eip, InstanceId=f"i-{MISSING}")[0] == "InvalidInstanceID.NotFound"
    assert ec2.error("AssociateAddress", AllocationId=eip)[0] == "MissingParameter"
    eni = ec2.interface(edge.subnet)["NetworkInterfaceId"]
    foreign = {"AllocationId": eip, "NetworkInterfaceId": eni, "PrivateIpAddress": "10.0.0.200"}
    assert ec2.error("AssociateAddress", **foreign)[0] == "InvalidParameterValue"
    ec2.quotas["elastic_ips_per_region"] = 1
    assert ec2.error("AllocateAddress") == (
        "AddressLimitExceeded",
        "The maximum number of addresses has been reached.",
    )


def test_an_elastic_ip_replaces_the_automatic_address(edge: Edge) -> None:
    ec2 = edge.ec2
    eni = ec2.verb(
        ops.allocate_interface,
        subnet=edge.subnet,
        groups=(),
        description="",
        requester_managed=False,
        requester_id=None,
        attachment=None,
        public_ip=True,
    )
    assert ops.public_ip_of(ec2.store.snapshot, eni, eni.private_ip) == eni.auto_public_ip
    made = ec2("AllocateAddress")
    ec2("AssociateAddress", AllocationId=made["AllocationId"], NetworkInterfaceId=eni.id)
    (seen,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni.id])["NetworkInterfaces"]
    assert seen["Association"]["PublicIp"] == made["PublicIp"]
    ec2("DisassociateAddress", PublicIp=made["PublicIp"])
    (seen,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni.id])["NetworkInterfaces"]
    assert "Association" not in seen


def test_nat_gateway_life(edge: Edge) -> None:
    ec2 = edge.ec2
    eip = ec2("AllocateAddress")
    nat = edge.nat(eip["AllocationId"])
    (eni,) = ec2("DescribeNetworkInterfaces", Filters=[{"Name": "interface-type", "Values": ["nat_gateway"]}])[
        "NetworkInterfaces"
    ]
    assert eni["Description"] == f"Interface for NAT Gateway {nat}"
    assert (eni["Groups"], eni["SourceDestCheck"], eni["RequesterManaged"]) == ([], False, True)
    assert eni["Association"]["PublicIp"] == eip["PublicIp"]
    assert ec2.error(
        "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni["NetworkInterfaceId"], SourceDestCheck={"Value": True}
    ) == (
        "AuthFailure",
        "You do not have permission to access the specified resource.",
    )
    assert ec2.error("DisassociateAddress", PublicIp=eip["PublicIp"])[0] == "AuthFailure"
    assert edge.seen(nat)["State"] == "pending"
    ec2.verb(ops.make_nat_available, nat)
    assert edge.seen(nat)["State"] == "available"
    ec2("DeleteNatGateway", NatGatewayId=nat)
    assert edge.seen(nat)["State"] == "deleting"
    ec2.verb(ops.make_nat_available, nat)
    assert edge.seen(nat)["State"] == "deleting"
    ec2.verb(ops.finish_nat_delete, nat)
    assert edge.seen(nat)["State"] == "deleted"
    (kept,) = ec2("DescribeAddresses")["Addresses"]
    assert "AssociationId" not in kept
    assert ec2("DescribeNetworkInterfaces")["NetworkInterfaces"] == []
    later = ec2.other(now=ec2.now + 3601)
    assert later("DescribeNatGateways")["NatGateways"] == []
    assert later.error("DescribeNatGateways", NatGatewayIds=[nat]) == (
        "NatGatewayNotFound",
        f"The Nat Gateway {nat} was not found",
    )
    later.verb(ops.forget_nat_gateway, nat)
    assert not later.store.snapshot.tables["nat_gateway"]


@pytest.mark.parametrize("verb", [ops.make_nat_available, ops.finish_nat_delete])
def test_the_controllers_verbs_ignore_what_is_gone(ec2: Ec2, verb: object) -> None:
    assert ec2.verb(verb, f"nat-{MISSING}") is None


def test_a_nat_gateway_fails_as_on_aws(edge: Edge) -> None:
    """AWS accepts the call and shows the reason later, in state failed."""
    ec2 = edge.ec2
    used = ec2("AllocateAddress")["AllocationId"]
    ec2("AssociateAddress", AllocationId=used, NetworkInterfaceId=ec2.interface(edge.subnet)["NetworkInterfaceId"])
    lonely = ec2.subnet(ec2.vpc("10.9.0.0/16"), "10.9.0.0/24")
    free = ec2("AllocateAddress")["AllocationId"]
    for _ in range(10):
        ec2.interface(edge.subnet)
    for subnet, allocation, code, text in (
        (edge.subnet, used, "Resource.AlreadyAssociated", f"Elastic IP address {used} is already associated"),
        (lonely, free, "Gateway.NotAttached", "has no Internet gateway attached"),
        (
            edge.subnet,
            free,
            "InsufficientFreeAddressesInSubnet",
            "Subnet has insufficient free addresses to create this NAT gateway",
        ),
    ):
        made = ec2("CreateNatGateway", SubnetId=subnet, AllocationId=allocation)["NatGateway"]
        assert made["State"] == "pending"
        assert "FailureCode" not in made
        ec2.verb(ops.make_nat_available, made["NatGatewayId"])
        seen = edge.seen(made["NatGatewayId"])
        assert (seen["State"], seen["FailureCode"]) == ("failed", code)
        assert text in str(seen["FailureMessage"])
        ec2("DeleteNatGateway", NatGatewayId=made["NatGatewayId"])
        assert edge.seen(made["NatGatewayId"])["State"] == "deleted"


def test_private_nat_gateway(edge: Edge) -> None:
    nat = edge.nat(ConnectivityType="private", PrivateIpAddress="10.0.0.9")
    addresses = edge.seen(nat)["NatGatewayAddresses"]
    assert isinstance(addresses, list)
    assert addresses[0]["PrivateIp"] == "10.0.0.9"
    assert "PublicIp" not in addresses[0]


def test_nat_gateway_errors(edge: Edge) -> None:
    ec2 = edge.ec2
    assert ec2.error("CreateNatGateway", SubnetId=edge.subnet) == (
        "MissingParameter",
        "The request must include the AllocationId parameter. Add the required parameter and retry the request.",
    )
    assert ec2.error("CreateNatGateway", SubnetId=edge.subnet, AllocationId=f"eipalloc-{MISSING}")[0] == (
        "InvalidAllocationID.NotFound"
    )
    assert ec2.error("DeleteNatGateway", NatGatewayId=f"nat-{MISSING}")[0] == "NatGatewayNotFound"
    assert ec2.error("CreateNatGateway", SubnetId=edge.subnet, AvailabilityMode="regional")[0] == "NotImplemented"
    ec2.quotas["nat_gateways_per_zone"] = 1
    edge.nat(ConnectivityType="private")
    assert ec2.error("CreateNatGateway", SubnetId=edge.subnet, ConnectivityType="private") == (
        "NatGatewayLimitExceeded",
        "Performing this operation would exceed the limit of 1 NAT gateways",
    )
    elsewhere = ec2.subnet(edge.vpc, "10.0.1.0/24", AvailabilityZone="us-east-1b")
    ec2("CreateNatGateway", SubnetId=elsewhere, ConnectivityType="private")


def test_an_internet_gateway_under_a_nat_gateway_stays(edge: Edge) -> None:
    edge.nat(edge.ec2("AllocateAddress")["AllocationId"])
    detach = {"InternetGatewayId": edge.gateway, "VpcId": edge.vpc}
    assert edge.ec2.error("DetachInternetGateway", **detach)[0] == "DependencyViolation"


# ── secondary addresses of NAT gateways ──────────────────────────────────────────────────────────────────────────────


def available_nat(ec2: Ec2, subnet: str, **request: Any) -> Any:
    made = ec2("CreateNatGateway", SubnetId=subnet, **request)["NatGateway"]
    see(ec2, made["NatGatewayAddresses"][0]["NetworkInterfaceId"])
    ec2.verb(ops.make_nat_available, made["NatGatewayId"])
    return shown_nat(ec2, made["NatGatewayId"])


def shown_nat(ec2: Ec2, nat: str) -> Any:
    return ec2("DescribeNatGateways", NatGatewayIds=[nat])["NatGateways"][0]


def see(ec2: Ec2, interface: str) -> None:
    """The agent sees the interface as it is now."""
    with ec2.store.transaction() as tx:
        tx.put(OBSERVED_INTERFACES, ObservedInterface(interface=interface, revision=tx.base.revision))


def addresses(nat: Any) -> list[tuple[str, bool, str]]:
    return [(one.get("PublicIp", one["PrivateIp"]), one["IsPrimary"], one["Status"]) for one in nat]


def test_a_public_nat_gateway_gets_and_gives_back_a_second_elastic_ip(ec2: Ec2) -> None:
    subnet = ec2("DescribeSubnets")["Subnets"][0]["SubnetId"]
    first, second, third = (ec2("AllocateAddress") for _ in range(3))
    nat = available_nat(ec2, subnet, AllocationId=first["AllocationId"])
    key = nat["NatGatewayId"]
    (added,) = ec2("AssociateNatGatewayAddress", NatGatewayId=key, AllocationIds=[second["AllocationId"]])[
        "NatGatewayAddresses"
    ]
    assert addresses([added]) == [(second["PublicIp"], False, "associating")]
    see(ec2, added["NetworkInterfaceId"])
    assert addresses(shown_nat(ec2, key)["NatGatewayAddresses"]) == [
        (first["PublicIp"], True, "succeeded"),
        (second["PublicIp"], False, "succeeded"),
    ]
    assert ec2.error("AssociateNatGatewayAddress", NatGatewayId=key, AllocationIds=[third["AllocationId"]])[0] == (
        "AddressLimitExceeded"
    )
    primary = nat["NatGatewayAddresses"][0]["AssociationId"]
    assert ec2.error("DisassociateNatGatewayAddress", NatGatewayId=key, AssociationIds=[primary])[0] == (
        "InvalidParameterValue"
    )
    ec2("DisassociateNatGatewayAddress", NatGatewayId=key, AssociationIds=[added["AssociationId"]])
    assert addresses(shown_nat(ec2, key)["NatGatewayAddresses"])[1][2] == "disassociating"
    with ec2.store.transaction() as tx:
        row = tx.get(NAT_GATEWAYS, key)
        assert row is not None
        assert ops.finish_drains(ec2.call(tx), row) == ec2.now + 350
    ec2.now += 350
    with ec2.store.transaction() as tx:
        row = tx.get(NAT_GATEWAYS, key)
        assert row is not None
        assert ops.finish_drains(ec2.call(tx), row) is None
    assert len(shown_nat(ec2, key)["NatGatewayAddresses"]) == 1
    (address,) = ec2("DescribeAddresses", AllocationIds=[second["AllocationId"]])["Addresses"]
    assert "AssociationId" not in address
    (eni,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[added["NetworkInterfaceId"]])["NetworkInterfaces"]
    assert len(eni["PrivateIpAddresses"]) == 1


def test_a_private_nat_gateway_gets_up_to_eight_addresses(ec2: Ec2) -> None:
    subnet = ec2.subnet(ec2.vpc())
    nat = available_nat(ec2, subnet, ConnectivityType="private", SecondaryPrivateIpAddressCount=2)
    key = nat["NatGatewayId"]
    assert len(nat["NatGatewayAddresses"]) == 3
    ec2("AssignPrivateNatGatewayAddress", NatGatewayId=key, PrivateIpAddresses=["10.0.0.77"])
    ec2("AssignPrivateNatGatewayAddress", NatGatewayId=key, PrivateIpAddressCount=4)
    assert ec2.error("AssignPrivateNatGatewayAddress", NatGatewayId=key, PrivateIpAddressCount=1)[0] == (
        "PrivateIpAddressLimitExceeded"
    )
    gone = ec2("UnassignPrivateNatGatewayAddress", NatGatewayId=key, PrivateIpAddresses=["10.0.0.77"])
    assert addresses(gone["NatGatewayAddresses"]) == [("10.0.0.77", False, "unassigning")]
    assert ec2.error("AssociateNatGatewayAddress", NatGatewayId=key, AllocationIds=["eipalloc-1"])[0] == (
        "InvalidParameterValue"
    )
    assert (
        ec2.error(
            "CreateNatGateway", SubnetId=subnet, ConnectivityType="private", SecondaryAllocationIds=["eipalloc-1"]
        )[0]
        == "InvalidParameterCombination"
    )
