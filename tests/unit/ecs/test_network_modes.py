"""What each network mode allows, refused in the words of ECS (API PortMapping, ContainerDefinition, RunTask)."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_harness import Cloud
from ecsnet.services.call import AwsError

MODES = ("bridge", "host", "awsvpc", "none")


def refused(cloud: Cloud, mode: str, **container: Any) -> str | None:
    """The text with which RegisterTaskDefinition refuses a container in a mode; None when it accepts it."""
    definition = {"name": "app", "image": "x", "memory": 128} | container
    request = {"family": "f", "networkMode": mode, "containerDefinitions": [definition, definition | {"name": "b"}]}
    request["containerDefinitions"][1].pop("portMappings", None)
    request["containerDefinitions"][1].pop("links", None)
    try:
        cloud.ecs("RegisterTaskDefinition", **request)
    except AwsError as error:
        return error.message if error.code == "ClientException" else error.code
    return None


MAPPING = {"containerPort": 80, "hostPort": 8080}
MATCH = "When networkMode={}, the host ports and container ports in port mappings must match."


@pytest.mark.parametrize(
    ("container", "texts"),
    [
        (
            {"portMappings": [MAPPING]},
            {
                "host": MATCH.format("host"),
                "awsvpc": MATCH.format("awsvpc"),
                "none": "Port mappings are not supported when networkMode=none.",
            },
        ),
        (
            {"portMappings": [{"containerPort": 80, "hostPort": 0}]},
            {"none": "Port mappings are not supported when networkMode=none."},
        ),
        (
            {"links": ["b:db"]},
            {mode: f"Links are not supported when networkMode={mode}." for mode in ("host", "awsvpc", "none")},
        ),
        (
            {"hostname": "h"},
            {mode: f"hostname is not supported on container when networkMode={mode}." for mode in ("host", "awsvpc")},
        ),
        (
            {"portMappings": [{"containerPort": 0}]},
            {
                mode: "Invalid 'containerPort' setting for container 'app'."
                if mode != "none"
                else "Port mappings are not supported when networkMode=none."
                for mode in MODES
            },
        ),
    ],
)
def test_register(cloud: Cloud, container: dict[str, Any], texts: dict[str, str]) -> None:
    assert {mode: refused(cloud, mode, **container) for mode in MODES} == {mode: texts.get(mode) for mode in MODES}


def test_host_ports_are_filled_in(cloud: Cloud) -> None:
    found = {}
    for mode in ("bridge", "host", "awsvpc"):
        arn = cloud.modal_definition(mode, family=mode, portMappings=[{"containerPort": 80}])
        body = cloud.ecs("DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]
        found[mode] = body["containerDefinitions"][0]["portMappings"][0]["hostPort"]
    assert found == {"bridge": 0, "host": 80, "awsvpc": 80}


def test_ranges_are_for_bridge_and_awsvpc(cloud: Cloud) -> None:
    ranged = {"portMappings": [{"containerPortRange": "8000-8010"}]}
    assert refused(cloud, "bridge", **ranged) is None
    assert refused(cloud, "awsvpc", **ranged) is None
    assert "containerPortRange is not supported" in (refused(cloud, "host", **ranged) or "")


def test_links_form_no_circle_and_name_containers_of_the_task(cloud: Cloud) -> None:
    one = {"name": "a", "image": "x", "memory": 128, "links": ["b"]}
    two = {"name": "b", "image": "x", "memory": 128, "links": ["a:alias"]}
    code, text = cloud.error("RegisterTaskDefinition", family="f", containerDefinitions=[one, two])
    assert (code, "cycle" in text) == ("ClientException", True)
    assert "links to 'c'" in (refused(cloud, "bridge", links=["c"]) or "")


def test_network_configuration_belongs_to_awsvpc(cloud: Cloud) -> None:
    cloud.container_instance()
    for mode in MODES:
        cloud.modal_definition(mode, family=mode)
    wrong = "Network Configuration is not valid for the given networkMode of this task definition."
    for operation, request in (
        ("RunTask", {"launchType": "EC2"}),
        ("StartTask", {"containerInstances": ["0" * 32]}),
        ("CreateService", {"serviceName": "web", "launchType": "EC2"}),
    ):
        for mode in ("bridge", "host", "none"):
            given = {"taskDefinition": mode, "networkConfiguration": cloud.network(), **request}
            assert cloud.error(operation, **given) == ("InvalidParameterException", wrong)
        assert cloud.error(operation, taskDefinition="awsvpc", **request) == (
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    public = cloud.network(assignPublicIp="ENABLED")
    assert cloud.error("RunTask", taskDefinition="awsvpc", launchType="EC2", networkConfiguration=public) == (
        "InvalidParameterException",
        "Assign public IP is not supported for this launch type.",
    )


def test_target_type_follows_the_mode(cloud: Cloud) -> None:
    ip, instance = cloud.balancer("ip"), cloud.balancer("instance", type="instance")
    for mode in ("bridge", "awsvpc"):
        cloud.modal_definition(mode, family=mode, portMappings=[{"containerPort": 80}])

    def create(mode: str, group: str) -> tuple[str, str]:
        return cloud.error(
            "CreateService",
            serviceName="web",
            launchType="EC2",
            taskDefinition=mode,
            networkConfiguration=cloud.network() if mode == "awsvpc" else None,
            loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
        )

    assert create("bridge", ip) == (
        "InvalidParameterException",
        f"The provided target group {ip} has target type ip, which is incompatible with the bridge network mode "
        "specified in the task definition.",
    )
    assert create("awsvpc", instance) == (
        "InvalidParameterException",
        f"The provided target group {instance} has target type instance, which is incompatible with the awsvpc "
        "network mode specified in the task definition.",
    )


def test_a_service_registry_of_bridge_mode_needs_a_port(cloud: Cloud) -> None:
    cloud.modal_definition("bridge")
    assert cloud.error(
        "CreateService",
        serviceName="web",
        launchType="EC2",
        taskDefinition="web",
        serviceRegistries=[{"registryArn": "arn:x"}],
    ) == (
        "InvalidParameterException",
        "When specifying 'host' or 'bridge' for networkMode, values for 'containerName' and 'containerPort' must be "
        "specified from the task definition.",
    )


def test_external_instances_have_no_awsvpc(cloud: Cloud) -> None:
    cloud.modal_definition("awsvpc")
    given = {"taskDefinition": "web", "launchType": "EXTERNAL", "networkConfiguration": cloud.network()}
    assert cloud.error("RunTask", **given) == (
        "InvalidParameterException",
        "Task definition does not support launch_type EXTERNAL.",
    )
