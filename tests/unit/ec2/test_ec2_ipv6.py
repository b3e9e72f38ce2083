"""IPv6 blocks and addresses, prefixes, reservations: what is stored and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

import pytest
from ec2_account import Ec2

POOL = IPv6Network("2001:db8:8000::/33")


@pytest.fixture
def vpc(ec2: Ec2) -> Any:
    return ec2("CreateVpc", CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]


def block_of(vpc: Any) -> IPv6Network:
    return IPv6Network(vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])


def nth(vpc: Any, number: int) -> str:
    return str(list(block_of(vpc).subnets(new_prefix=64))[number])


@pytest.fixture
def subnet(ec2: Ec2, vpc: Any) -> str:
    return ec2.subnet(vpc["VpcId"], "10.0.1.0/24", Ipv6CidrBlock=nth(vpc, 1))


def test_a_vpc_with_an_amazon_provided_block(ec2: Ec2, vpc: Any) -> None:
    block = block_of(vpc)
    assert (block.prefixlen, block.subnet_of(POOL)) == (56, True)
    (table,) = ec2("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    assert [route.get("DestinationIpv6CidrBlock") for route in table["Routes"]] == [None, str(block)]
    (acl,) = ec2("DescribeNetworkAcls", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["NetworkAcls"]
    assert {one["RuleNumber"] for one in acl["Entries"] if "Ipv6CidrBlock" in one} == {101, 32768}


def test_blocks_are_unique_over_accounts_and_regions(ec2: Ec2) -> None:
    ec2.quotas["vpcs_per_region"] = 40
    found = {
        block_of(one("CreateVpc", CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"])
        for one in (ec2, ec2.other(account="999999999999"), ec2.other(region="eu-west-1"))
        for _ in range(20)
    }
    assert len(found) == 60


def test_the_first_block_opens_what_nobody_changed(ec2: Ec2) -> None:
    key = ec2.vpc()
    changed = ec2("CreateSecurityGroup", GroupName="changed", Description="x", VpcId=key)["GroupId"]
    ec2(
        "RevokeSecurityGroupEgress",
        GroupId=changed,
        IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    first = ec2("AssociateVpcCidrBlock", VpcId=key, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
    second = ec2("AssociateVpcCidrBlock", VpcId=key, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
    assert first["Ipv6CidrBlock"] != second["Ipv6CidrBlock"]
    groups = ec2("DescribeSecurityGroups", Filters=[{"Name": "vpc-id", "Values": [key]}])["SecurityGroups"]
    opened = {one["GroupName"]: [p["Ipv6Ranges"] for p in one["IpPermissionsEgress"]] for one in groups}
    assert opened == {"default": [[{"CidrIpv6": "::/0"}]], "changed": []}
    for _ in range(3):
        ec2("AssociateVpcCidrBlock", VpcId=key, AmazonProvidedIpv6CidrBlock=True)
    assert ec2.error("AssociateVpcCidrBlock", VpcId=key, AmazonProvidedIpv6CidrBlock=True)[0] == "CidrLimitExceeded"


def test_a_block_in_use_stays(ec2: Ec2, vpc: Any, subnet: str) -> None:
    association = vpc["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]
    code, text = ec2.error("DisassociateVpcCidrBlock", AssociationId=association)
    assert (code, subnet in text) == ("DependencyViolation", True)
    ec2("DeleteSubnet", SubnetId=subnet)
    gone = ec2("DisassociateVpcCidrBlock", AssociationId=association)["Ipv6CidrBlockAssociation"]
    assert gone["Ipv6CidrBlockState"] == {"State": "disassociated"}
    (shown,) = ec2("DescribeVpcs", VpcIds=[vpc["VpcId"]])["Vpcs"]
    assert shown["Ipv6CidrBlockAssociationSet"] == []


def test_blocks_of_subnets(ec2: Ec2, vpc: Any, subnet: str) -> None:
    key = vpc["VpcId"]
    other = ec2.subnet(key, "10.0.2.0/24")
    wanted = {"VpcId": key, "CidrBlock": "10.0.3.0/24"}
    assert ec2.error("CreateSubnet", **wanted, Ipv6CidrBlock=nth(vpc, 1))[0] == "InvalidSubnet.Conflict"
    assert ec2.error("CreateSubnet", **wanted, Ipv6CidrBlock=str(block_of(vpc)).replace("/56", "/65"))[0] == (
        "InvalidSubnet.Range"
    )
    assert ec2.error("CreateSubnet", **wanted, Ipv6CidrBlock="2001:db8::/64")[0] == "InvalidSubnet.Range"
    made = ec2("AssociateSubnetCidrBlock", SubnetId=other, Ipv6CidrBlock=nth(vpc, 2))["Ipv6CidrBlockAssociation"]
    assert ec2.error("AssociateSubnetCidrBlock", SubnetId=other, Ipv6CidrBlock=nth(vpc, 3))[0] == (
        "InvalidSubnet.Conflict"
    )
    eni = ec2.interface(other, Ipv6AddressCount=1)
    assert ec2.error("DisassociateSubnetCidrBlock", AssociationId=made["AssociationId"])[0] == "DependencyViolation"
    ec2("UnassignIpv6Addresses", NetworkInterfaceId=eni["NetworkInterfaceId"], Ipv6Addresses=[eni["Ipv6Address"]])
    ec2("DisassociateSubnetCidrBlock", AssociationId=made["AssociationId"])
    (shown,) = ec2("DescribeSubnets", SubnetIds=[other])["Subnets"]
    assert shown["Ipv6CidrBlockAssociationSet"] == []


def test_a_whole_block_may_be_a_subnets(ec2: Ec2, vpc: Any) -> None:
    """Templates of AWS's own give a subnet all of a /56."""
    key = ec2.subnet(vpc["VpcId"], Ipv6CidrBlock=str(block_of(vpc)))
    eni = ec2.interface(key, Ipv6AddressCount=1)
    assert IPv6Address(eni["Ipv6Address"]) in block_of(vpc)


def test_addresses_come_by_the_subnets_attribute_by_count_or_by_name(ec2: Ec2, vpc: Any, subnet: str) -> None:
    assert ec2.interface(subnet)["Ipv6Addresses"] == []
    ec2("ModifySubnetAttribute", SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    (automatic,) = ec2.interface(subnet)["Ipv6Addresses"]
    assert IPv6Address(automatic["Ipv6Address"]) in IPv6Network(nth(vpc, 1))
    assert ec2.interface(subnet, Ipv6AddressCount=0)["Ipv6Addresses"] == []
    named = str(IPv6Network(nth(vpc, 1))[10])
    eni = ec2.interface(subnet, Ipv6Addresses=[{"Ipv6Address": named}], EnablePrimaryIpv6=True)
    assert eni["Ipv6Addresses"] == [{"Ipv6Address": named, "IsPrimaryIpv6": True}]
    key = eni["NetworkInterfaceId"]
    assert (
        ec2.error("AssignIpv6Addresses", NetworkInterfaceId=key, Ipv6Addresses=[named])[0] == "InvalidIPAddress.InUse"
    )
    assert ec2.error("AssignIpv6Addresses", NetworkInterfaceId=key, Ipv6Addresses=["2001:db8::9"])[0] == (
        "InvalidParameterValue"
    )
    reserved = str(IPv6Network(nth(vpc, 1))[3])
    assert ec2.error("AssignIpv6Addresses", NetworkInterfaceId=key, Ipv6Addresses=[reserved])[0] == (
        "InvalidParameterValue"
    )
    assert ec2.error("UnassignIpv6Addresses", NetworkInterfaceId=key, Ipv6Addresses=[named])[0] == (
        "OperationNotPermitted"
    )
    more = ec2("AssignIpv6Addresses", NetworkInterfaceId=key, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    ec2("UnassignIpv6Addresses", NetworkInterfaceId=key, Ipv6Addresses=more)


def test_a_subnet_of_ipv6_alone(ec2: Ec2, vpc: Any) -> None:
    made = ec2("CreateSubnet", VpcId=vpc["VpcId"], Ipv6Native=True, Ipv6CidrBlock=nth(vpc, 4))["Subnet"]
    assert (made["Ipv6Native"], made["AssignIpv6AddressOnCreation"], "CidrBlock" in made) == (True, True, False)
    eni = ec2.interface(made["SubnetId"])
    assert "PrivateIpAddress" not in eni
    assert (eni["PrivateIpAddresses"], eni["Ipv6Native"], len(eni["Ipv6Addresses"])) == ([], True, 1)
    key = eni["NetworkInterfaceId"]
    assert ec2.error("AssignPrivateIpAddresses", NetworkInterfaceId=key, SecondaryPrivateIpAddressCount=1)[0] == (
        "InvalidParameterValue"
    )
    assert ec2.error("CreateNetworkInterface", SubnetId=made["SubnetId"], Ipv6AddressCount=0)[0] == "MissingParameter"
    assert ec2.error("CreateSubnet", VpcId=vpc["VpcId"], Ipv6Native=True)[0] == "MissingParameter"
    (listed,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[key])["NetworkInterfaces"]
    assert listed["Ipv6Address"] == eni["Ipv6Address"]


# ── prefixes and reservations ────────────────────────────────────────────────────────────────────────────────────────


def test_prefixes_are_whole_free_blocks(ec2: Ec2, vpc: Any, subnet: str) -> None:
    free = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]
    eni = ec2.interface(subnet, Ipv4PrefixCount=2, Ipv6PrefixCount=1)
    blocks = [ip_network(one["Ipv4Prefix"]) for one in eni["Ipv4Prefixes"]]
    assert [block.prefixlen for block in blocks] == [28, 28]
    assert not blocks[0].overlaps(blocks[1])  # type: ignore[arg-type]
    assert IPv6Network(eni["Ipv6Prefixes"][0]["Ipv6Prefix"]).prefixlen == 80
    left = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]
    assert left == free - 1 - 32
    inside = str(next(iter(blocks[0])))
    assert ec2.error("CreateNetworkInterface", SubnetId=subnet, PrivateIpAddress=inside)[0] == "InvalidIPAddress.InUse"
    first = ec2.interface(subnet, PrivateIpAddress=_free_of(blocks))["PrivateIpAddress"]
    around = str(ip_network(f"{first}/28", strict=False))
    key = eni["NetworkInterfaceId"]
    assert ec2.error("AssignPrivateIpAddresses", NetworkInterfaceId=key, Ipv4Prefixes=[around])[0] == (
        "InvalidIPAddress.InUse"
    )
    for wrong in ("10.0.1.0/28", "10.0.1.240/28"):  # the five reserved addresses
        assert ec2.error("AssignPrivateIpAddresses", NetworkInterfaceId=key, Ipv4Prefixes=[wrong])[0] == (
            "InvalidIPAddress.InUse"
        )
    ec2("UnassignPrivateIpAddresses", NetworkInterfaceId=key, Ipv4Prefixes=[str(blocks[0])])
    ec2("UnassignIpv6Addresses", NetworkInterfaceId=key, Ipv6Prefixes=[eni["Ipv6Prefixes"][0]["Ipv6Prefix"]])
    ec2.interface(subnet, PrivateIpAddress=inside)


def _free_of(blocks: Any) -> str:
    for block in IPv4Network("10.0.1.0/24").subnets(new_prefix=28):
        if block.network_address != IPv4Address("10.0.1.0") and block not in blocks:
            return str(block[5])
    raise AssertionError


def test_a_small_subnet_runs_out_of_prefixes(ec2: Ec2, vpc: Any) -> None:
    key = ec2.subnet(vpc["VpcId"], "10.0.9.0/27")
    assert ec2.error("CreateNetworkInterface", SubnetId=key, Ipv4PrefixCount=1) == (
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    )


def test_reservations_keep_addresses_from_being_picked(ec2: Ec2, vpc: Any) -> None:
    key = ec2.subnet(vpc["VpcId"], "10.0.9.0/26", Ipv6CidrBlock=nth(vpc, 9))
    reserve = {"SubnetId": key, "Cidr": "10.0.9.16/28"}
    kept = ec2("CreateSubnetCidrReservation", **reserve, ReservationType="explicit")["SubnetCidrReservation"]
    ec2("CreateSubnetCidrReservation", SubnetId=key, Cidr="10.0.9.32/28", ReservationType="prefix")
    assert ec2.error("CreateSubnetCidrReservation", **reserve, ReservationType="prefix")[0] == "InvalidParameterValue"
    assert ec2.error("CreateSubnetCidrReservation", SubnetId=key, Cidr="10.0.8.0/28", ReservationType="prefix")[0] == (
        "InvalidParameterValue"
    )
    picked = {IPv4Address(ec2.interface(key)["PrivateIpAddress"]) for _ in range(27)}
    assert not any(IPv4Address("10.0.9.16") <= one <= IPv4Address("10.0.9.47") for one in picked)
    assert ec2.error("CreateNetworkInterface", SubnetId=key)[0] == "InsufficientFreeAddressesInSubnet"
    assert ec2.interface(key, PrivateIpAddress="10.0.9.20")["PrivateIpAddress"] == "10.0.9.20"
    second = ec2.interface(key, PrivateIpAddress="10.0.9.21", Ipv4PrefixCount=1)
    assert second["Ipv4Prefixes"] == [{"Ipv4Prefix": "10.0.9.32/28"}]
    shown = ec2(
        "GetSubnetCidrReservations", SubnetId=key, Filters=[{"Name": "reservationType", "Values": ["explicit"]}]
    )
    assert shown["SubnetIpv4CidrReservations"] == [kept]
    ec2("DeleteSubnetCidrReservation", SubnetCidrReservationId=kept["SubnetCidrReservationId"])
    assert IPv4Address(ec2.interface(key)["PrivateIpAddress"]) in IPv4Network("10.0.9.16/28")


# ── egress-only gateways ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_life_of_an_egress_only_gateway(ec2: Ec2, vpc: Any) -> None:
    made = ec2("CreateEgressOnlyInternetGateway", VpcId=vpc["VpcId"], ClientToken="t")["EgressOnlyInternetGateway"]
    again = ec2("CreateEgressOnlyInternetGateway", VpcId=vpc["VpcId"], ClientToken="t")["EgressOnlyInternetGateway"]
    key = made["EgressOnlyInternetGatewayId"]
    assert again["EgressOnlyInternetGatewayId"] == key
    assert ec2.error("CreateEgressOnlyInternetGateway", VpcId=vpc["VpcId"])[0] == "Resource.AlreadyAssociated"
    (table,) = ec2("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    to = {"RouteTableId": table["RouteTableId"], "EgressOnlyInternetGatewayId": key}
    assert ec2.error("CreateRoute", **to, DestinationCidrBlock="0.0.0.0/0")[0] == "InvalidParameterCombination"
    ec2("CreateRoute", **to, DestinationIpv6CidrBlock="::/0")
    code, text = ec2.error("DeleteVpc", VpcId=vpc["VpcId"])
    assert (code, key in text) == ("DependencyViolation", True)

    def state() -> str:
        (found,) = ec2("DescribeRouteTables", RouteTableIds=[table["RouteTableId"]])["RouteTables"]
        return str(next(r["State"] for r in found["Routes"] if r.get("DestinationIpv6CidrBlock") == "::/0"))

    assert state() == "active"
    assert ec2("DeleteEgressOnlyInternetGateway", EgressOnlyInternetGatewayId=key) == {"ReturnCode": True}
    assert state() == "blackhole"
    assert ec2("DescribeEgressOnlyInternetGateways")["EgressOnlyInternetGateways"] == []
    assert ec2.error("DeleteEgressOnlyInternetGateway", EgressOnlyInternetGatewayId=key) == (
        "InvalidGatewayID.NotFound",
        f"The eigw ID '{key}' does not exist",
    )


def test_an_instance_gets_what_its_interface_asks_for(ec2: Ec2, subnet: str) -> None:
    one = {"DeviceIndex": 0, "SubnetId": subnet, "Ipv6AddressCount": 1, "Ipv4PrefixCount": 1}
    launch = {"ImageId": "ami-12345678", "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    (made,) = ec2("RunInstances", **launch, NetworkInterfaces=[one])["Instances"]
    (eni,) = made["NetworkInterfaces"]
    assert len(eni["Ipv6Addresses"]) == 1
    (row,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni["NetworkInterfaceId"]])["NetworkInterfaces"]
    assert len(row["Ipv4Prefixes"]) == 1
