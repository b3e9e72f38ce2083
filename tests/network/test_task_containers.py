"""Tasks of a whole ecsnet: what their containers see, say and leave behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecsnet.cli.dial import Place
from ecsnet.cli.errors import CliError
from ecsnet.fabric.kernel.naming import task_namespace
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

ROLE = "arn:aws:iam::123456789012:role/shop"


class Shop:
    """A cluster in the default VPC."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ecs = instance.client("ecs")
        ec2 = instance.client("ec2")
        self.subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.ecs.create_cluster(clusterName="shop")

    def run(self, family: str, *containers: dict[str, Any]) -> dict[str, Any]:
        """A running task of these containers."""
        self.ecs.register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            taskRoleArn=ROLE,
            executionRoleArn=ROLE,
            containerDefinitions=list(containers),
        )
        (task,) = self.ecs.run_task(
            cluster="shop",
            taskDefinition=family,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [self.subnet]}},
        )["tasks"]
        return eventually(lambda: self.task(task["taskArn"], "RUNNING"), f"{family} runs")

    def task(self, arn: str, status: str) -> dict[str, Any] | None:
        (found,) = self.ecs.describe_tasks(cluster="shop", tasks=[arn])["tasks"]
        return found if found["lastStatus"] == status else None

    def get(self, task: dict[str, Any], url: str) -> Any:
        """What a process in the task's namespace gets; decoded."""
        place = Place(netns=task_namespace(task["taskArn"]), nameserver="172.31.0.2")
        return json.loads(self.instance.curl(url, place=place).body)


def address(task: dict[str, Any]) -> str:
    return str(task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"])


@pytest.fixture(scope="module")
def shop(instance: Instance) -> Shop:
    return Shop(instance)


@pytest.fixture(scope="module")
def web(shop: Shop) -> dict[str, Any]:
    shop.instance.client("logs").create_log_group(logGroupName="/ecs/web")
    log = {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/ecs/web",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "w",
        },
    }
    return shop.run(
        "web", {"name": "web", "image": "shop/web:7", "portMappings": [{"containerPort": 80}], "logConfiguration": log}
    )


@pytest.fixture(scope="module")
def api(shop: Shop) -> dict[str, Any]:
    return shop.run("api", {"name": "api", "image": "shop/api:1", "portMappings": [{"containerPort": 8080}]})


def test_tasks_reach_each_other_by_address_and_by_name(shop: Shop, web: dict[str, Any], api: dict[str, Any]) -> None:
    there = f"{address(api)}:8080"
    about = shop.get(web, f"http://{there}/x")
    assert about["runtime"] == "stand-in"
    assert about["task"] == api["taskArn"].rpartition("/")[2]
    assert about["peer_address"] == address(web)
    name = f"ip-{address(api).replace('.', '-')}.ec2.internal"
    fetched = shop.get(web, f"http://127.0.0.1/fetch?url=http://{name}:8080/y")["fetch"]
    assert fetched["resolved"] == [address(api)]
    assert fetched["body"]["peer_address"] == address(web)
    with pytest.raises(CliError):
        shop.get(web, f"http://{address(api)}:80/")


def test_a_task_reads_its_own_metadata(shop: Shop, web: dict[str, Any], api: dict[str, Any]) -> None:
    (uri,) = shop.instance.metadata(web["taskArn"]).values()
    container = shop.get(web, uri)
    assert container["Name"] == "web"
    assert container["Networks"][0]["IPv4Addresses"] == [address(web)]

    def running() -> dict[str, Any] | None:
        read: dict[str, Any] = shop.get(web, f"{uri}/task")
        return read if read["KnownStatus"] == "RUNNING" else None

    task = eventually(running, "the metadata follows the task's state")
    assert task["TaskARN"] == web["taskArn"]
    with pytest.raises(json.JSONDecodeError):
        shop.get(api, uri)


def test_lines_reach_cloudwatch_logs_and_the_log_file(shop: Shop, web: dict[str, Any], api: dict[str, Any]) -> None:
    shop.get(api, f"http://{address(web)}/find-me")
    logs = shop.instance.client("logs")
    stream = f"w/web/{web['taskArn'].rpartition('/')[2]}"

    def lines() -> list[str]:
        streams = logs.describe_log_streams(logGroupName="/ecs/web")["logStreams"]
        if not any(one["logStreamName"] == stream for one in streams):
            return []
        events = logs.get_log_events(logGroupName="/ecs/web", logStreamName=stream)["events"]
        return [event["message"] for event in events if "find-me" in event["message"]]

    (line,) = eventually(lines, "the line is in CloudWatch Logs")
    assert line.endswith(f'{address(api)} "GET /find-me" 200')
    assert "find-me" in shop.instance.run("logs", web["taskArn"].rpartition("/")[2]).stdout


def test_a_host_command_runs_in_the_task(shop: Shop, api: dict[str, Any]) -> None:
    script = (
        "import json, os, urllib.request as r; get = lambda u: json.load(r.urlopen(u, timeout=60)); "
        'print(get(os.environ["ECS_CONTAINER_METADATA_URI_V4"])["Name"]); '
        'print(get("http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])["RoleArn"]); '
        f'print(get("http://ip-{address(api).replace(".", "-")}:8080/")["peer_address"])'
    )
    command = {"entryPoint": ["python3", "-c"], "command": [script + "; raise SystemExit(3)"]}
    task = shop.ecs.register_task_definition(
        family="job",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        taskRoleArn=ROLE,
        containerDefinitions=[
            {"name": "job", "image": "none", "dockerLabels": {"ecsnet.runtime": "process"}, **command}
        ],
    )["taskDefinition"]
    (started,) = shop.ecs.run_task(
        cluster="shop",
        taskDefinition=task["taskDefinitionArn"],
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [shop.subnet]}},
    )["tasks"]
    ended = eventually(lambda: shop.task(started["taskArn"], "STOPPED"), "the job ends", timeout=120)
    log = shop.instance.home.path / "logs" / started["taskArn"].rpartition("/")[2] / "job.log"
    # Found by the search domain of the VPC's DHCP options.
    assert log.read_text().splitlines() == ["job", ROLE, ended["attachments"][0]["details"][-1]["value"]]
    assert ended["containers"][0]["exitCode"] == 3


def test_a_stand_in_ends_as_told(shop: Shop) -> None:
    task = shop.run("short", {"name": "short", "image": "x", "portMappings": [{"containerPort": 80}]})
    shop.instance.run("stand-in", task["taskArn"].rpartition("/")[2], "--exit", "5")
    ended = eventually(lambda: shop.task(task["taskArn"], "STOPPED"), "the task stops")
    assert ended["containers"][0]["exitCode"] == 5
    assert ended["stopCode"] == "EssentialContainerExited"


def test_the_metadata_tell_how_often_a_container_was_started_again(shop: Shop) -> None:
    policy = {"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}}
    # Longer than the six seconds of the period at the speed of these tests, which the agent counts from when it has
    # noticed the start until it has noticed the end.
    process = {"command": ["sleep", "9"], "dockerLabels": {"ecsnet.runtime": "process"}}
    task = shop.run("again", {"name": "brief", "image": "x", **process, **policy}, {"name": "plain", "image": "x"})
    uris = shop.instance.metadata(task["taskArn"])
    assert shop.get(task, uris["brief"])["RestartCount"] == 0
    assert "RestartCount" not in shop.get(task, uris["plain"])
    eventually(lambda: shop.get(task, uris["brief"])["RestartCount"] == 1, "it was started again")
    assert shop.task(task["taskArn"], "RUNNING") is not None
    shop.ecs.stop_task(cluster="shop", task=task["taskArn"])
