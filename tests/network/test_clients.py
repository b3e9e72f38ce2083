"""The same network by plain boto3 and by the AWS CLI: a load balanced service that answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(180)]

Run = Callable[..., dict[str, Any]]
"""run("ec2", "create-vpc", CidrBlock=…) → the reply."""


def by_boto3(instance: Instance) -> Run:
    def run(service: str, command: str, **parameters: Any) -> dict[str, Any]:
        method = getattr(instance.client(service), command.replace("-", "_"))
        reply: dict[str, Any] = method(**parameters)
        return reply

    return run


def by_cli(program: Sequence[str], instance: Instance) -> Run:
    def run(service: str, command: str, **parameters: Any) -> dict[str, Any]:
        argv = [*program, service, command, "--output", "json", "--cli-input-json", json.dumps(parameters)]
        result = subprocess.run(argv, env=instance.environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, f"{' '.join(argv)}\n{result.stderr}"
        reply: dict[str, Any] = json.loads(result.stdout) if result.stdout.strip() else {}
        return reply

    return run


def load_balanced_service(run: Run, name: str, cidr: str) -> tuple[str, str, str]:
    """Makes VPC, gateway, load balancer and service; returns (DNS name, service group, cluster)."""
    first = cidr.rsplit(".", 2)[0]
    vpc = run("ec2", "create-vpc", CidrBlock=cidr)["Vpc"]["VpcId"]
    subnets = [
        run("ec2", "create-subnet", VpcId=vpc, CidrBlock=f"{first}.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for n, zone in enumerate("ab", 1)
    ]
    gateway = run("ec2", "create-internet-gateway")["InternetGateway"]["InternetGatewayId"]
    run("ec2", "attach-internet-gateway", InternetGatewayId=gateway, VpcId=vpc)
    table = run("ec2", "create-route-table", VpcId=vpc)["RouteTable"]["RouteTableId"]
    run("ec2", "create-route", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    for subnet in subnets:
        run("ec2", "associate-route-table", RouteTableId=table, SubnetId=subnet)
    groups = []
    for part in ("lb", "web"):
        group = run("ec2", "create-security-group", GroupName=f"{name}-{part}", Description=part, VpcId=vpc)["GroupId"]
        groups.append(group)
    run(
        "ec2",
        "authorize-security-group-ingress",
        GroupId=groups[0],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    run(
        "ec2",
        "authorize-security-group-ingress",
        GroupId=groups[1],
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": groups[0]}]}
        ],
    )
    balancer = run("elbv2", "create-load-balancer", Name=name, Subnets=subnets, SecurityGroups=groups[:1])[
        "LoadBalancers"
    ][0]
    target_group = run(
        "elbv2", "create-target-group", Name=name, Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    run(
        "elbv2",
        "create-listener",
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
    )
    run("ecs", "create-cluster", clusterName=name)
    run(
        "ecs",
        "register-task-definition",
        family=name,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "absent", "portMappings": [{"containerPort": 8080}]}],
    )
    run(
        "ecs",
        "create-service",
        cluster=name,
        serviceName=name,
        taskDefinition=name,
        desiredCount=2,
        launchType="FARGATE",
        loadBalancers=[{"targetGroupArn": target_group, "containerName": "web", "containerPort": 8080}],
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups[1:], "assignPublicIp": "ENABLED"}
        },
    )
    return str(balancer["DNSName"]), groups[0], name


def answered_by(instance: Instance, name: str) -> set[str]:
    """Which tasks answer ten requests; empty as long as some answer is not 200."""
    seen = set()
    for _ in range(10):
        try:
            reply = instance.curl(f"http://{name}/")
        except CliError:
            return set()
        if reply.status != 200:
            return set()
        seen.add(str(json.loads(reply.body)["task"]))
    return seen


def prove(instance: Instance, run: Run, name: str, cidr: str) -> None:
    dns, group, cluster = load_balanced_service(run, name, cidr)
    eventually(lambda: len(answered_by(instance, dns)) == 2, "both tasks answer", timeout=60)
    tasks = run("ecs", "list-tasks", cluster=cluster)["taskArns"]
    assert len(tasks) == 2
    public = [
        item["Association"]["PublicIp"]
        for item in run("ec2", "describe-network-interfaces")["NetworkInterfaces"]
        if item.get("Association") and item["Description"].startswith("arn:aws:ecs")
    ]
    for address in public:
        with pytest.raises(CliError) as caught:
            instance.curl(f"http://{address}:8080/", timeout=1.0)
        assert caught.value.code is Exit.TIMED_OUT
    permissions = run("ec2", "describe-security-groups", GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    run("ec2", "revoke-security-group-ingress", GroupId=group, IpPermissions=permissions)
    with pytest.raises(CliError) as caught:
        instance.curl(f"http://{dns}/", timeout=1.0)
    assert caught.value.code is Exit.TIMED_OUT


def test_boto3(instance: Instance) -> None:
    prove(instance, by_boto3(instance), "by-boto", "10.41.0.0/16")


def installed_clis() -> list[str]:
    """The AWS CLI v1 of this project's environment, and the machine's v2 where it has one."""
    found = shutil.which("aws", path="/usr/local/bin:/usr/bin")
    return [str(Path(sys.executable).parent / "aws"), *([found] if found else [])]


@pytest.mark.parametrize("program", installed_clis())
def test_aws_cli(instance: Instance, program: str) -> None:
    # v2 before 2.13 ignores AWS_ENDPOINT_URL
    endpoint = ["--endpoint-url", f"http://127.0.0.1:{instance.port}"] if program.startswith("/usr/") else []
    number = installed_clis().index(program)
    prove(instance, by_cli([program, *endpoint], instance), f"by-cli-{number}", f"10.{42 + number}.0.0/16")
