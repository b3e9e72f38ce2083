"""VPCs and subnets: the rules of their blocks, their attributes and what keeps them from being deleted."""

from __future__ import annotations

import pytest
from ec2_account import Ec2

MISSING = "0" * 16 + "f"


def test_a_block_is_shown_with_its_host_bits_cleared(ec2: Ec2) -> None:
    assert ec2("CreateVpc", CidrBlock="100.68.0.18/18")["Vpc"]["CidrBlock"] == "100.68.0.0/18"


@pytest.mark.parametrize("block", ["10.0.0.0/15", "10.0.0.0/29", "169.254.0.0/16"])
def test_vpc_size(ec2: Ec2, block: str) -> None:
    assert ec2.error("CreateVpc", CidrBlock=block) == ("InvalidVpc.Range", f"The CIDR '{block}' is invalid.")


@pytest.mark.parametrize("block", ["10.0.0.0", "10.0.0/16", "10.0.0.0/40", "fe80::/64", "'; drop"])
def test_vpc_block_that_is_none(ec2: Ec2, block: str) -> None:
    assert ec2.error("CreateVpc", CidrBlock=block) == (
        "InvalidParameterValue",
        f"Value ({block}) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
    )


def test_vpc_quota(ec2: Ec2) -> None:
    ec2.quotas["vpcs_per_region"] = 2
    ec2.vpc()
    assert ec2.error("CreateVpc", CidrBlock="10.1.0.0/16") == (
        "VpcLimitExceeded",
        "The maximum number of VPCs has been reached.",
    )


def test_what_is_not_built_is_refused(ec2: Ec2) -> None:
    code, text = ec2.error("CreateVpc", CidrBlock="10.0.0.0/16", Ipv6Pool="mine", Ipv6CidrBlock="2600:1::/56")
    assert code == "NotImplemented"
    assert "Ipv6Pool of CreateVpc" in text


def test_unknown_and_malformed_ids(ec2: Ec2) -> None:
    assert ec2.error("DescribeVpcs", VpcIds=[f"vpc-{MISSING}"]) == (
        "InvalidVpcID.NotFound",
        f"The vpc ID 'vpc-{MISSING}' does not exist",
    )
    assert ec2.error("DeleteVpc", VpcId="vpc-elsewhere") == (
        "InvalidVpcID.Malformed",
        'Invalid id: "vpc-elsewhere" (expecting "vpc-...")',
    )
    assert ec2.error("DeleteSubnet", SubnetId=f"subnet-{MISSING}") == (
        "InvalidSubnetID.NotFound",
        f"The subnet ID 'subnet-{MISSING}' does not exist",
    )


def test_a_vpc_with_a_subnet_stays(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    subnet = ec2.subnet(vpc)
    code, text = ec2.error("DeleteVpc", VpcId=vpc)
    assert code == "DependencyViolation"
    assert text.startswith(f"The vpc '{vpc}' has dependencies and cannot be deleted.")
    assert subnet in text


@pytest.mark.parametrize(
    ("operation", "request_", "member"),
    [
        ("CreateSecurityGroup", {"GroupName": "a", "Description": "b"}, "GroupId"),
        ("CreateRouteTable", {}, "RouteTable"),
        ("CreateNetworkAcl", {}, "NetworkAcl"),
    ],
)
def test_a_vpc_with_anything_of_the_users_stays(
    ec2: Ec2, operation: str, request_: dict[str, str], member: str
) -> None:
    vpc = ec2.vpc()
    assert ec2(operation, VpcId=vpc, **request_)[member]
    assert ec2.error("DeleteVpc", VpcId=vpc)[0] == "DependencyViolation"


def test_attributes(ec2: Ec2) -> None:
    vpc = ec2.vpc()

    def shown(attribute: str) -> bool:
        reply = ec2("DescribeVpcAttribute", VpcId=vpc, Attribute=attribute)
        return bool(reply[attribute[0].upper() + attribute[1:]]["Value"])

    assert shown("enableDnsSupport")
    assert not shown("enableDnsHostnames")
    ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert shown("enableDnsHostnames")
    assert not shown("enableNetworkAddressUsageMetrics")
    both = {"EnableDnsSupport": {"Value": True}, "EnableDnsHostnames": {"Value": True}}
    assert ec2.error("ModifyVpcAttribute", VpcId=vpc, **both)[0] == "InvalidParameterCombination"
    ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": False})
    ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsSupport={"Value": False})
    code, text = ec2.error("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert code == "InvalidParameterValue"
    assert "Enable enableDnsSupport first" in text


def test_a_second_block_gets_local_routes_and_may_go_again(ec2: Ec2) -> None:
    vpc = ec2.vpc("10.0.0.0/16")
    made = ec2("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.2.0.0/16")["CidrBlockAssociation"]
    assert made["CidrBlockState"] == {"State": "associated"}
    (table,) = ec2("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    assert [r["DestinationCidrBlock"] for r in table["Routes"]] == ["10.0.0.0/16", "10.2.0.0/16"]
    subnet = ec2.subnet(vpc, "10.2.0.0/24")
    assert ec2.error("DisassociateVpcCidrBlock", AssociationId=made["AssociationId"])[0] == "DependencyViolation"
    ec2("DeleteSubnet", SubnetId=subnet)
    reply = ec2("DisassociateVpcCidrBlock", AssociationId=made["AssociationId"])
    assert reply["CidrBlockAssociation"]["CidrBlockState"] == {"State": "disassociated"}
    (table,) = ec2("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    assert [r["DestinationCidrBlock"] for r in table["Routes"]] == ["10.0.0.0/16"]


@pytest.mark.parametrize(
    ("primary", "second", "code"),
    [
        ("10.0.0.0/16", "10.0.128.0/20", "InvalidVpc.Conflict"),
        ("10.0.0.0/16", "192.168.0.0/16", "InvalidVpc.Range"),
        ("10.0.0.0/16", "172.16.0.0/16", "InvalidVpc.Range"),
        ("10.1.0.0/16", "10.0.0.0/16", "InvalidVpc.Range"),
        ("10.2.0.0/16", "10.0.0.0/16", None),
        ("172.16.0.0/16", "172.31.0.0/16", "InvalidVpc.Range"),
        ("192.168.0.0/16", "100.64.0.0/16", None),
        ("100.64.0.0/16", "10.0.0.0/16", "InvalidVpc.Range"),
        ("10.0.0.0/16", "203.0.0.0/16", None),
        ("10.0.0.0/16", "198.19.0.0/16", "InvalidVpc.Range"),
    ],
)
def test_which_blocks_may_join(ec2: Ec2, primary: str, second: str, code: str | None) -> None:
    vpc = ec2.vpc(primary)
    if code is None:
        ec2("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock=second)
    else:
        assert ec2.error("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock=second)[0] == code


def test_a_block_must_not_cover_a_route(ec2: Ec2) -> None:
    vpc = ec2.vpc("10.0.0.0/16")
    (table,) = ec2("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    gateway = ec2("CreateInternetGateway")["InternetGateway"]["InternetGatewayId"]
    ec2("AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
    key = table["RouteTableId"]
    ec2("CreateRoute", RouteTableId=key, DestinationCidrBlock="10.9.1.0/24", GatewayId=gateway)
    assert ec2.error("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.9.0.0/16")[0] == "InvalidVpc.Conflict"
    ec2("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.9.1.0/26")


def test_the_primary_block_stays_and_blocks_are_limited(ec2: Ec2) -> None:
    vpc = ec2.vpc("10.2.0.0/16")
    (shown,) = ec2("DescribeVpcs", VpcIds=[vpc])["Vpcs"]
    primary = shown["CidrBlockAssociationSet"][0]["AssociationId"]
    assert ec2.error("DisassociateVpcCidrBlock", AssociationId=primary) == (
        "OperationNotPermitted",
        f"The vpc CIDR block with association ID {primary} may not be disassociated. It is the primary IPv4 CIDR block "
        "of the VPC",
    )
    for number in range(3, 7):
        ec2("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock=f"10.{number}.0.0/16")
    assert ec2.error("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.7.0.0/16") == (
        "CidrLimitExceeded",
        f"This network {vpc} has met its maximum number of allowed CIDRs: 5",
    )


def test_subnet_blocks(ec2: Ec2) -> None:
    vpc = ec2.vpc("10.0.0.0/16")
    whole = ec2.subnet(vpc, "10.0.0.0/17")
    assert ec2.error("CreateSubnet", VpcId=vpc, CidrBlock="10.0.4.0/24") == (
        "InvalidSubnet.Conflict",
        "The CIDR '10.0.4.0/24' conflicts with another subnet",
    )
    for block in ("10.1.0.0/24", "10.0.128.0/29", "10.0.0.0/15"):
        assert ec2.error("CreateSubnet", VpcId=vpc, CidrBlock=block) == (
            "InvalidSubnet.Range",
            f"The CIDR '{block}' is invalid.",
        )
    ec2("DeleteSubnet", SubnetId=whole)
    assert ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/16")["Subnet"]["AvailableIpAddressCount"] == 65531


def test_subnet_zones(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    made = ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZoneId="use1-az6")["Subnet"]
    assert made["AvailabilityZone"] == "us-east-1d"
    assert ec2.error("CreateSubnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone="eu-west-1a") == (
        "InvalidParameterValue",
        "Value (eu-west-1a) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
        "following availability zones: us-east-1a, us-east-1b, us-east-1c, us-east-1d, us-east-1e, us-east-1f.",
    )


def test_subnets_and_tables_never_share_a_number(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    first = ec2.subnet(vpc)
    ec2("DeleteSubnet", SubnetId=first)
    ec2.subnet(vpc)
    ec2("CreateRouteTable", VpcId=vpc)
    rows = [*ec2.store.snapshot.tables["subnet"].values(), *ec2.store.snapshot.tables["route_table"].values()]
    assert sorted(row.ordinal for row in rows if row.vpc == vpc) == [1, 3, 4]


def test_subnet_quota_and_attributes(ec2: Ec2) -> None:
    ec2.quotas["subnets_per_vpc"] = 1
    vpc = ec2.vpc()
    subnet = ec2.subnet(vpc)
    assert ec2.error("CreateSubnet", VpcId=vpc, CidrBlock="10.0.1.0/24")[0] == "SubnetLimitExceeded"
    ec2("ModifySubnetAttribute", SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    (shown,) = ec2("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
    assert shown["MapPublicIpOnLaunch"]
    assert not shown["DefaultForAz"]
    code, _ = ec2.error("ModifySubnetAttribute", SubnetId=subnet, EnableDns64={"Value": True})
    assert code == "NotImplemented"
    ec2("ModifySubnetAttribute", SubnetId=subnet, EnableDns64={"Value": False})
    code, _ = ec2.error("ModifySubnetAttribute", SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    assert code == "InvalidParameterValue"


def test_a_subnet_with_an_interface_stays(ec2: Ec2) -> None:
    subnet = ec2.subnet(ec2.vpc())
    eni = ec2.interface(subnet)["NetworkInterfaceId"]
    code, text = ec2.error("DeleteSubnet", SubnetId=subnet)
    assert code == "DependencyViolation"
    assert text.startswith(f"The subnet '{subnet}' has dependencies and cannot be deleted.")
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)
    ec2("DeleteSubnet", SubnetId=subnet)


def test_default_subnets(ec2: Ec2) -> None:
    (first,) = ec2("DescribeSubnets", Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}])["Subnets"]
    assert ec2.error("CreateDefaultSubnet", AvailabilityZone="us-east-1a") == (
        "DefaultSubnetAlreadyExistsInAvailabilityZone",
        f"'{first['SubnetId']}' is already the default subnet in us-east-1a.",
    )
    ec2("DeleteSubnet", SubnetId=first["SubnetId"])
    again = ec2("CreateDefaultSubnet", AvailabilityZone="us-east-1a")["Subnet"]
    assert (again["CidrBlock"], again["DefaultForAz"]) == ("172.31.0.0/20", True)
