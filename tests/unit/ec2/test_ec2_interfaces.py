"""Network interfaces: addresses, groups, status, and the verbs that other services use."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from ec2_account import Ec2

from ecsnet.model import ec2 as records
from ecsnet.model.tables import OBSERVED_INTERFACES
from ecsnet.services.call import AwsError
from ecsnet.services.ec2 import ops

MISSING = "0" * 16 + "f"


@pytest.fixture
def subnet(ec2: Ec2) -> str:
    return ec2.subnet(ec2.vpc("10.0.0.0/16"), "10.0.0.0/28")


def shown(ec2: Ec2, key: str) -> dict[str, object]:
    (row,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[key])["NetworkInterfaces"]
    return dict(row)


def attach(ec2: Ec2, key: str) -> None:
    attachment = records.Attachment(id="eni-attach-1", owner_kind="task", owner="arn:task", attached=1.0)
    ec2.verb(ops.attach_interface, key, attachment)


def test_a_new_interface(ec2: Ec2, subnet: str) -> None:
    eni = ec2.interface(subnet, Description="mine", PrivateIpAddress="10.0.0.5")
    assert eni["PrivateIpAddress"] == "10.0.0.5"
    assert eni["MacAddress"].startswith("02:")
    assert (eni["Status"], eni["SourceDestCheck"], eni["RequesterManaged"]) == ("available", True, False)
    assert [one["GroupName"] for one in eni["Groups"]] == ["default"]
    assert "PrivateDnsName" not in eni
    assert "Attachment" not in eni


def test_names_follow_the_vpcs_attributes(ec2: Ec2, subnet: str) -> None:
    eni = ec2.interface(subnet, PrivateIpAddress="10.0.0.5")
    ec2("ModifyVpcAttribute", VpcId=eni["VpcId"], EnableDnsHostnames={"Value": True})
    assert shown(ec2, eni["NetworkInterfaceId"])["PrivateDnsName"] == "ip-10-0-0-5.ec2.internal"
    assert ops.private_dns_name("eu-west-1", IPv4Address("10.0.0.5")) == "ip-10-0-0-5.eu-west-1.compute.internal"
    assert ops.public_dns_name("us-east-1", IPv4Address("198.18.0.5")) == "ec2-198-18-0-5.compute-1.amazonaws.com"


def test_status_is_what_was_observed(ec2: Ec2, subnet: str) -> None:
    key = ec2.interface(subnet)["NetworkInterfaceId"]
    attach(ec2, key)
    row = shown(ec2, key)
    assert (row["Status"], row["Attachment"]["Status"]) == ("attaching", "attaching")  # type: ignore[index]
    with ec2.store.transaction() as tx:
        tx.put(OBSERVED_INTERFACES, records.ObservedInterface(interface=key, revision=1))
    row = shown(ec2, key)
    assert (row["Status"], row["Attachment"]["Status"]) == ("in-use", "attached")  # type: ignore[index]
    in_use = [{"Name": "status", "Values": ["in-use"]}]
    assert len(ec2("DescribeNetworkInterfaces", Filters=in_use)["NetworkInterfaces"]) == 1
    with pytest.raises(AwsError, match="is currently in use"):
        attach(ec2, key)
    assert ec2.error("DeleteNetworkInterface", NetworkInterfaceId=key) == (
        "InvalidParameterValue",
        f"Network interface '{key}' is currently in use.",
    )
    ec2.verb(ops.detach_interface, key)
    assert shown(ec2, key)["Status"] == "available"
    ec2("DeleteNetworkInterface", NetworkInterfaceId=key)
    assert ec2.error("DeleteNetworkInterface", NetworkInterfaceId=key) == (
        "InvalidNetworkInterfaceID.NotFound",
        f"The networkInterface ID '{key}' does not exist",
    )


def test_a_small_subnet_has_eleven_addresses(ec2: Ec2, subnet: str) -> None:
    taken = {ec2.interface(subnet)["PrivateIpAddress"] for _ in range(11)}
    assert taken == {f"10.0.0.{number}" for number in range(4, 15)}
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet) == (
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
    )
    (seen,) = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
    assert seen["AvailableIpAddressCount"] == 0


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        ("10.0.0.5", "InvalidIPAddress.InUse", "The specified address is already in use."),
        ("10.0.1.5", "InvalidParameterValue", "Address does not fall within the subnet's address range"),
        ("10.0.0.3", "InvalidParameterValue", "Address is in subnet's reserved address range"),
        ("10.0.0.15", "InvalidParameterValue", "Address is in subnet's reserved address range"),
        (
            "ten",
            "InvalidParameterValue",
            "Value (ten) for parameter privateIpAddress is invalid. Invalid IPv4 address.",
        ),
    ],
)
def test_addresses_that_cannot_be_had(ec2: Ec2, subnet: str, address: str, code: str, text: str) -> None:
    ec2.interface(subnet, PrivateIpAddress="10.0.0.5")
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet, PrivateIpAddress=address) == (code, text)


def test_two_vpcs_may_have_the_same_address(ec2: Ec2, subnet: str) -> None:
    other = ec2.subnet(ec2.vpc("10.0.0.0/16"), "10.0.0.0/28")
    for home in (subnet, other):
        assert ec2.interface(home, PrivateIpAddress="10.0.0.5")["PrivateIpAddress"] == "10.0.0.5"


def test_secondary_addresses(ec2: Ec2, subnet: str) -> None:
    wanted = [
        {"PrivateIpAddress": "10.0.0.5", "Primary": True},
        {"PrivateIpAddress": "10.0.0.6", "Primary": False},
    ]
    key = ec2.interface(subnet, PrivateIpAddresses=wanted)["NetworkInterfaceId"]
    reply = ec2("AssignPrivateIpAddresses", NetworkInterfaceId=key, SecondaryPrivateIpAddressCount=2)
    assert len(reply["AssignedPrivateIpAddresses"]) == 2
    addresses = shown(ec2, key)["PrivateIpAddresses"]
    assert isinstance(addresses, list)
    assert [one["Primary"] for one in addresses] == [True, False, False, False]
    (seen,) = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
    assert seen["AvailableIpAddressCount"] == 11 - 4
    other = ec2.interface(subnet)["NetworkInterfaceId"]
    taken = {"NetworkInterfaceId": other, "PrivateIpAddresses": ["10.0.0.6"]}
    assert ec2.error("AssignPrivateIpAddresses", **taken)[0] == "InvalidIPAddress.InUse"
    ec2("AssignPrivateIpAddresses", **taken, AllowReassignment=True)
    gone = {"NetworkInterfaceId": key, "PrivateIpAddresses": ["10.0.0.6"]}
    assert ec2.error("UnassignPrivateIpAddresses", **gone)[0] == "InvalidParameterValue"
    ec2("UnassignPrivateIpAddresses", NetworkInterfaceId=other, PrivateIpAddresses=["10.0.0.6"])
    ec2.quotas["addresses_per_interface"] = 3
    assert ec2.error("AssignPrivateIpAddresses", NetworkInterfaceId=key, SecondaryPrivateIpAddressCount=1) == (
        "PrivateIpAddressLimitExceeded",
        "Number of private addresses will exceed limit.",
    )


def test_groups_of_an_interface(ec2: Ec2, subnet: str) -> None:
    eni = ec2.interface(subnet)
    key, vpc = eni["NetworkInterfaceId"], eni["VpcId"]
    groups = [
        ec2("CreateSecurityGroup", GroupName=f"g{number}", Description="d", VpcId=vpc)["GroupId"] for number in range(6)
    ]
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=key, Groups=groups[:2])
    reply = ec2("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=key, Attribute="groupSet")
    assert [one["GroupId"] for one in reply["Groups"]] == groups[:2]
    assert ec2.error("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=key, Groups=groups)[0] == (
        "SecurityGroupsPerInterfaceLimitExceeded"
    )
    (foreign,) = ec2("DescribeSecurityGroups", Filters=[{"Name": "vpc-id", "Values": [ec2.vpc("10.1.0.0/16")]}])[
        "SecurityGroups"
    ]
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet, Groups=[foreign["GroupId"]]) == (
        "InvalidParameter",
        f"Security group {foreign['GroupId']} and subnet {subnet} belong to different networks.",
    )


def test_attributes(ec2: Ec2, subnet: str) -> None:
    key = ec2.interface(subnet)["NetworkInterfaceId"]
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=key, SourceDestCheck={"Value": False})
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=key, Description={"Value": "router"})
    row = shown(ec2, key)
    assert (row["SourceDestCheck"], row["Description"]) == (False, "router")
    both = {"SourceDestCheck": {"Value": True}, "Description": {"Value": ""}}
    assert ec2.error("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=key, **both)[0] == (
        "InvalidParameterCombination"
    )
    assert "Attachment" not in ec2("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=key, Attribute="attachment")
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet, Ipv6AddressCount=1)[0] == "InvalidParameterValue"


def test_interface_quota(ec2: Ec2, subnet: str) -> None:
    ec2.quotas["interfaces_per_region"] = 1
    ec2.interface(subnet)
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet)[0] == "NetworkInterfaceLimitExceeded"


def test_subnets_and_groups_of_one_vpc(ec2: Ec2, subnet: str) -> None:
    (row,) = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
    second = ec2.subnet(row["VpcId"], "10.0.1.0/24")
    assert ec2.verb(ops.validate_subnets_and_groups, [subnet, second], []) == row["VpcId"]
    foreign = ec2.subnet(ec2.vpc("10.1.0.0/16"), "10.1.0.0/24")
    with pytest.raises(AwsError, match="belong to different networks"):
        ec2.verb(ops.validate_subnets_and_groups, [subnet, foreign], [])
    with pytest.raises(AwsError, match="does not exist"):
        ec2.verb(ops.validate_subnets_and_groups, [f"subnet-{MISSING}"], [])


def test_released_interfaces_give_everything_back(ec2: Ec2, subnet: str) -> None:
    eni = ec2.verb(
        ops.allocate_interface,
        subnet=subnet,
        groups=(),
        description="task",
        requester_managed=True,
        requester_id="ecs",
        attachment=records.Attachment(id="a", owner_kind="task", owner="arn", attached=1.0),
        public_ip=True,
    )
    assert ec2.error("DeleteNetworkInterface", NetworkInterfaceId=eni.id)[0] == "InvalidParameterValue"
    ec2.verb(ops.release_interface, eni.id)
    ec2.verb(ops.release_interface, eni.id)
    (seen,) = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
    assert seen["AvailableIpAddressCount"] == 11
    assert not ec2.store.snapshot.indexes["interface_by_public_ip"]
