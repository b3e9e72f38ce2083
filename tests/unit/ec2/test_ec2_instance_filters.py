"""DescribeInstances and DescribeInstanceStatus: what AWS lets one filter by, each filter both ways."""

from __future__ import annotations

import re
from typing import Any

import botocore.loaders
import pytest
from ec2_account import Ec2

IMAGE = "ami-12345678"

REFUSED = {
    "boot-mode", "current-instance-boot-mode", "ebs-optimized", "ena-support", "iam-instance-profile.id",
    "platform-details", "root-device-name", "root-device-type", "tpm-support", "usage-operation",
    "usage-operation-update-time",
}  # fmt: skip
"""What only the image and the volumes would tell."""


def documented(operation: str) -> list[str]:
    """The filter names in AWS's own description of an operation."""
    model = botocore.loaders.Loader().load_service_model("ec2", "service-2")
    text = model["shapes"][f"{operation}Request"]["members"]["Filters"]["documentation"]
    return re.findall(r"<li> <p> <code>([a-z0-9.-]+)</code>", text)


def matching(ec2: Ec2, name: str, *values: str) -> set[str]:
    found = ec2("DescribeInstances", Filters=[{"Name": name, "Values": list(values)}])["Reservations"]
    return {one["InstanceId"] for reservation in found for one in reservation["Instances"]}


@pytest.fixture
def pair(ec2: Ec2) -> tuple[dict[str, Any], dict[str, Any]]:
    """A public instance of the default VPC with everything, and a plain one in a VPC of its own."""
    subnet = ec2("DescribeSubnets")["Subnets"][0]
    group = ec2("CreateSecurityGroup", GroupName="web", Description="web", VpcId=subnet["VpcId"])["GroupId"]
    one = ec2(
        "RunInstances",
        ImageId=IMAGE,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        KeyName="mine",
        ClientToken="once",
        SubnetId=subnet["SubnetId"],
        SecurityGroupIds=[group],
        IamInstanceProfile={"Name": "role"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3, "InstanceMetadataTags": "enabled"},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]},
            {"ResourceType": "network-interface", "Tags": [{"Key": "end", "Value": "front"}]},
        ],
    )["Instances"][0]
    eip = ec2("AllocateAddress")
    ec2("AssociateAddress", InstanceId=one["InstanceId"], AllocationId=eip["AllocationId"])
    vpc = ec2("CreateVpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    plain = ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]
    other = ec2("RunInstances", ImageId="ami-87654321", MinCount=1, MaxCount=1, SubnetId=plain["SubnetId"])[
        "Instances"
    ][0]
    ec2("ModifyInstanceAttribute", InstanceId=other["InstanceId"], SourceDestCheck={"Value": False})
    shown = {
        one["InstanceId"]: one
        for reservation in ec2("DescribeInstances")["Reservations"]
        for one in reservation["Instances"]
    }
    return shown[one["InstanceId"]], shown[other["InstanceId"]]


def test_every_documented_filter_is_answered_or_refused_in_words(ec2: Ec2, pair: object) -> None:
    names = documented("DescribeInstances")
    assert len(names) > 130
    for name in names:
        if name in REFUSED or name.startswith("block-device-mapping."):
            code, text = ec2.error("DescribeInstances", Filters=[{"Name": name, "Values": ["x"]}])
            assert code == "NotImplemented"
            assert f"the filter '{name}'" in text
        else:
            assert matching(ec2, name, "no such value") == set()
    for name in documented("DescribeInstanceStatus"):
        assert ec2("DescribeInstanceStatus", Filters=[{"Name": name, "Values": ["x"]}])["InstanceStatuses"] == []


@pytest.mark.parametrize("operation", ["DescribeInstances", "DescribeInstanceStatus"])
def test_an_unknown_filter_is_refused_in_the_words_of_aws(ec2: Ec2, operation: str) -> None:
    wrong = [{"Name": "colour", "Values": ["red"]}]
    assert ec2.error(operation, Filters=wrong) == ("InvalidParameterValue", "The filter 'colour' is invalid")


def test_what_tells_two_instances_apart(ec2: Ec2, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = pair
    first, second = one["NetworkInterfaces"][0], other["NetworkInterfaces"][0]
    zone = ec2("DescribeSubnets", SubnetIds=[one["SubnetId"]])["Subnets"][0]["AvailabilityZoneId"]
    eip = ec2("DescribeAddresses")["Addresses"][0]
    by_value = {
        "availability-zone-id": zone,
        "client-token": "once",
        "dns-name": one["PublicDnsName"],
        "iam-instance-profile.arn": one["IamInstanceProfile"]["Arn"],
        "image-id": IMAGE,
        "instance.group-name": "web",
        "instance-type": "t3.small",
        "ip-address": one["PublicIpAddress"],
        "key-name": "mine",
        "metadata-options.http-put-response-hop-limit": "3",
        "metadata-options.http-tokens": "required",
        "metadata-options.instance-metadata-tags": "enabled",
        "network-interface.addresses.association.allocation-id": eip["AllocationId"],
        "network-interface.addresses.association.association-id": eip["AssociationId"],
        "network-interface.addresses.association.public-ip": eip["PublicIp"],
        "network-interface.association.allocation-id": eip["AllocationId"],
        "network-interface.association.association-id": eip["AssociationId"],
        "network-interface.association.public-ip": eip["PublicIp"],
        "network-interface.attachment.attachment-id": first["Attachment"]["AttachmentId"],
        "network-interface.attachment.instance-id": one["InstanceId"],
        "network-interface.availability-zone": "us-east-1a",
        "network-interface.group-name": "web",
        "network-interface.mac-address": first["MacAddress"],
        "network-interface.network-interface-id": first["NetworkInterfaceId"],
        "network-interface.private-ip-address": first["PrivateIpAddress"],
        "network-interface.public-dns-name": one["PublicDnsName"],
        "network-interface.source-dest-check": "true",
        "network-interface.subnet-id": one["SubnetId"],
        "network-interface.tag-key": "end",
        "network-interface.tag-value": "front",
        "private-dns-name": one["PrivateDnsName"],
        "source-dest-check": "true",
        "subnet-id": one["SubnetId"],
        "tag:Name": "web",
        "tag-key": "Name",
        "vpc-id": one["VpcId"],
    }
    for name, value in by_value.items():
        assert matching(ec2, name, value) == {one["InstanceId"]}, name
        assert matching(ec2, name, value + "x") == set(), name
    assert matching(ec2, "network-interface.mac-address", second["MacAddress"]) == {other["InstanceId"]}
    assert matching(ec2, "metadata-options.instance-metadata-tags", "disabled") == {other["InstanceId"]}


def test_what_is_the_same_for_all(ec2: Ec2, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    both = {one["InstanceId"] for one in pair}
    for name, value, wrong in (
        ("tenancy", "default", "host"),
        ("hypervisor", "xen", "ovm"),
        ("virtualization-type", "hvm", "paravirtual"),
        ("monitoring-state", "disabled", "enabled"),
        ("instance-state-name", "pending", "running"),
        ("network-interface.attachment.device-index", "0", "1"),
        ("network-interface.status", "in-use", "available"),
        ("private-dns-name-options.hostname-type", "ip-name", "resource-name"),
        ("metadata-options.http-protocol-ipv4", "enabled", "disabled"),
        ("launch-time", "????-??-??T*", "1999-*"),
    ):
        assert matching(ec2, name, value) == both, name
        assert matching(ec2, name, wrong) == set(), name
    for name in ("platform", "host-id", "instance-lifecycle", "outpost-arn", "placement-group-name"):
        assert matching(ec2, name, "*") == set(), name


def test_why_an_instance_is_in_its_state(ec2: Ec2, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = (each["InstanceId"] for each in pair)
    ec2("TerminateInstances", InstanceIds=[one])
    assert matching(ec2, "state-reason-code", "Client.UserInitiatedShutdown") == {one}
    assert matching(ec2, "state-reason-message", "*User initiated shutdown") == {one}
    assert matching(ec2, "reason", "User initiated*") == {one}
    assert other not in matching(ec2, "instance-state-name", "shutting-down", "terminated")
