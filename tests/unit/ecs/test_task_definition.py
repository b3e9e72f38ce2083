"""Task definitions: what ECS fills in, what it refuses and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"networkMode": "bridge"}, "Fargate only supports network mode ‘awsvpc’."),
    ({"networkMode": None}, "Fargate only supports network mode ‘awsvpc’."),
    ({"cpu": None}, "Fargate requires that 'cpu' be defined at the task level."),
    ({"memory": None}, "Fargate requires that 'memory' be defined at the task level."),
    (
        {"memory": "4096"},
        "No Fargate configuration exists for given values: 256 CPU, 4096 memory. See the Amazon ECS documentation for "
        "the valid values.",
    ),
    ({"cpu": "many"}, "Invalid 'cpu' setting for task."),
    ({"containerDefinitions": []}, "Container list cannot be empty."),
    ({"containerDefinitions": [{"image": "x"}]}, "Container.name should not be null or empty."),
    ({"containerDefinitions": [{"name": "a"}]}, "Container.image should not be null or empty."),
    (
        {"containerDefinitions": [{"name": "a", "image": "x", "cpu": 300}]},
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
    ),
]

CONTAINER_REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    (
        "awsvpc",
        {"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    ),
    (
        "host",
        {"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
        "When networkMode=host, the host ports and container ports in port mappings must match.",
    ),
    ("awsvpc", {"links": ["db"]}, "Links are not supported when networkMode=awsvpc."),
    ("awsvpc", {"hostname": "x"}, "hostname is not supported on container when networkMode=awsvpc."),
    ("bridge", {"portMappings": [{"containerPort": 0}]}, "Invalid 'containerPort' setting for container 'app'."),
    ("bridge", {"portMappings": [{"hostPort": 80}]}, "Invalid 'containerPort' setting for container 'app'."),
    (
        "bridge",
        {"memory": None},
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
    ),
    ("none", {"portMappings": [{"containerPort": 80}]}, "Port mappings are not supported when networkMode=none."),
]


@pytest.mark.parametrize(("change", "text"), REFUSALS)
def test_refuses_what_fargate_cannot_run(cloud: Cloud, change: dict[str, Any], text: str) -> None:
    request = {
        "family": "web",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "app", "image": "web:1"}],
    } | change
    given = {name: value for name, value in request.items() if value is not None}
    assert cloud.error("RegisterTaskDefinition", **given) == ("ClientException", text)
    assert cloud.ecs("ListTaskDefinitions")["taskDefinitionArns"] == []


@pytest.mark.parametrize(("mode", "change", "text"), CONTAINER_REFUSALS)
def test_refuses_what_a_network_mode_forbids(cloud: Cloud, mode: str, change: dict[str, Any], text: str) -> None:
    container = {"name": "app", "image": "web:1", "memory": 128} | change
    container = {name: value for name, value in container.items() if value is not None}
    assert cloud.error("RegisterTaskDefinition", family="web", networkMode=mode, containerDefinitions=[container]) == (
        "ClientException",
        text,
    )


@pytest.mark.parametrize(
    ("mode", "given", "kept"),
    [
        ("awsvpc", {"containerPort": 80}, {"containerPort": 80, "hostPort": 80, "protocol": "tcp"}),
        ("host", {"containerPort": 80}, {"containerPort": 80, "hostPort": 80, "protocol": "tcp"}),
        ("bridge", {"containerPort": 80}, {"containerPort": 80, "hostPort": 0, "protocol": "tcp"}),
        (
            "bridge",
            {"containerPort": 80, "hostPort": 8080, "protocol": "udp"},
            {"containerPort": 80, "hostPort": 8080, "protocol": "udp"},
        ),
    ],
)
def test_fills_in_ports(cloud: Cloud, mode: str, given: dict[str, Any], kept: dict[str, Any]) -> None:
    container = {"name": "app", "image": "web:1", "memory": 128, "portMappings": [given]}
    cloud.ecs("RegisterTaskDefinition", family="web", networkMode=mode, containerDefinitions=[container])
    shown = cloud.ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]
    assert shown["containerDefinitions"][0]["portMappings"] == [kept]
    assert shown["containerDefinitions"][0]["essential"] is True


@pytest.mark.parametrize("mode", ["awsvpc", "host", "bridge"])
def test_one_port_may_be_mapped_once_for_each_protocol(cloud: Cloud, mode: str) -> None:
    def register(*ports: dict[str, Any]) -> dict[str, Any]:
        container = {"name": "app", "image": "web:1", "memory": 128, "portMappings": list(ports)}
        return {"family": "web", "networkMode": mode, "containerDefinitions": [container]}

    tcp, udp = ({"containerPort": 53, "hostPort": 53, "protocol": protocol} for protocol in ("tcp", "udp"))
    made = cloud.ecs("RegisterTaskDefinition", **register(tcp, udp))["taskDefinition"]
    assert made["containerDefinitions"][0]["portMappings"] == [tcp, udp]
    for protocol, one in (("tcp", tcp), ("udp", udp)):
        code, text = cloud.error("RegisterTaskDefinition", **register(tcp, udp, one))
        assert code == "ClientException"
        assert f"port 53/{protocol} is in more than one port mapping" in text


def test_two_containers_of_a_task_cannot_share_a_port_in_awsvpc(cloud: Cloud) -> None:
    containers = [
        {"name": name, "image": "x", "memory": 128, "portMappings": [{"containerPort": 80}]} for name in ("a", "b")
    ]
    request = {"family": "web", "containerDefinitions": containers}
    code, text = cloud.error("RegisterTaskDefinition", **request, networkMode="awsvpc")
    assert code == "ClientException"
    assert "share one network interface" in text
    cloud.ecs("RegisterTaskDefinition", **request, networkMode="bridge")


@pytest.mark.parametrize(
    ("first", "second", "part"),
    [
        ({"dependsOn": [{"containerName": "b", "condition": "START"}]}, {}, None),
        ({"dependsOn": [{"containerName": "c", "condition": "START"}]}, {}, "not another container"),
        (
            {"dependsOn": [{"containerName": "b", "condition": "START"}]},
            {"dependsOn": [{"containerName": "a", "condition": "START"}]},
            "cycle: a, b",
        ),
        ({"dependsOn": [{"containerName": "b", "condition": "SUCCESS"}]}, {}, "is essential"),
        ({"dependsOn": [{"containerName": "b", "condition": "HEALTHY"}]}, {}, "no healthCheck"),
    ],
)
def test_checks_dependencies(cloud: Cloud, first: dict[str, Any], second: dict[str, Any], part: str | None) -> None:
    containers = [
        {"name": "a", "image": "x", "memory": 128} | first,
        {"name": "b", "image": "x", "memory": 128} | second,
    ]
    request = {"family": "web", "networkMode": "awsvpc", "containerDefinitions": containers}
    if part is None:
        cloud.ecs("RegisterTaskDefinition", **request)
    else:
        assert part in cloud.error("RegisterTaskDefinition", **request)[1]


def test_sizes_in_words_are_stored_as_numbers(cloud: Cloud) -> None:
    cloud.definition(cpu=".25 vCPU", memory="0.5GB")
    shown = cloud.ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]
    assert (shown["cpu"], shown["memory"]) == ("256", "512")
    assert shown["compatibilities"] == ["EC2", "FARGATE"]
    assert {"name": "ecs.capability.task-eni"} in shown["requiresAttributes"]


def test_revisions_are_never_used_twice(cloud: Cloud) -> None:
    first, second = cloud.definition(), cloud.definition()
    assert first.endswith("task-definition/web:1")
    assert second.endswith("task-definition/web:2")
    for arn in (first, second):
        cloud.ecs("DeregisterTaskDefinition", taskDefinition=arn)
    deleted = cloud.ecs("DeleteTaskDefinitions", taskDefinitions=[second])["taskDefinitions"]
    assert deleted[0]["status"] == "DELETE_IN_PROGRESS"
    cloud.settle()
    assert cloud.error("DescribeTaskDefinition", taskDefinition=second) == (
        "ClientException",
        "Unable to describe task definition.",
    )
    assert cloud.definition().endswith("web:3")


def test_a_definition_that_is_in_use_is_not_deleted(cloud: Cloud) -> None:
    arn = cloud.definition()
    task = cloud.run_task()
    cloud.ecs("DeregisterTaskDefinition", taskDefinition=arn)
    cloud.ecs("DeleteTaskDefinitions", taskDefinitions=[arn])
    cloud.settle()
    assert cloud.ecs("DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]["status"] == "DELETE_IN_PROGRESS"
    assert cloud.task(task)["cpu"] == "256"
    cloud.ecs("StopTask", task=task)
    cloud.wait(3601)
    assert cloud.error("DescribeTaskDefinition", taskDefinition=arn)[0] == "ClientException"


def test_states_and_listing(cloud: Cloud) -> None:
    arns = [cloud.definition() for _ in range(3)]
    other = cloud.definition("api")
    assert cloud.ecs("ListTaskDefinitions")["taskDefinitionArns"] == [other, *arns]
    cloud.ecs("DeregisterTaskDefinition", taskDefinition="web:3")
    assert cloud.ecs("ListTaskDefinitions", familyPrefix="web", sort="DESC")["taskDefinitionArns"] == [arns[1], arns[0]]
    assert cloud.ecs("ListTaskDefinitions", status="INACTIVE")["taskDefinitionArns"] == [arns[2]]
    assert cloud.ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]["revision"] == 2
    assert cloud.ecs("ListTaskDefinitionFamilies")["families"] == ["api", "web"]
    cloud.ecs("DeregisterTaskDefinition", taskDefinition="api:1")
    assert cloud.ecs("ListTaskDefinitionFamilies")["families"] == ["web"]
    assert cloud.ecs("ListTaskDefinitionFamilies", status="INACTIVE")["families"] == ["api"]
    assert cloud.ecs("ListTaskDefinitionFamilies", status="ALL", familyPrefix="a")["families"] == ["api"]
    assert cloud.error("DeregisterTaskDefinition", taskDefinition="web")[1] == "Revision is missing."
    failure = cloud.ecs("DeleteTaskDefinitions", taskDefinitions=["web:1"])["failures"][0]
    assert failure["reason"].startswith("The specified task definition is still in ACTIVE status.")


def test_pages(cloud: Cloud) -> None:
    arns = [cloud.definition() for _ in range(5)]
    first = cloud.ecs("ListTaskDefinitions", maxResults=2)
    second = cloud.ecs("ListTaskDefinitions", maxResults=2, nextToken=first["nextToken"])
    third = cloud.ecs("ListTaskDefinitions", maxResults=2, nextToken=second["nextToken"])
    pages = [page["taskDefinitionArns"] for page in (first, second, third)]
    assert pages == [arns[:2], arns[2:4], arns[4:]]
    assert "nextToken" not in third
    assert cloud.error("ListTaskDefinitions", nextToken="!")[0] == "InvalidParameterException"
    assert cloud.error("ListTaskDefinitions", maxResults=101)[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    "policy", [{"enabled": True, "restartAttemptPeriod": 59}, {"enabled": True, "ignoredExitCodes": list(range(51))}]
)
def test_restart_policies_outside_the_limits(cloud: Cloud, policy: dict[str, Any]) -> None:
    container = {"name": "app", "image": "web:1", "memory": 64, "restartPolicy": policy}
    code, text = cloud.error("RegisterTaskDefinition", family="web", containerDefinitions=[container])
    assert code == "ClientException"
    assert "restartPolicy" in text
