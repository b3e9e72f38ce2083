"""ExecuteCommand: what is refused and in which words, what a session is told, and who may open it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ecs_harness import Cloud
from ecsnet.model.tables import EXECUTE_SESSIONS
from ecsnet.services.ecs import ops
from in_memory import plain

DISABLED = (
    "InvalidParameterException",
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn’t running. Wait and try again or run a new task with execute command enabled and try again.",
)


def execute(cloud: Cloud, task: str, **changes: Any) -> Any:
    return cloud.ecs("ExecuteCommand", **{"task": task, "command": "sh", "interactive": True, **changes})


def refused(cloud: Cloud, task: str, **changes: Any) -> tuple[str, str]:
    return cloud.error("ExecuteCommand", **{"task": task, "command": "sh", "interactive": True, **changes})


def opened(cloud: Cloud, session: str, token: str) -> bool:
    with cloud.store.transaction() as tx:
        return ops.open_session(cloud.call(tx), session, token) is not None


@pytest.fixture
def task(cloud: Cloud) -> str:
    """A running task with execute command enabled."""
    cloud.definition()
    arn = cloud.run_task(enableExecuteCommand=True)
    cloud.settle()
    return arn


def containers(cloud: Cloud, task: str) -> list[Any]:
    found: list[Any] = plain(cloud.ecs("DescribeTasks", tasks=[task]))["tasks"][0]["containers"]
    return found


def test_the_reply_names_the_session(cloud: Cloud, task: str) -> None:
    reply = execute(cloud, task)
    (container,) = containers(cloud, task)
    assert (reply["taskArn"], reply["interactive"]) == (task, True)
    assert (reply["containerName"], reply["containerArn"]) == (container["name"], container["containerArn"])
    assert reply["clusterArn"].endswith(":cluster/default")
    session = reply["session"]
    assert re.fullmatch(r"ecs-execute-command-[0-9a-f]{17}", session["sessionId"])
    assert session["streamUrl"].endswith(f"/v1/data-channel/{session['sessionId']}?role=publish_subscribe")
    stored = cloud.store.snapshot.get(EXECUTE_SESSIONS, session["sessionId"])
    assert stored is not None
    assert session["tokenValue"] not in str(stored)


def test_refusals_in_the_services_words(cloud: Cloud, task: str) -> None:
    assert refused(cloud, task, cluster="other") == ("ClusterNotFoundException", "Cluster not found.")
    assert refused(cloud, "0" * 32) == ("InvalidParameterException", "The referenced task was not found.")
    only = ("InvalidParameterException", "Interactive is the only mode supported currently.")
    assert refused(cloud, task, interactive=False) == only
    assert refused(cloud, task, container="nobody")[0] == "InvalidParameterException"
    plain_task = cloud.run_task()
    cloud.settle()
    assert refused(cloud, plain_task) == DISABLED


def test_a_task_must_run(cloud: Cloud, task: str) -> None:
    starting = cloud.run_task(enableExecuteCommand=True)
    assert refused(cloud, starting) == DISABLED
    execute(cloud, task)
    cloud.ecs("StopTask", task=task)
    cloud.wait(120)
    assert refused(cloud, task) == DISABLED


def test_one_of_several_containers_must_be_named_and_run(cloud: Cloud) -> None:
    both = [{"name": "app", "image": "app"}, {"name": "setup", "image": "setup", "essential": False}]
    cloud.definition(containerDefinitions=both)
    task = cloud.run_task(enableExecuteCommand=True)
    cloud.settle()
    assert refused(cloud, task)[0] == "InvalidParameterException"
    assert execute(cloud, task, container="setup")["containerName"] == "setup"
    cloud.saw(task, "setup", "stopped", exit_code=0)
    cloud.settle()
    assert refused(cloud, task, container="setup") == (
        "TargetNotConnectedException",
        "The execute command failed due to an internal error. Try again later.",
    )
    assert execute(cloud, task, container="app")["containerName"] == "app"


def test_a_token_opens_its_session_once_and_not_for_long(cloud: Cloud, task: str) -> None:
    first, second = (execute(cloud, task)["session"] for _ in range(2))
    assert not opened(cloud, first["sessionId"], "")
    assert not opened(cloud, first["sessionId"], second["tokenValue"])
    assert not opened(cloud, "ecs-execute-command-0", first["tokenValue"])
    assert opened(cloud, first["sessionId"], first["tokenValue"])
    assert not opened(cloud, first["sessionId"], first["tokenValue"])
    cloud.now += 61
    assert not opened(cloud, second["sessionId"], second["tokenValue"])


def test_two_sessions_per_container(cloud: Cloud, task: str) -> None:
    first = execute(cloud, task)["session"]
    execute(cloud, task)
    assert opened(cloud, first["sessionId"], first["tokenValue"])
    limit = "Unable to start new execute sessions because the maximum session limit of 2 has been reached."
    assert refused(cloud, task) == ("ClientException", limit)
    cloud.now += 61
    execute(cloud, task)  # the one that nobody opened is forgotten, the open one is not
    assert refused(cloud, task) == ("ClientException", limit)


def test_the_agent_of_a_container_lives_as_long_as_it(cloud: Cloud) -> None:
    cloud.definition()
    silent, task = cloud.run_task(), cloud.run_task(enableExecuteCommand=True)
    assert containers(cloud, task)[0]["managedAgents"] == [{"name": "ExecuteCommandAgent", "lastStatus": "PENDING"}]
    cloud.settle()
    assert "managedAgents" not in containers(cloud, silent)[0]
    (agent,) = containers(cloud, task)[0]["managedAgents"]
    assert agent == {"name": "ExecuteCommandAgent", "lastStatus": "RUNNING", "lastStartedAt": cloud.now}
    cloud.ecs("StopTask", task=task)
    cloud.wait(120)
    assert containers(cloud, task)[0]["managedAgents"] == [{"name": "ExecuteCommandAgent", "lastStatus": "STOPPED"}]
