"""Load balancers: creation, idempotency, interfaces, subnets, groups, deletion, paging."""

from __future__ import annotations

import re

import pytest
from elb_cloud import Elb

from ecsnet.model.tables import GROUP_SETS, INTERFACES_BY_OWNER, group_set_key


def enis(cloud: Elb, arn: str) -> list[str]:
    return sorted(cloud.store.snapshot.keys(INTERFACES_BY_OWNER, arn))


def test_a_new_balancer_has_an_interface_per_subnet_and_is_provisioning(cloud: Elb) -> None:
    made = cloud.balancer()
    arn = made["LoadBalancerArn"]
    assert re.fullmatch(r"arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/[0-9a-f]{16}", arn)
    assert re.fullmatch(r"shop-\d+\.us-east-1\.elb\.amazonaws\.com", made["DNSName"])
    assert (made["State"], made["Scheme"], made["Type"]) == ({"Code": "provisioning"}, "internet-facing", "application")
    assert [zone["SubnetId"] for zone in made["AvailabilityZones"]] == cloud.subnets[:2]
    described = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=enis(cloud, arn))["NetworkInterfaces"]
    assert {eni["Description"] for eni in described} == {f"ELB {arn.partition('loadbalancer/')[2]}"}
    assert {eni["RequesterManaged"] for eni in described} == {True}
    assert all("Association" in eni for eni in described)
    assert [eni["Groups"][0]["GroupName"] for eni in described] == ["default", "default"]


def test_it_is_active_once_it_was_seen(cloud: Elb) -> None:
    cloud.balancer()
    cloud.look()
    (described,) = cloud.elbv2("DescribeLoadBalancers", Names=["shop"])["LoadBalancers"]
    assert described["State"] == {"Code": "active"}


def test_an_internal_balancer_has_no_public_address(cloud: Elb) -> None:
    made = cloud.balancer(Scheme="internal")
    assert made["DNSName"].startswith("internal-shop-")
    described = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=enis(cloud, made["LoadBalancerArn"]))
    assert all("Association" not in eni for eni in described["NetworkInterfaces"])


def test_the_same_request_finds_the_same_balancer_and_another_is_refused(cloud: Elb) -> None:
    assert cloud.balancer()["LoadBalancerArn"] == cloud.balancer()["LoadBalancerArn"]
    assert cloud.fails("CreateLoadBalancer", Name="shop", Subnets=cloud.subnets[:2], Scheme="internal") == (
        "DuplicateLoadBalancerName: A load balancer with the specified name already exists."
    )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Name": "internal-x"}, "ValidationError: The load balancer name 'internal-x' cannot begin with 'internal-'"),
        ({"Name": "-x"}, "ValidationError: The load balancer name '-x' cannot begin or end with '-'"),
        ({"Name": "x" * 33}, "ValidationError: The load balancer name '" + "x" * 33),
        ({"Name": "a b"}, "ValidationError: The load balancer name 'a b' can only contain"),
        ({"Scheme": "secret"}, "InvalidScheme: "),
        ({"Type": "gateway"}, "NotImplemented: "),
        ({"IpAddressType": "dualstack"}, "InvalidSubnet: The subnet"),
        ({"IpAddressType": "dualstack", "Type": "network"}, "NotImplemented: "),
        ({"IpAddressType": "dualstack-without-public-ipv4"}, "NotImplemented: "),
        ({"Subnets": ["subnet-1"]}, "SubnetNotFound: The subnet ID 'subnet-1' does not exist"),
        ({"Subnets": []}, "ValidationError: You must specify either subnets or subnet mappings"),
        ({"SecurityGroups": ["sg-1"]}, "InvalidSecurityGroup: The security group 'sg-1' does not exist"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys: "),
    ],
)
def test_bad_requests(cloud: Elb, change: dict[str, object], error: str) -> None:
    request = {"Name": "shop", "Subnets": cloud.subnets[:2]} | change
    assert cloud.fails("CreateLoadBalancer", **request).startswith(error)


def test_subnets_must_be_of_different_zones_and_large_enough(cloud: Elb) -> None:
    one = cloud.subnets[0]
    assert cloud.fails("CreateLoadBalancer", Name="x", Subnets=[one]).endswith(
        "At least two subnets in two different Availability Zones must be specified"
    )
    zone = cloud.ec2("DescribeSubnets", SubnetIds=[one])["Subnets"][0]["AvailabilityZone"]
    small = cloud.ec2("CreateSubnet", VpcId=cloud.vpc, CidrBlock="172.31.128.0/28", AvailabilityZone=zone)
    small_id = small["Subnet"]["SubnetId"]
    assert cloud.fails("CreateLoadBalancer", Name="x", Subnets=[one, small_id]) == (
        "InvalidConfigurationRequest: More than 1 subnet cannot be specified for 1 availability zone"
    )
    assert cloud.fails("CreateLoadBalancer", Name="x", Subnets=[small_id, cloud.subnets[1]]).startswith(
        f"InvalidSubnet: The subnet '{small_id}' must have a CIDR block of at least /27"
    )


def test_an_internet_facing_balancer_needs_a_gateway(cloud: Elb) -> None:
    vpc = cloud.ec2("CreateVpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        cloud.ec2("CreateSubnet", VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    assert cloud.fails("CreateLoadBalancer", Name="x", Subnets=subnets) == (
        f"InvalidSubnet: VPC {vpc} has no internet gateway"
    )
    cloud.balancer("x", Subnets=subnets, Scheme="internal")


def test_set_subnets_keeps_the_interface_of_a_subnet_that_stays(cloud: Elb) -> None:
    arn = cloud.balancer()["LoadBalancerArn"]
    before = enis(cloud, arn)
    answer = cloud.elbv2("SetSubnets", LoadBalancerArn=arn, Subnets=cloud.subnets[1:3])
    assert [zone["SubnetId"] for zone in answer["AvailabilityZones"]] == cloud.subnets[1:3]
    after = enis(cloud, arn)
    assert len(after) == 2
    assert len(set(after) & set(before)) == 1


def test_set_security_groups_reaches_every_interface(cloud: Elb) -> None:
    arn = cloud.balancer()["LoadBalancerArn"]
    group = cloud.ec2("CreateSecurityGroup", GroupName="lb", Description="lb", VpcId=cloud.vpc)["GroupId"]
    assert cloud.elbv2("SetSecurityGroups", LoadBalancerArn=arn, SecurityGroups=[group]) == {
        "SecurityGroupIds": [group]
    }
    described = cloud.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=enis(cloud, arn))["NetworkInterfaces"]
    assert [[g["GroupId"] for g in eni["Groups"]] for eni in described] == [[group], [group]]
    assert cloud.store.snapshot.get(GROUP_SETS, group_set_key(cloud.vpc, [group])) is not None


def test_deletion_takes_listeners_and_interfaces_along_and_may_be_repeated(cloud: Elb) -> None:
    arn, group = cloud.balancer()["LoadBalancerArn"], cloud.group()
    listener = cloud.listener(arn, group)
    cloud.elbv2("DeleteLoadBalancer", LoadBalancerArn=arn)
    cloud.elbv2("DeleteLoadBalancer", LoadBalancerArn=arn)
    assert enis(cloud, arn) == []
    assert cloud.fails("DescribeListeners", ListenerArns=[listener]).startswith("ListenerNotFound")
    assert cloud.fails("DescribeLoadBalancers", LoadBalancerArns=[arn]).startswith("LoadBalancerNotFound")
    cloud.elbv2("DeleteTargetGroup", TargetGroupArn=group)


def test_deletion_protection(cloud: Elb) -> None:
    arn = cloud.balancer()["LoadBalancerArn"]
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    cloud.elbv2("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=on)
    assert cloud.fails("DeleteLoadBalancer", LoadBalancerArn=arn).startswith("OperationNotPermitted")


def test_pages(cloud: Elb) -> None:
    for number in range(3):
        cloud.balancer(f"lb{number}")
    first = cloud.elbv2("DescribeLoadBalancers", PageSize=2)
    assert [b["LoadBalancerName"] for b in first["LoadBalancers"]] == ["lb0", "lb1"]
    second = cloud.elbv2("DescribeLoadBalancers", PageSize=2, Marker=first["NextMarker"])
    assert [b["LoadBalancerName"] for b in second["LoadBalancers"]] == ["lb2"]
    assert "NextMarker" not in second
    assert cloud.fails("DescribeLoadBalancers", Marker="x").startswith("ValidationError")


def test_tags(cloud: Elb) -> None:
    arn = cloud.balancer(Tags=[{"Key": "a", "Value": "1"}])["LoadBalancerArn"]
    cloud.elbv2("AddTags", ResourceArns=[arn], Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    cloud.elbv2("RemoveTags", ResourceArns=[arn], TagKeys=["b"])
    (described,) = cloud.elbv2("DescribeTags", ResourceArns=[arn])["TagDescriptions"]
    assert described["Tags"] == [{"Key": "a", "Value": "3"}]
    assert cloud.fails("DescribeTags", ResourceArns=[arn + "0"]).startswith("LoadBalancerNotFound")
    assert cloud.fails("DescribeTags", ResourceArns=["arn:x"]).startswith("ValidationError")


def test_the_quota(cloud: Elb) -> None:
    limits = {item["Name"]: item["Max"] for item in cloud.elbv2("DescribeAccountLimits")["Limits"]}
    assert limits["application-load-balancers"] == "50"
