"""A network load balancer through the API: TCP connections to healthy targets, seen as the balancer's own address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecsnet.cli.dial import dial
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.traffic import INTERNET
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network]


def make(instance: Instance) -> dict[str, Any]:
    """An internet-facing balancer in two zones and a service of two tasks that admit only the VPC's addresses."""
    ec2, elb, ecs = instance.client("ec2"), instance.client("elbv2"), instance.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.70.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab", 1)
    ]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    admitted = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.70.0.0/16"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=admitted)
    balancer = elb.create_load_balancer(Name="nlb", Type="network", Subnets=subnets)["LoadBalancers"][0]
    assert "SecurityGroups" not in balancer or balancer["SecurityGroups"] == []
    targets = elb.create_target_group(Name="nlb", Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip")["TargetGroups"][
        0
    ]
    assert targets["HealthCheckProtocol"] == "TCP"
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="TCP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": targets["TargetGroupArn"]}],
    )
    ecs.create_cluster(clusterName="nlb")
    ecs.register_task_definition(
        family="nlb",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "absent", "portMappings": [{"containerPort": 80}]}],
    )
    ecs.create_service(
        cluster="nlb",
        serviceName="nlb",
        taskDefinition="nlb",
        desiredCount=2,
        launchType="FARGATE",
        loadBalancers=[{"targetGroupArn": targets["TargetGroupArn"], "containerName": "web", "containerPort": 80}],
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": subnets, "securityGroups": [group], "assignPublicIp": "ENABLED"}
        },
    )
    return {"balancer": balancer, "targets": targets["TargetGroupArn"], "group": group, "admitted": admitted}


def healthy(instance: Instance, targets: str) -> list[dict[str, Any]]:
    found = instance.client("elbv2").describe_target_health(TargetGroupArn=targets)["TargetHealthDescriptions"]
    return [item for item in found if item["TargetHealth"]["State"] == "healthy"]


def test_connections_reach_healthy_targets_from_the_balancers_address(instance: Instance) -> None:
    made = make(instance)
    eventually(lambda: len(healthy(instance, made["targets"])) == 2, "both targets are healthy")
    url = f"http://{made['balancer']['DNSName']}/"

    def tasks_of_ten() -> set[str]:
        replies = [json.loads(instance.curl(url).body) for _ in range(10)]
        # the client's address is not preserved, AWS's default for targets by address over TCP
        assert all(reply["peer_address"].startswith("10.70.") for reply in replies)
        return {reply["task"] for reply in replies}

    # the name has the addresses of both zones; each zone's node uses its own zone's task
    eventually(lambda: len(tasks_of_ten()) == 2, "both zones answer", timeout=150)

    ec2 = instance.client("ec2")
    interfaces = ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [made["group"]]}])
    for interface in interfaces["NetworkInterfaces"]:
        with pytest.raises(CliError) as caught:
            instance.curl(f"http://{interface['Association']['PublicIp']}/", timeout=0.7)
        assert caught.value.code is Exit.TIMED_OUT

    ec2.revoke_security_group_ingress(GroupId=made["group"], IpPermissions=made["admitted"])
    with pytest.raises(CliError):
        instance.curl(url, timeout=1.0)
    ec2.authorize_security_group_ingress(GroupId=made["group"], IpPermissions=made["admitted"])
    eventually(lambda: len(healthy(instance, made["targets"])) == 2, "both targets are healthy again")


def test_connections_outlive_the_deregistration_of_every_target_and_no_new_one_begins(instance: Instance) -> None:
    elb = instance.client("elbv2")
    (balancer,) = elb.describe_load_balancers(Names=["nlb"])["LoadBalancers"]
    (group,) = elb.describe_target_groups(Names=["nlb"])["TargetGroups"]
    targets = [item["Target"] for item in healthy(instance, group["TargetGroupArn"])]
    with dial(instance.home, INTERNET, balancer["DNSName"], 80, timeout=20.0) as live:

        def exchange() -> bytes:
            live.sendall(b"GET / HTTP/1.1\r\nHost: live\r\n\r\n")
            return live.recv(65536).split(b"\r\n")[0]

        assert b"200" in exchange()
        elb.deregister_targets(TargetGroupArn=group["TargetGroupArn"], Targets=targets)
        with pytest.raises(CliError):
            instance.curl(f"http://{balancer['DNSName']}/", timeout=1.0)
        assert b"200" in exchange()
    elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=targets)


def test_what_a_network_load_balancer_does_not_do_yet_says_so(instance: Instance) -> None:
    elb = instance.client("elbv2")
    balancer = elb.describe_load_balancers(Names=["nlb"])["LoadBalancers"][0]["LoadBalancerArn"]
    vpc = elb.describe_load_balancers(Names=["nlb"])["LoadBalancers"][0]["VpcId"]
    with pytest.raises(elb.exceptions.ClientError, match="does not implement target groups with the protocol 'UDP'"):
        elb.create_target_group(Name="udp", Protocol="UDP", Port=53, VpcId=vpc, TargetType="ip")
    targets = elb.describe_target_groups(Names=["nlb"])["TargetGroups"][0]["TargetGroupArn"]
    with pytest.raises(elb.exceptions.ClientError, match="must be one of 'TCP, TLS, UDP, TCP_UDP'"):
        elb.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=81,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
        )
