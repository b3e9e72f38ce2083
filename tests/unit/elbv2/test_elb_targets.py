"""Target groups and targets: defaults, limits, registration, and the states that DescribeTargetHealth derives."""

from __future__ import annotations

import pytest
from elb_cloud import FIXED, Elb

from ecsnet.model.tables import TARGETS, target_key
from ecsnet.services.elbv2 import ops


def test_defaults(cloud: Elb) -> None:
    arn = cloud.group()
    (group,) = cloud.elbv2("DescribeTargetGroups", TargetGroupArns=[arn])["TargetGroups"]
    expected = {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "Matcher": {"HttpCode": "200"},
        "LoadBalancerArns": [],
        "ProtocolVersion": "HTTP1",
    }
    assert {name: group[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Name": "x" * 33}, "ValidationError: Target group name '" + "x" * 33 + "' cannot be longer than '32'"),
        ({"Name": "a_b"}, "ValidationError: Target group name 'a_b' can only contain"),
        ({"Name": "a-"}, "ValidationError: Target group name 'a-' cannot begin or end with '-'"),
        ({"Protocol": None}, "ValidationError: A protocol must be specified"),
        ({"Protocol": "FTP"}, "ValidationError: 1 validation error detected: Value 'FTP' at 'protocol'"),
        ({"Protocol": "UDP"}, "NotImplemented"),
        ({"Port": None}, "ValidationError: A port must be specified"),
        ({"Port": 0}, "ValidationError: The port '0'"),
        ({"VpcId": None}, "ValidationError: A VPC ID must be specified"),
        ({"VpcId": "vpc-1"}, "ValidationError: The VPC ID 'vpc-1' is not found"),
        ({"TargetType": "lambda"}, "NotImplemented"),
        ({"ProtocolVersion": "GRPC"}, "NotImplemented"),
        ({"HealthCheckEnabled": False}, "ValidationError: Health checks must be enabled"),
        (
            {"HealthCheckTimeoutSeconds": 30},
            "ValidationError: Health check timeout '30' must be smaller than the interval '30'",
        ),
        ({"HealthCheckIntervalSeconds": 4}, "ValidationError: Health check interval '4' must be between 5 and 300"),
        ({"HealthCheckPath": "x"}, "ValidationError: Health check path 'x'"),
        ({"HealthCheckPort": "http"}, "ValidationError: Health check port 'http'"),
        ({"Matcher": {"HttpCode": "200-600"}}, "ValidationError: Health check matcher"),
    ],
)
def test_bad_target_groups(cloud: Elb, change: dict[str, object], error: str) -> None:
    request = {"Name": "web", "Protocol": "HTTP", "Port": 80, "VpcId": cloud.vpc, "TargetType": "ip"} | change
    given = {name: value for name, value in request.items() if value is not None}
    assert cloud.fails("CreateTargetGroup", **given).startswith(error)


def test_names_are_unique_and_creation_is_idempotent(cloud: Elb) -> None:
    assert cloud.group() == cloud.group()
    request = {"Name": "web", "Protocol": "HTTP", "Port": 81, "VpcId": cloud.vpc, "TargetType": "ip"}
    assert cloud.fails("CreateTargetGroup", **request).startswith("DuplicateTargetGroupName")
    assert cloud.fails("DescribeTargetGroups", Names=["none"]).startswith("TargetGroupNotFound")


def test_modify_changes_the_health_check_only(cloud: Elb) -> None:
    arn = cloud.group()
    changed = cloud.elbv2(
        "ModifyTargetGroup", TargetGroupArn=arn, HealthCheckPath="/up", Matcher={"HttpCode": "200,301-302"}
    )
    assert changed["TargetGroups"][0]["HealthCheckPath"] == "/up"
    assert changed["TargetGroups"][0]["HealthCheckIntervalSeconds"] == 30


def test_a_used_group_cannot_be_deleted_and_has_one_balancer(cloud: Elb) -> None:
    group = cloud.group()
    first, second = cloud.balancer("a"), cloud.balancer("b")
    cloud.listener(first["LoadBalancerArn"], group)
    assert cloud.fails("DeleteTargetGroup", TargetGroupArn=group) == (
        f"ResourceInUse: The target group '{group}' is currently in use by a listener or a rule"
    )
    action = {"Type": "forward", "TargetGroupArn": group}
    assert cloud.fails(
        "CreateListener",
        LoadBalancerArn=second["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[action],
    ).startswith("TargetGroupAssociationLimit")
    found = cloud.elbv2("DescribeTargetGroups", LoadBalancerArn=first["LoadBalancerArn"])["TargetGroups"]
    assert [item["TargetGroupArn"] for item in found] == [group]
    assert found[0]["LoadBalancerArns"] == [first["LoadBalancerArn"]]
    assert cloud.elbv2("DescribeTargetGroups", LoadBalancerArn=second["LoadBalancerArn"]) == {"TargetGroups": []}


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({"Id": "8.8.8.8"}, "ValidationError: The IP address '8.8.8.8' is not within a range"),
        ({"Id": "10.1.1.1"}, "ValidationError: You must specify an Availability Zone"),
        ({"Id": "i-0123"}, "ValidationError: The IP address 'i-0123' is not a valid IPv4 address"),
        ({"Id": "172.31.0.9", "Port": 70000}, "ValidationError: The port '70000'"),
    ],
)
def test_bad_targets(cloud: Elb, target: dict[str, object], error: str) -> None:
    assert cloud.fails("RegisterTargets", TargetGroupArn=cloud.group(), Targets=[target]).startswith(error)


def test_an_instance_that_does_not_exist_is_no_target(cloud: Elb) -> None:
    group = cloud.group(TargetType="instance")
    answer = cloud.fails("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "i-0123"}])
    assert answer.startswith("InvalidTarget: The following targets are not in a running state")


def test_the_life_of_a_target(cloud: Elb) -> None:
    group = cloud.group()
    address = "172.31.0.9"
    assert cloud.health(group, Targets=[{"Id": address}]) == [(f"{address}:80", "unused", "Target.NotRegistered")]
    cloud.elbv2(
        "RegisterTargets",
        TargetGroupArn=group,
        Targets=[{"Id": address}, {"Id": "10.1.1.1", "AvailabilityZone": "all"}],
    )
    assert cloud.health(group, Targets=[{"Id": address}]) == [(f"{address}:80", "unused", "Target.NotInUse")]
    balancer = cloud.balancer()["LoadBalancerArn"]
    listener = cloud.listener(balancer, group)
    assert cloud.health(group)[1] == (f"{address}:80", "initial", "Elb.RegistrationInProgress")
    cloud.look()
    assert cloud.health(group)[1] == (f"{address}:80", "initial", "Elb.InitialHealthChecking")
    cloud.now += 1
    cloud.probe(address, "healthy")
    assert cloud.health(group)[1] == (f"{address}:80", "healthy", None)
    cloud.probe(address, "unhealthy", reason="Target.Timeout", description="Request timed out")
    assert cloud.health(group)[1] == (f"{address}:80", "unhealthy", "Target.Timeout")

    cloud.elbv2("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": address}])
    cloud.elbv2("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "172.31.0.77"}])
    assert cloud.health(group)[1] == (f"{address}:80", "draining", "Target.DeregistrationInProgress")
    key = target_key(group, address, 80)
    assert ops.draining_due(cloud.store.snapshot, key) == cloud.now + 300
    assert ops.draining_due(cloud.store.snapshot, key, speed=100) == cloud.now + 3
    with cloud.store.transaction() as tx:
        ops.finish_draining(cloud.call(tx), key)
        ops.finish_draining(cloud.call(tx), target_key(group, "10.1.1.1", 80))
    assert [item[0] for item in cloud.health(group)] == ["10.1.1.1:80"]
    cloud.elbv2("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": address}])
    assert cloud.health(group)[1] == (f"{address}:80", "initial", "Elb.InitialHealthChecking")

    cloud.now += 1
    cloud.probe(address, "healthy")
    cloud.elbv2("ModifyListener", ListenerArn=listener, DefaultActions=[FIXED])
    assert cloud.health(group)[1] == (f"{address}:80", "unused", "Target.NotInUse")
    cloud.elbv2("ModifyListener", ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
    assert cloud.health(group)[1] == (f"{address}:80", "initial", "Elb.InitialHealthChecking")


def test_the_zone_is_found_and_must_be_enabled(cloud: Elb) -> None:
    group = cloud.group()
    cloud.listener(cloud.balancer()["LoadBalancerArn"], group)
    cloud.look()
    third = cloud.ec2("DescribeSubnets", SubnetIds=[cloud.subnets[2]])["Subnets"][0]
    address = third["CidrBlock"].replace(".0/20", ".50")
    cloud.elbv2("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": address}])
    (target,) = cloud.elbv2("DescribeTargetHealth", TargetGroupArn=group)["TargetHealthDescriptions"]
    assert target["Target"]["AvailabilityZone"] == third["AvailabilityZone"]
    assert target["TargetHealth"]["Description"] == (
        "Target is in an Availability Zone that is not enabled for the load balancer"
    )


def test_a_balancer_cannot_be_a_target(cloud: Elb) -> None:
    group = cloud.group()
    arn = cloud.balancer()["LoadBalancerArn"]
    cloud.listener(arn, group)
    (eni, *_) = cloud.ec2("DescribeNetworkInterfaces")["NetworkInterfaces"]
    cloud.elbv2("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": eni["PrivateIpAddress"]}])
    assert cloud.health(group)[0][1:] == ("unused", "Target.IpUnusable")


def test_one_address_with_two_ports(cloud: Elb) -> None:
    group = cloud.group()
    targets = [{"Id": "172.31.0.9", "Port": 80}, {"Id": "172.31.0.9", "Port": 81}]
    cloud.elbv2("RegisterTargets", TargetGroupArn=group, Targets=targets)
    cloud.elbv2("DeregisterTargets", TargetGroupArn=group, Targets=targets[:1])
    draining = {row.port: row.draining_since is not None for row in cloud.store.snapshot.rows(TARGETS)}
    assert draining == {80: True, 81: False}


def test_attributes(cloud: Elb) -> None:
    group = cloud.group()

    def modify(key: str, value: str) -> str:
        return cloud.fails(
            "ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=[{"Key": key, "Value": value}]
        )

    assert modify("deregistration_delay.timeout_seconds", "3601") == (
        "ValidationError: 'deregistration_delay.timeout_seconds' value '3601' must be between '0-3600' inclusive"
    )
    assert modify("no.such", "1") == "InvalidConfigurationRequest: Key no.such not valid"
    assert modify("stickiness.type", "source_ip").startswith("ValidationError")
    assert modify("load_balancing.algorithm.anomaly_mitigation", "on").startswith("NotImplemented")
    cloud.elbv2(
        "ModifyTargetGroupAttributes",
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
    )
    listed = cloud.elbv2("DescribeTargetGroupAttributes", TargetGroupArn=group)["Attributes"]
    values = {item["Key"]: item["Value"] for item in listed}
    assert values["deregistration_delay.timeout_seconds"] == "5"
    assert values["load_balancing.algorithm.type"] == "round_robin"
