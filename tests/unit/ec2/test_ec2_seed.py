"""What a new account finds in each region, and the account's own attributes."""

from __future__ import annotations

import time

import pytest
from ec2_account import Ec2

from ecsnet.services.call import AwsError
from ecsnet.services.ec2 import ops


def test_default_vpc(ec2: Ec2) -> None:
    (vpc,) = ec2("DescribeVpcs")["Vpcs"]
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["State"]) == ("172.31.0.0/16", True, "available")
    subnets = sorted(ec2("DescribeSubnets")["Subnets"], key=lambda one: one["AvailabilityZone"])
    assert [(one["AvailabilityZone"], one["AvailabilityZoneId"], one["CidrBlock"]) for one in subnets] == [
        ("us-east-1a", "use1-az1", "172.31.0.0/20"),
        ("us-east-1b", "use1-az2", "172.31.16.0/20"),
        ("us-east-1c", "use1-az4", "172.31.32.0/20"),
        ("us-east-1d", "use1-az6", "172.31.48.0/20"),
        ("us-east-1e", "use1-az3", "172.31.64.0/20"),
        ("us-east-1f", "use1-az5", "172.31.80.0/20"),
    ]
    assert all(one["DefaultForAz"] and one["MapPublicIpOnLaunch"] for one in subnets)
    assert {one["AvailableIpAddressCount"] for one in subnets} == {4091}
    (gateway,) = ec2("DescribeInternetGateways")["InternetGateways"]
    assert gateway["Attachments"] == [{"VpcId": vpc["VpcId"], "State": "available"}]
    (table,) = ec2("DescribeRouteTables")["RouteTables"]
    assert [one["Main"] for one in table["Associations"]] == [True]
    assert [(r["DestinationCidrBlock"], r["GatewayId"], r["State"]) for r in table["Routes"]] == [
        ("172.31.0.0/16", "local", "active"),
        ("0.0.0.0/0", gateway["InternetGatewayId"], "active"),
    ]
    (acl,) = ec2("DescribeNetworkAcls")["NetworkAcls"]
    assert acl["IsDefault"]
    assert len(acl["Associations"]) == 6
    assert [(e["RuleNumber"], e["RuleAction"], e["Egress"]) for e in acl["Entries"]] == [
        (100, "allow", True),
        (32767, "deny", True),
        (100, "allow", False),
        (32767, "deny", False),
    ]
    (group,) = ec2("DescribeSecurityGroups")["SecurityGroups"]
    assert group["GroupName"] == "default"
    assert group["IpPermissions"][0]["UserIdGroupPairs"] == [{"GroupId": group["GroupId"], "UserId": ec2.account}]
    assert group["IpPermissionsEgress"][0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]
    (options,) = ec2("DescribeDhcpOptions")["DhcpOptions"]
    assert options["DhcpConfigurations"][0] == {"Key": "domain-name", "Values": [{"Value": "ec2.internal"}]}
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        reply = ec2("DescribeVpcAttribute", VpcId=vpc["VpcId"], Attribute=attribute)
        assert reply[attribute[0].upper() + attribute[1:]] == {"Value": True}


def test_seeding_happens_once(ec2: Ec2) -> None:
    before = ec2.store.snapshot
    ec2.verb(ops.seed_account)
    assert ec2.store.snapshot is before


def test_a_deleted_default_vpc_stays_away_until_it_is_asked_for(ec2: Ec2) -> None:
    (vpc,) = ec2("DescribeVpcs")["Vpcs"]
    for subnet in ec2("DescribeSubnets")["Subnets"]:
        ec2("DeleteSubnet", SubnetId=subnet["SubnetId"])
    (gateway,) = ec2("DescribeInternetGateways")["InternetGateways"]
    ec2("DetachInternetGateway", InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc["VpcId"])
    ec2("DeleteInternetGateway", InternetGatewayId=gateway["InternetGatewayId"])
    ec2("DeleteVpc", VpcId=vpc["VpcId"])
    ec2.verb(ops.seed_account)
    assert ec2("DescribeVpcs")["Vpcs"] == []
    assert ec2.error("CreateDefaultSubnet", AvailabilityZone="us-east-1a") == (
        "DefaultVpcDoesNotExist",
        "No default VPC exists for this account in this region.",
    )
    assert ec2.error("CreateSecurityGroup", GroupName="a", Description="b") == (
        "VPCIdNotSpecified",
        "No default VPC for this user",
    )
    assert ec2("CreateDefaultVpc")["Vpc"]["IsDefault"]
    assert ec2.error("CreateDefaultVpc") == (
        "DefaultVpcAlreadyExists",
        "A Default VPC already exists for this account in this region.",
    )


def test_accounts_and_regions_are_apart(ec2: Ec2) -> None:
    (own,) = ec2("DescribeVpcs")["Vpcs"]
    for other in (ec2.other(account="999988887777"), ec2.other(region="eu-west-1")):
        assert other("DescribeVpcs")["Vpcs"] == []
        code, _ = other.error("DescribeVpcs", VpcIds=[own["VpcId"]])
        assert code == "InvalidVpcID.NotFound"
        by_filter = [{"Name": "vpc-id", "Values": [own["VpcId"]]}]
        assert other("DescribeSubnets", Filters=by_filter)["Subnets"] == []
        assert other("DescribeVpcs", Filters=by_filter)["Vpcs"] == []
        other.verb(ops.seed_account)
        assert len(other("DescribeVpcs")["Vpcs"]) == 1
    assert [one["VpcId"] for one in ec2("DescribeVpcs")["Vpcs"]] == [own["VpcId"]]
    assert len(ec2.other(region="eu-west-1")("DescribeSubnets")["Subnets"]) == 3


def test_unknown_region(bare: Ec2) -> None:
    with pytest.raises(AwsError, match="The region 'mars-1' does not exist"):
        bare.other(region="mars-1").verb(ops.seed_account)


def test_seeding_is_quick_enough_for_every_reset(bare: Ec2) -> None:
    """A bound far above the half millisecond that it takes, to catch only a change of kind."""
    started = time.process_time()
    bare.verb(ops.seed_account)
    assert time.process_time() - started < 0.1


def test_account_attributes(ec2: Ec2) -> None:
    (vpc,) = ec2("DescribeVpcs")["Vpcs"]
    (one,) = ec2("DescribeAccountAttributes", AttributeNames=["default-vpc"])["AccountAttributes"]
    assert one["AttributeValues"] == [{"AttributeValue": vpc["VpcId"]}]
    assert len(ec2("DescribeAccountAttributes")["AccountAttributes"]) == 5
    assert ec2.error("DescribeAccountAttributes", AttributeNames=["colour"])[0] == "InvalidParameterValue"


def test_zones_and_regions(ec2: Ec2) -> None:
    zones = ec2("DescribeAvailabilityZones")["AvailabilityZones"]
    assert [one["ZoneName"][-1] for one in zones] == list("abcdef")
    (one,) = ec2("DescribeAvailabilityZones", ZoneIds=["use1-az6"])["AvailabilityZones"]
    assert one["ZoneName"] == "us-east-1d"
    (one,) = ec2("DescribeAvailabilityZones", Filters=[{"Name": "zone-name", "Values": ["*b"]}])["AvailabilityZones"]
    assert one["ZoneId"] == "use1-az2"
    assert ec2.error("DescribeAvailabilityZones", ZoneNames=["us-east-1z"]) == (
        "InvalidParameterValue",
        "Invalid availability zone: [us-east-1z]",
    )
    regions = {one["RegionName"] for one in ec2("DescribeRegions")["Regions"]}
    assert {"us-east-1", "eu-central-1"} <= regions
    assert "cn-north-1" not in regions
    assert ec2.error("DescribeRegions", RegionNames=["mars-1"])[0] == "InvalidParameterValue"


def test_what_does_not_exist_is_listed_as_empty(ec2: Ec2) -> None:
    assert ec2("DescribeInstances") == {"Reservations": []}
    assert ec2("DescribeVpnGateways") == {"VpnGateways": []}
    assert ec2.error("DescribeInstances", InstanceIds=["i-0123456789abcdef0"]) == (
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-0123456789abcdef0' does not exist",
    )
