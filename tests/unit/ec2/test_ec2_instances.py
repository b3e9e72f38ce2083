"""RunInstances, attachments and what depends on them. Texts are AWS's (EC2 API reference, "Error codes")."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import Ec2

from ecsnet.model import ec2 as model
from ecsnet.model.tables import INSTANCES, INTERFACES, OBSERVED_INSTANCES, OBSERVED_INTERFACES
from ecsnet.services.ec2 import ops
from ecsnet.services.ec2.instance_type import TYPES


def run(ec2: Ec2, **more: Any) -> list[dict[str, Any]]:
    given = {"ImageId": "ami-1", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **more}
    made: list[dict[str, Any]] = ec2("RunInstances", **given)["Instances"]
    return made


def running(ec2: Ec2, **more: Any) -> str:
    """An instance that was seen."""
    key = str(run(ec2, **more)[0]["InstanceId"])
    with ec2.store.transaction() as tx:
        tx.put(OBSERVED_INSTANCES, model.ObservedInstance(instance=key, revision=1))
        for eni in ops.interfaces_of(tx, key):
            tx.put(OBSERVED_INTERFACES, model.ObservedInterface(interface=eni.id, revision=1))
        row = tx.get(INSTANCES, key)
        assert row is not None
        ops.make_running(ec2.call(tx), row)
    return key


def subnet_in(ec2: Ec2, zone: str) -> str:
    found = ec2("DescribeSubnets", Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
    return str(found[0]["SubnetId"])


# ── launching ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_subnet_it_goes_to_the_default_vpc(ec2: Ec2) -> None:
    (made,) = run(ec2)
    assert made["State"] == {"Code": 0, "Name": "pending"}
    assert made["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert made["PublicIpAddress"].startswith("198.")
    assert made["PrivateDnsName"] == f"ip-{made['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    assert [group["GroupName"] for group in made["SecurityGroups"]] == ["default"]
    assert run(ec2, Placement={"AvailabilityZone": "us-east-1c"})[0]["Placement"]["AvailabilityZone"] == "us-east-1c"


def test_several_at_once_and_as_many_as_there_is_room_for(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    subnet = ec2.subnet(vpc, "10.0.0.0/28")
    made = run(ec2, SubnetId=subnet, MinCount=2, MaxCount=50)
    assert len(made) == 11
    assert [one["AmiLaunchIndex"] for one in made] == list(range(11))
    code, _ = ec2.error(
        "RunInstances", ImageId="ami-1", InstanceType="t3.micro", SubnetId=subnet, MinCount=1, MaxCount=1
    )
    assert code == "InsufficientFreeAddressesInSubnet"
    (reservation,) = ec2("DescribeInstances")["Reservations"]
    assert len(reservation["Instances"]) == 11


def test_the_same_token_makes_nothing_twice(ec2: Ec2) -> None:
    first = run(ec2, ClientToken="a", MaxCount=2)
    assert run(ec2, ClientToken="a", MaxCount=2) == first
    code, _ = ec2.error(
        "RunInstances", ImageId="ami-2", InstanceType="t3.micro", MinCount=1, MaxCount=1, ClientToken="a"
    )
    assert code == "IdempotentParameterMismatch"


def test_interfaces_of_the_request(ec2: Ec2) -> None:
    subnet = subnet_in(ec2, "us-east-1b")
    present = ec2.interface(subnet)["NetworkInterfaceId"]
    (made,) = run(
        ec2,
        InstanceType="m5.large",
        NetworkInterfaces=[
            {"DeviceIndex": 1, "NetworkInterfaceId": present},
            {
                "DeviceIndex": 0,
                "SubnetId": subnet,
                "AssociatePublicIpAddress": False,
                "SecondaryPrivateIpAddressCount": 2,
                "Description": "front",
            },
        ],
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    first, second = made["NetworkInterfaces"]
    assert (first["Attachment"]["DeviceIndex"], first["Description"]) == (0, "front")
    assert len(first["PrivateIpAddresses"]) == 3
    assert first["Attachment"]["DeleteOnTermination"]
    assert second["NetworkInterfaceId"] == present
    assert not second["Attachment"]["DeleteOnTermination"]
    assert "PublicIpAddress" not in made


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ({"ImageId": ""}, "MissingParameter", "The request must contain the parameter ImageId"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed", 'Invalid id: "debian" (expecting "ami-...")'),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue", "Invalid value 't9.huge' for InstanceType."),
        ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue", None),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound", None),
        (
            {"NetworkInterfaces": [{"DeviceIndex": n} for n in range(3)]},
            "AttachmentLimitExceeded",
            "Interface count 3 exceeds the limit for t3.micro",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 2}]},
            "PrivateIpAddressLimitExceeded",
            "Number of private addresses will exceed limit.",
        ),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 0}]}, "InvalidParameterValue", None),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-1"}, "InvalidParameterCombination", None),
        (
            {"LaunchTemplate": {"LaunchTemplateName": "x"}},
            "InvalidLaunchTemplateName.NotFoundException",
            "The specified launch template, with template name x, does not exist.",
        ),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "NotImplemented", None),
    ],
)
def test_what_is_refused(ec2: Ec2, given: dict[str, Any], code: str, text: str | None) -> None:
    request = {"ImageId": "ami-1", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **given}
    found = ec2.error("RunInstances", **request)
    assert found[0] == code
    assert text is None or found[1] == text


def test_groups_of_another_vpc_are_refused(ec2: Ec2) -> None:
    vpc = ec2.vpc()
    subnet, other = ec2.subnet(vpc), ec2("DescribeSecurityGroups")["SecurityGroups"]
    group = next(one["GroupId"] for one in other if one["VpcId"] != vpc)
    assert ec2.error(
        "RunInstances", ImageId="ami-1", MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[group]
    ) == ("InvalidParameter", f"Security group {group} and subnet {subnet} belong to different networks.")


# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_states_that_do_not_allow_it(ec2: Ec2) -> None:
    (made,) = run(ec2)
    key = made["InstanceId"]
    assert ec2.error("StopInstances", InstanceIds=[key]) == (
        "IncorrectInstanceState",
        f"The instance '{key}' is not in a state from which it can be stopped.",
    )
    ec2("ModifyInstanceAttribute", InstanceId=key, DisableApiTermination={"Value": True})
    assert ec2.error("TerminateInstances", InstanceIds=[key]) == (
        "OperationNotPermitted",
        f"The instance '{key}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try "
        "again.",
    )
    assert ec2.error("StopInstances", InstanceIds=["i-0123456789abcdef0"]) == (
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-0123456789abcdef0' does not exist",
    )
    ec2("ModifyInstanceAttribute", InstanceId=key, DisableApiTermination={"Value": False})
    (change,) = ec2("TerminateInstances", InstanceIds=[key])["TerminatingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("pending", "shutting-down")


def test_attributes(ec2: Ec2) -> None:
    key = running(ec2, UserData="aGVsbG8=")
    ec2("ModifyInstanceAttribute", InstanceId=key, SourceDestCheck={"Value": False})
    assert ec2("DescribeInstanceAttribute", InstanceId=key, Attribute="sourceDestCheck")["SourceDestCheck"] == {
        "Value": False
    }
    assert ec2("DescribeInstanceAttribute", InstanceId=key, Attribute="userData")["UserData"] == {"Value": "aGVsbG8="}
    assert ec2.error("ModifyInstanceAttribute", InstanceId=key, InstanceType={"Value": "m5.large"})[0] == (
        "IncorrectInstanceState"
    )
    options = ec2("ModifyInstanceMetadataOptions", InstanceId=key, HttpTokens="required", HttpPutResponseHopLimit=2)
    assert options["InstanceMetadataOptions"]["HttpTokens"] == "required"
    found = ec2("DescribeInstances", Filters=[{"Name": "source-dest-check", "Values": ["false"]}])["Reservations"]
    assert found[0]["Instances"][0]["MetadataOptions"]["HttpPutResponseHopLimit"] == 2


def test_types_say_how_many_interfaces(ec2: Ec2) -> None:
    assert (TYPES["m5.large"].interfaces, TYPES["m5.large"].ipv4_per_interface) == (3, 10)
    assert (TYPES["c5.18xlarge"].interfaces, TYPES["c5.18xlarge"].ipv4_per_interface) == (15, 50)
    (shown,) = ec2("DescribeInstanceTypes", InstanceTypes=["t3.micro"])["InstanceTypes"]
    assert shown["NetworkInfo"]["MaximumNetworkInterfaces"] == 2
    assert ec2.error("DescribeInstanceTypes", InstanceTypes=["t9.huge"])[0] == "InvalidInstanceType"


# ── attachments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_attaching_and_detaching(ec2: Ec2) -> None:
    subnet = subnet_in(ec2, "us-east-1a")
    key, other = running(ec2, SubnetId=subnet), running(ec2, SubnetId=subnet)
    eni, far = (ec2.interface(where)["NetworkInterfaceId"] for where in (subnet, subnet_in(ec2, "us-east-1b")))
    assert ec2.error("AttachNetworkInterface", InstanceId=key, NetworkInterfaceId=far, DeviceIndex=1)[1] == (
        "You may not attach a network interface to an instance if they are not in the same availability zone"
    )
    assert ec2.error("AttachNetworkInterface", InstanceId=key, NetworkInterfaceId=eni, DeviceIndex=0) == (
        "InvalidParameterValue",
        f"Instance '{key}' already has an interface attached at device index '0'.",
    )
    attachment = ec2("AttachNetworkInterface", InstanceId=key, NetworkInterfaceId=eni, DeviceIndex=1)["AttachmentId"]
    assert ec2.error("AttachNetworkInterface", InstanceId=other, NetworkInterfaceId=eni, DeviceIndex=1) == (
        "InvalidNetworkInterface.InUse",
        f"Interface: [{eni}] in use.",
    )
    third = ec2.interface(subnet)["NetworkInterfaceId"]
    assert ec2.error("AttachNetworkInterface", InstanceId=key, NetworkInterfaceId=third, DeviceIndex=2) == (
        "AttachmentLimitExceeded",
        "Interface count 3 exceeds the limit for t3.micro",
    )
    assert ec2.error("DeleteNetworkInterface", NetworkInterfaceId=eni)[0] == "InvalidParameterValue"
    ec2("AssignPrivateIpAddresses", NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1)
    assert ec2.error("AssignPrivateIpAddresses", NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1) == (
        "PrivateIpAddressLimitExceeded",
        "Number of private addresses will exceed limit.",
    )
    change = {"AttachmentId": attachment, "DeleteOnTermination": True}
    ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, Attachment=change)
    (shown,) = ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni])["NetworkInterfaces"]
    assert shown["Attachment"]["DeleteOnTermination"]
    ec2("DetachNetworkInterface", AttachmentId=attachment, Force=True)
    assert ec2.error("DetachNetworkInterface", AttachmentId=attachment) == (
        "InvalidAttachmentID.NotFound",
        f"The network interface attachment ID '{attachment}' does not exist",
    )
    ec2("DeleteNetworkInterface", NetworkInterfaceId=eni)


def test_what_cannot_be_detached(ec2: Ec2) -> None:
    key = running(ec2)
    primary = ec2("DescribeInstances", InstanceIds=[key])["Reservations"][0]["Instances"][0]["NetworkInterfaces"][0]
    assert ec2.error("DetachNetworkInterface", AttachmentId=primary["Attachment"]["AttachmentId"]) == (
        "OperationNotPermitted",
        "The network interface at device index 0 and networkCard index 0 cannot be detached.",
    )
    subnet = subnet_in(ec2, "us-east-1a")
    nat = ec2("CreateNatGateway", SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    with ec2.store.transaction() as tx:
        managed = next(eni for eni in tx.rows(INTERFACES) if eni.attachment and eni.attachment.owner == nat)
    assert managed.attachment is not None
    assert ec2.error("DetachNetworkInterface", AttachmentId=managed.attachment.id) == (
        "OperationNotPermitted",
        "You are not allowed to manage 'ela-attach' attachments.",
    )


def test_a_subnet_with_an_instance_says_what_is_in_its_way(ec2: Ec2) -> None:
    subnet = ec2.subnet(ec2.vpc())
    (made,) = run(ec2, SubnetId=subnet)
    code, text = ec2.error("DeleteSubnet", SubnetId=subnet)
    assert code == "DependencyViolation"
    assert made["NetworkInterfaces"][0]["NetworkInterfaceId"] in text


# ── what points at instances ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_route_to_an_instance_is_one_to_its_interface(ec2: Ec2) -> None:
    subnet = subnet_in(ec2, "us-east-1a")
    key = running(ec2, SubnetId=subnet)
    (table,) = ec2("DescribeRouteTables")["RouteTables"]
    ec2("CreateRoute", RouteTableId=table["RouteTableId"], DestinationCidrBlock="10.9.0.0/16", InstanceId=key)

    def route() -> dict[str, Any]:
        (table,) = ec2("DescribeRouteTables", Filters=[{"Name": "route.instance-id", "Values": [key]}])["RouteTables"]
        return next(one for one in table["Routes"] if one["DestinationCidrBlock"] == "10.9.0.0/16")

    assert route()["InstanceId"] == key
    assert route()["NetworkInterfaceId"].startswith("eni-")
    assert route()["State"] == "active"
    ec2("StopInstances", InstanceIds=[key])
    assert route()["State"] == "blackhole"
    second = ec2.interface(subnet)["NetworkInterfaceId"]
    other = running(ec2, SubnetId=subnet)
    ec2("AttachNetworkInterface", InstanceId=other, NetworkInterfaceId=second, DeviceIndex=1)
    assert ec2.error(
        "CreateRoute", RouteTableId=table["RouteTableId"], DestinationCidrBlock="10.8.0.0/16", InstanceId=other
    ) == (
        "InvalidInstanceID",
        f"There are multiple interfaces attached to instance '{other}'. Please specify an interface ID for the "
        "operation instead.",
    )


def test_an_elastic_ip_goes_to_the_primary_interface(ec2: Ec2) -> None:
    key = running(ec2)
    eip = ec2("AllocateAddress")
    ec2("AssociateAddress", InstanceId=key, AllocationId=eip["AllocationId"])
    (address,) = ec2("DescribeAddresses", Filters=[{"Name": "instance-id", "Values": [key]}])["Addresses"]
    assert address["InstanceId"] == key
    shown = ec2("DescribeInstances", InstanceIds=[key])["Reservations"][0]["Instances"][0]
    assert shown["PublicIpAddress"] == eip["PublicIp"]


def test_tags_of_instances(ec2: Ec2) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}]
    (made,) = run(ec2, TagSpecifications=tags)
    ec2("CreateTags", Resources=[made["InstanceId"]], Tags=[{"Key": "a", "Value": "b"}])
    found = ec2("DescribeInstances", Filters=[{"Name": "tag:Name", "Values": ["web"]}])["Reservations"]
    assert found[0]["Instances"][0]["Tags"] == [{"Key": "Name", "Value": "web"}, {"Key": "a", "Value": "b"}]


# ── launch templates ─────────────────────────────────────────────────────────────────────────────────────────────────


def tags(kind: str, **values: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in values.items()]}]


def test_an_instance_from_a_launch_template_and_what_the_request_overrides(ec2: Ec2) -> None:
    data = {"ImageId": "ami-7", "InstanceType": "m5.large", "TagSpecifications": tags("instance", a="1", b="2")}
    made = ec2("CreateLaunchTemplate", LaunchTemplateName="web", LaunchTemplateData=data)["LaunchTemplate"]
    key = made["LaunchTemplateId"]
    newer = ec2(
        "CreateLaunchTemplateVersion",
        LaunchTemplateId=key,
        SourceVersion="1",
        LaunchTemplateData={"InstanceType": "c5.large"},
    )["LaunchTemplateVersion"]
    assert (newer["VersionNumber"], newer["DefaultVersion"]) == (2, False)
    assert newer["LaunchTemplateData"]["ImageId"] == "ami-7"

    def launch(version: str | None = None, **more: Any) -> dict[str, Any]:
        template = {"LaunchTemplateName": "web", **({"Version": version} if version else {})}
        reply = ec2("RunInstances", MinCount=1, MaxCount=1, LaunchTemplate=template, **more)
        instance: dict[str, Any] = reply["Instances"][0]
        return instance

    assert launch()["InstanceType"] == "m5.large"
    assert launch("$Latest")["InstanceType"] == "c5.large"
    chosen = launch("1", InstanceType="t3.micro", TagSpecifications=tags("instance", b="3"))
    assert (chosen["ImageId"], chosen["InstanceType"]) == ("ami-7", "t3.micro")
    assert {tag["Key"]: tag["Value"] for tag in chosen["Tags"]} == {"a": "1", "b": "3"}
    ec2("ModifyLaunchTemplate", LaunchTemplateId=key, DefaultVersion="2")
    assert launch()["InstanceType"] == "c5.large"
    shown = ec2("DescribeLaunchTemplateVersions", LaunchTemplateName="web")["LaunchTemplateVersions"]
    assert [one["VersionNumber"] for one in shown] == [2, 1]
    (listed,) = ec2("DescribeLaunchTemplates", LaunchTemplateNames=["web"])["LaunchTemplates"]
    assert (listed["DefaultVersionNumber"], listed["LatestVersionNumber"]) == (2, 2)
    assert ec2.error("CreateLaunchTemplate", LaunchTemplateName="web", LaunchTemplateData=data)[0] == (
        "InvalidLaunchTemplateName.AlreadyExistsException"
    )
    assert ec2.error("DescribeLaunchTemplateVersions", LaunchTemplateId=key, Versions=["9"]) == (
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version 9 for the launch template with ID {key}.",
    )
    ec2("DeleteLaunchTemplate", LaunchTemplateId=key)
    assert ec2("DescribeLaunchTemplates")["LaunchTemplates"] == []
