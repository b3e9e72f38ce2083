"""Agents of instances: from RunInstances with user data to a container instance, and back."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ecs_harness import Cloud
from ecsnet.services.ecs import agent_settings


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def launch(cloud: Cloud, text: str, **more: Any) -> str:
    reply = cloud.ec2(
        "RunInstances",
        ImageId="ami-12345678",
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        UserData=data(text),
        SubnetId=cloud.subnets[0],
        **more,
    )
    id: str = reply["Instances"][0]["InstanceId"]
    return id


def registered(cloud: Cloud, cluster: str = "default") -> list[Any]:
    arns = cloud.ecs("ListContainerInstances", cluster=cluster)["containerInstanceArns"]
    if not arns:
        return []
    found: list[Any] = cloud.ecs("DescribeContainerInstances", cluster=cluster, containerInstances=arns)[
        "containerInstances"
    ]
    return found


ECHO = "#!/bin/bash\necho ECS_CLUSTER=default >> /etc/ecs/ecs.config\n"


def test_an_agent_registers_once_its_instance_was_seen(cloud: Cloud) -> None:
    cloud.agent_away = True
    id = launch(cloud, ECHO)
    cloud.settle()
    assert registered(cloud) == []
    cloud.agent_away = False
    cloud.settle()
    [one] = registered(cloud)
    assert (one["ec2InstanceId"], one["status"], one["agentConnected"]) == (id, "ACTIVE", True)
    assert {r["name"]: r["integerValue"] for r in one["registeredResources"]}["CPU"] == 2048


def test_without_a_cluster_there_is_no_agent(cloud: Cloud) -> None:
    launch(cloud, "#!/bin/bash\nyum install -y nginx\n")
    cloud.settle()
    assert registered(cloud) == []


def test_an_agent_waits_for_its_cluster(cloud: Cloud) -> None:
    launch(cloud, "ECS_CLUSTER=late\n")
    cloud.settle()
    cloud.ecs("CreateCluster", clusterName="late")
    cloud.wait(15)
    assert len(registered(cloud, "late")) == 1


def test_stop_start_terminate(cloud: Cloud) -> None:
    id = launch(cloud, ECHO)
    cloud.settle()
    [before] = registered(cloud)
    cloud.ec2("StopInstances", InstanceIds=[id])
    cloud.settle()
    [stopped] = registered(cloud)
    assert (stopped["containerInstanceArn"], stopped["agentConnected"]) == (before["containerInstanceArn"], False)
    cloud.ec2("StartInstances", InstanceIds=[id])
    cloud.settle()
    [again] = registered(cloud)
    assert (again["containerInstanceArn"], again["agentConnected"]) == (before["containerInstanceArn"], True)
    cloud.ec2("TerminateInstances", InstanceIds=[id])
    cloud.settle()
    assert registered(cloud) == []


def test_who_was_deregistered_stays_away(cloud: Cloud) -> None:
    launch(cloud, ECHO)
    cloud.settle()
    [one] = registered(cloud)
    cloud.ecs("DeregisterContainerInstance", containerInstance=one["containerInstanceArn"])
    cloud.settle()
    cloud.controllers = type(cloud.controllers)(cloud.store, cloud._open_call)
    cloud.settle()
    assert registered(cloud) == []


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        (ECHO, "default"),
        ("cat <<'EOF' >> /etc/ecs/ecs.config\nECS_CLUSTER=web\nECS_ENABLE_TASK_ENI=true\nEOF\n", "web"),
        ('echo "ECS_CLUSTER=web" >> /etc/ecs/ecs.config', "web"),
        ("echo ECS_CLUSTER='web' >> /etc/ecs/ecs.config", "web"),
        ("echo ECS_CLUSTER=web>>/etc/ecs/ecs.config;echo x", "web"),
        ("[settings.ecs]\ncluster = 'rocket'\n", "rocket"),
        ("[settings.kubernetes]\ncluster = 'no'\n", None),
        ("MY_ECS_CLUSTER=web", None),
        ("", None),
    ],
)
def test_user_data(text: str, cluster: str | None) -> None:
    found = agent_settings.read(data(text))
    assert (found.cluster if found is not None else None) == cluster


def test_other_settings() -> None:
    lines = ("ECS_CLUSTER=web", "ECS_RESERVED_PORTS=[22, 80]", "ECS_RESERVED_MEMORY=256")
    lines += ("ECS_DYNAMIC_HOST_PORT_RANGE=41000-41002",)
    text = "\n".join((*lines, 'ECS_INSTANCE_ATTRIBUTES={"stack": "prod"}'))
    found = agent_settings.read(data(text))
    assert found == agent_settings.AgentSettings(
        cluster="web",
        reserved_ports=(22, 80),
        reserved_memory=256,
        attributes=(("stack", "prod"),),
        dynamic_ports=(41000, 41002),
    )
    broken = agent_settings.read(data("ECS_CLUSTER=web\nECS_RESERVED_PORTS=[22,\nECS_RESERVED_MEMORY=much"))
    assert broken == agent_settings.AgentSettings(cluster="web")
    for given in ("41002-41000", "0-10", "1-65536", "41000", "-"):
        found = agent_settings.read(data(f"ECS_CLUSTER=web\nECS_DYNAMIC_HOST_PORT_RANGE={given}"))
        assert found == agent_settings.AgentSettings(cluster="web"), given
