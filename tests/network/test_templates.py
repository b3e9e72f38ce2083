"""Public templates, unmodified, become networks that answer; each with what must not get through."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecsnet.cli.dial import Place, dial
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.traffic import INTERNET
from ecsnet.fabric.kernel.naming import load_balancer_namespace
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.inputs, pytest.mark.timeout(180)]

NATHANPECK = "nathanpeck+aws-cloudformation-fargate"
PATTERN = "pattern/public-facing-web-ecs-fargate-cloudformation/files/parent.yml"


def balancer_of(instance: Instance, url: str) -> dict[str, Any]:
    host = url.removeprefix("http://").removeprefix("https://").rstrip("/")
    balancers = instance.client("elbv2").describe_load_balancers()["LoadBalancers"]
    return next(item for item in balancers if item["DNSName"].lower() == host.lower())


def service_tasks(instance: Instance, cluster: str, service: str) -> list[dict[str, Any]]:
    ecs = instance.client("ecs")
    arns = ecs.list_tasks(cluster=cluster, serviceName=service)["taskArns"]
    return list(ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"])


def address_of(task: dict[str, Any]) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def interface_of(task: dict[str, Any]) -> str:
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    return str(details["networkInterfaceId"])


def answers(instance: Instance, url: str, times: int, place: Place = INTERNET) -> Counter[tuple[int, str]]:
    """How often which task answered with which status."""
    seen: Counter[tuple[int, str]] = Counter()
    for _ in range(times):
        reply = instance.curl(url, place=place)
        who = json.loads(reply.body)["task"] if reply.status == 200 else reply.body.decode(errors="replace")
        seen[(reply.status, who)] += 1
    return seen


def assert_silent(instance: Instance, url: str, place: Place = INTERNET) -> None:
    """Nothing answers: the packet is dropped, not refused."""
    with pytest.raises(CliError) as caught:
        instance.curl(url, place=place, timeout=1.0)
    assert caught.value.code is Exit.TIMED_OUT, caught.value.message


def assert_rule_removal(instance: Instance, balancer: dict[str, Any], task: dict[str, Any], port: int) -> None:
    """Without the rule that admits the load balancer, an established connection lives and a new one does not begin.

    The connections start in the load balancer's own namespace, so that they carry a node's address.
    """
    ec2 = instance.client("ec2")
    place = Place(netns=load_balancer_namespace(balancer["LoadBalancerArn"]), nameserver="169.254.169.253")
    address = address_of(task)
    established = dial(instance.home, place, address, port, timeout=30.0)

    def exchange() -> bytes:
        established.sendall(b"GET / HTTP/1.1\r\nHost: established\r\n\r\n")
        return established.recv(65536)

    assert b"200" in exchange().split(b"\r\n")[0]
    groups = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface_of(task)])["NetworkInterfaces"][0]["Groups"]
    removed: list[tuple[str, list[dict[str, Any]]]] = []
    for group in (item["GroupId"] for item in groups):
        permissions = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
        if permissions:
            removed.append((group, permissions))
    assert removed
    try:
        for group, permissions in removed:
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=permissions)
        with pytest.raises(CliError) as caught:
            dial(instance.home, place, address, port, timeout=1.0)
        assert caught.value.code is Exit.TIMED_OUT
        assert b"200" in exchange().split(b"\r\n")[0]
    finally:
        established.close()
        for group, permissions in removed:
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)
    dial(instance.home, place, address, port, timeout=30.0).close()


def assert_leaves_rotation(instance: Instance, url: str, task: dict[str, Any], place: Place = INTERNET) -> None:
    """A stand-in whose health checks fail gets no more requests (and its service replaces it)."""
    instance.run("stand-in", task["taskArn"].rpartition("/")[2], "--unhealthy")
    eventually(
        lambda: _only_others(answers(instance, url, 10, place), task["taskArn"]),
        "the unhealthy task leaves the rotation",
        timeout=120,
    )


def _only_others(seen: Counter[tuple[int, str]], task: str) -> bool:
    return all(status == 200 and who not in task for status, who in seen)


def deployed(instance: Instance, inputs: Path, owner: str, path: str) -> Callable[..., dict[str, str]]:
    found = sorted((inputs / "templates" / owner).rglob(path))
    assert found, f"{owner}: no {path}"

    def deploy(stack: str, **parameters: str) -> dict[str, str]:
        return instance.deploy(found[0], stack, parameters)

    return deploy


@pytest.fixture(scope="module")
def production(instance: Instance, inputs: Path) -> dict[str, str]:
    """nathanpeck's networking stack: public and private subnets, two NAT gateways, two load balancers."""
    return deployed(instance, inputs, NATHANPECK, "fargate-networking-stacks/public-private-vpc.yml")("production")


def test_private_subnet_behind_a_public_load_balancer(
    instance: Instance, inputs: Path, production: dict[str, str]
) -> None:
    deployed(instance, inputs, NATHANPECK, "service-stacks/private-subnet-public-loadbalancer.yml")("service")
    url = production["ExternalUrl"]
    tasks = service_tasks(instance, production["ClusterName"], "nginx")
    assert len(tasks) == 2
    seen = answers(instance, url, 40)
    assert {status for status, _ in seen} == {200}
    assert len(seen) == 2, seen
    reply = json.loads(instance.curl(url).body)
    assert reply["headers"]["x-forwarded-for"].startswith("198.1")
    # around the load balancer: the private address has no route from the internet
    with pytest.raises(CliError):
        instance.curl(f"http://{address_of(tasks[0])}/", timeout=1.0)
    assert_rule_removal(instance, balancer_of(instance, url), tasks[0], 80)
    assert answers(instance, url, 4).total() == 4
    assert_leaves_rotation(instance, url, tasks[0])


def test_private_subnet_behind_a_private_load_balancer(
    instance: Instance, inputs: Path, production: dict[str, str]
) -> None:
    deployed(instance, inputs, NATHANPECK, "service-stacks/private-subnet-private-loadbalancer.yml")(
        "internal", ServiceName="internal"
    )
    tasks = service_tasks(instance, production["ClusterName"], "internal")
    found = json.loads(instance.run("ps", "--json").stdout)
    task = next(item for item in found if item["service"] == "internal")
    place = Place(netns=f"t{task['id'][:12]}", nameserver="10.0.0.2")
    url = production["InternalUrl"]
    seen = answers(instance, url, 20, place)
    assert {status for status, _ in seen} == {200}
    assert len(seen) == 2
    # the name resolves to private addresses everywhere, and the internet has no way to those
    with pytest.raises(CliError):
        instance.curl(url, timeout=1.0)
    assert_rule_removal(instance, balancer_of(instance, url), tasks[0], 80)
    assert_leaves_rotation(instance, url, tasks[0], place)


def test_nested_stacks_of_a_public_web_service(instance: Instance, inputs: Path) -> None:
    deployed(instance, inputs, "aws-samples+container-patterns", PATTERN)("web")
    balancers = instance.client("elbv2").describe_load_balancers()["LoadBalancers"]
    balancer = next(item for item in balancers if item["LoadBalancerName"].startswith(("web", "Servi", "Publi")))
    url = f"http://{balancer['DNSName']}"
    ecs = instance.client("ecs")
    cluster = next(arn for arn in ecs.list_clusters()["clusterArns"] if "production" not in arn and "web" in arn)
    tasks = service_tasks(instance, cluster, "web")
    seen = answers(instance, url, 40)
    assert {status for status, _ in seen} == {200}
    assert len(seen) == 2
    interfaces = instance.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[interface_of(tasks[0])])
    public = interfaces["NetworkInterfaces"][0]["Association"]["PublicIp"]
    assert_silent(instance, f"http://{public}/")
    assert_rule_removal(instance, balancer, tasks[0], 80)
    assert_leaves_rotation(instance, url, tasks[0])


def test_a_cdk_application(instance: Instance, inputs: Path) -> None:
    outputs = deployed(
        instance,
        inputs,
        "aws-samples+aws-cdk-examples",
        "python/ecs/fargate-load-balanced-service/CDKSYNTH/Bonjour.template.json",
    )("Bonjour")
    name = next(value for key, value in outputs.items() if "LoadBalancerDNS" in key)
    url = f"http://{name}"
    balancer = balancer_of(instance, url)
    seen = answers(instance, url, 5)
    assert {status for status, _ in seen} == {200}
    ecs = instance.client("ecs")
    cluster = next(arn for arn in ecs.list_clusters()["clusterArns"] if "Bonjour" in arn)
    service = ecs.list_services(cluster=cluster)["serviceArns"][0]
    task = service_tasks(instance, cluster, service)[0]
    with pytest.raises(CliError):
        instance.curl(f"http://{address_of(task)}/", timeout=1.0)
    assert_rule_removal(instance, balancer, task, 80)


def test_a_service_behind_https_with_a_name_and_scaling(instance: Instance, inputs: Path) -> None:
    """1Strategy's template asks for what an account already has: a VPC, a certificate and a hosted zone."""
    ec2 = instance.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"][:2]
    certificate = instance.client("acm").request_certificate(DomainName="myservice.company.com")["CertificateArn"]
    instance.client("route53").create_hosted_zone(Name="company.com", CallerReference="1")
    deployed(instance, inputs, "1Strategy+fargate-cloudformation-example", "fargate.yaml")(
        "strategy",
        VPC=vpc,
        SubnetA=subnets[0]["SubnetId"],
        SubnetB=subnets[1]["SubnetId"],
        Certificate=certificate,
        Image="company/app:1",
    )
    balancers = instance.client("elbv2").describe_load_balancers()["LoadBalancers"]
    balancer = next(item for item in balancers if item["LoadBalancerName"].startswith("MyService"))
    url = f"https://{balancer['DNSName']}"
    tasks = service_tasks(instance, "MyServiceCluster", "MyService")
    assert len(tasks) == 2
    seen = answers(instance, url, 20)
    assert {status for status, _ in seen} == {200}
    assert len(seen) == 2
    public = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface_of(tasks[0])])["NetworkInterfaces"][0]
    assert_silent(instance, f"http://{public['Association']['PublicIp']}/")
    assert_rule_removal(instance, balancer, tasks[0], 80)
    assert_leaves_rotation(instance, url, tasks[0])
