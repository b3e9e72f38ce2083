"""Every network mode through the API, on real instances, with stand-ins.

Source: Amazon ECS Developer Guide, "Amazon ECS task networking options for EC2".
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tarfile
from typing import Any
from urllib.parse import urlsplit

import pytest

from ecsnet.agent.runtimes.podman_store import Store
from ecsnet.agent.world import World
from ecsnet.cli.dial import Place
from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import ACCOUNT, Instance
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

CLUSTER = "modes"
ROLE = "arn:aws:iam::123456789012:role/shop"
RESOLVER = "10.80.0.2"
IMDS = "http://169.254.169.254/latest"
TCP = {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.80.0.0/16"}]}


class Fleet:
    """A VPC with one subnet, a cluster with container instances whose group opens 8080 and 9090, and a client."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ec2, self.ecs = instance.client("ec2"), instance.client("ecs")
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.80.1.0/24", AvailabilityZone="us-east-1a")[
            "Subnet"
        ]["SubnetId"]
        self.group = self.new_group("machines", 8080, 9090)
        self.machines = 0
        self.machine()

    def new_group(self, name: str, *ports: int) -> str:
        group: str = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        for port in ports:
            self.ec2.authorize_security_group_ingress(
                GroupId=group, IpPermissions=[{**TCP, "FromPort": port, "ToPort": port}]
            )
        return group

    def machine(self, user_data: str = "", **options: Any) -> str:
        """Another container instance; its instance id."""
        (made,) = self.ec2.run_instances(
            ImageId="ami-12345678",
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            UserData=f"#!/bin/bash\necho ECS_CLUSTER={CLUSTER} >> /etc/ecs/ecs.config\n{user_data}",
            **options,
        )["Instances"]
        self.machines += 1
        eventually(lambda: len(self.connected()) == self.machines, "the agent registers")
        return str(made["InstanceId"])

    def connected(self) -> list[str]:
        found: list[str] = self.ecs.list_container_instances(cluster=CLUSTER, filter="agentConnected == true")[
            "containerInstanceArns"
        ]
        return found

    def address(self, task: dict[str, Any]) -> str:
        """The private address of the instance that a task runs on."""
        (row,) = self.ecs.describe_container_instances(
            cluster=CLUSTER, containerInstances=[task["containerInstanceArn"]]
        )["containerInstances"]
        (found,) = self.ec2.describe_instances(InstanceIds=[row["ec2InstanceId"]])["Reservations"]
        return str(found["Instances"][0]["PrivateIpAddress"])

    def define(self, family: str, mode: str, *containers: dict[str, Any], **more: Any) -> str:
        reply = self.ecs.register_task_definition(
            family=family,
            networkMode=mode,
            taskRoleArn=ROLE,
            containerDefinitions=[{"image": "absent", "memory": 64, **one} for one in containers],
            **more,
        )
        return str(reply["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, status: str = "RUNNING", **options: Any) -> dict[str, Any]:
        """A task that has got to a status."""
        reply = self.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2", **options)
        assert reply["failures"] == []
        return self.wait(reply["tasks"][0]["taskArn"], status)

    def wait(self, arn: str, status: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            (task,) = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
            assert status == "STOPPED" or task["lastStatus"] != "STOPPED", task["stoppedReason"]
            return task if task["lastStatus"] == status else None

        found = eventually(there, f"the task is {status}", timeout=120)
        assert found is not None
        return found

    def stop(self, *tasks: dict[str, Any]) -> None:
        for task in tasks:
            self.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
        for task in tasks:
            self.wait(task["taskArn"], "STOPPED")

    def log(self, task: dict[str, Any], container: str = "app") -> str:
        """What a container has written so far."""
        path = self.instance.home.path / "logs" / task["taskArn"].rpartition("/")[2] / f"{container}.log"
        return path.read_text() if path.exists() else ""

    def place(self, task: dict[str, Any], container: str | None = None) -> Place:
        containers = self.instance.task(task["taskArn"])["containers"]
        (netns,) = (one["netns"] for one in containers if one["name"] == (container or containers[0]["name"]))
        return Place(netns=netns, nameserver=RESOLVER)

    def get(self, url: str, place: Place) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.instance.curl(url, place=place).body)
        return decoded

    def silent(self, url: str, place: Place) -> bool:
        """Whether a request that must fail gets no answer at all."""
        return self._failure(url, place, 0.5) is Exit.TIMED_OUT

    def refused(self, url: str, place: Place) -> bool:
        """Whether a request that must fail is refused: an answer, for which a busy machine gets time."""
        return self._failure(url, place, 20.0) is Exit.NO_CONNECTION

    def _failure(self, url: str, place: Place, timeout: float) -> Exit:
        with pytest.raises(CliError) as caught:
            self.instance.curl(url, place=place, timeout=timeout)
        return caught.value.code


@pytest.fixture(scope="module")
def fleet(instance: Instance) -> Fleet:
    return Fleet(instance)


@pytest.fixture(scope="module")
def client(fleet: Fleet) -> dict[str, Any]:
    """A task with an interface of its own, which nobody may reach."""
    definition = fleet.define("client", "awsvpc", {"name": "client", "portMappings": [{"containerPort": 8080}]})
    network = {"subnets": [fleet.subnet], "securityGroups": [fleet.new_group("shut")]}
    return fleet.run(definition, networkConfiguration={"awsvpcConfiguration": network})


@pytest.fixture(scope="module")
def image(instance: Instance) -> str:
    """The image shop/web:7, which holds a static busybox and nothing else."""
    store = Store(directory=instance.home.path / "podman")
    root = instance.home.path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "cat", "httpd", "wget", "sleep", "mkdir"):
        (root / "bin" / applet).symlink_to("busybox")
    archive = instance.home.path / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    script = (
        "import subprocess, sys; from pathlib import Path; from ecsnet.agent.runtimes.podman_store import Store;"
        "store = Store(directory=Path(sys.argv[1])); store.prepare();"
        "subprocess.run(store.command('import', sys.argv[2], 'shop/web:7'), env=store.environment(), check=True)"
    )
    command = [sys.executable, "-c", script, str(store.directory), str(archive)]
    subprocess.run(World(instance.home.path).enter_command(command), check=True, capture_output=True, timeout=300)
    return "shop/web:7"


def bindings(task: dict[str, Any], container: str) -> list[dict[str, Any]]:
    (found,) = (one["networkBindings"] for one in task["containers"] if one["name"] == container)
    return list(found)


def test_bridge_static_port(fleet: Fleet, client: dict[str, Any]) -> None:
    web = {"name": "web", "portMappings": [{"containerPort": 80, "hostPort": 8080}], "links": ["api:backend"]}
    api = {"name": "api", "portMappings": [{"containerPort": 80}]}
    task = fleet.run(fleet.define("bridge", "bridge", web, api))
    address = fleet.address(task)
    assert bindings(task, "web") == [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]
    (dynamic,) = bindings(task, "api")
    assert 32768 <= dynamic["hostPort"] <= 60999

    about = fleet.get(f"http://{address}:8080/", fleet.place(client))
    assert (about["container"], about["mode"], about["task"]) == ("web", "bridge", task["taskArn"].rpartition("/")[2])
    # the instance's group does not open the other port
    assert fleet.silent(f"http://{address}:{dynamic['hostPort']}/", fleet.place(client))

    # localhost is each container's own: both listen on port 80, and each finds itself
    for name in ("web", "api"):
        assert fleet.get("http://127.0.0.1/", fleet.place(task, name))["container"] == name
    # a link is a name of the other one
    fetched = fleet.get("http://127.0.0.1/fetch?url=http://backend/", fleet.place(task, "web"))["fetch"]
    assert (fetched["body"]["container"], fetched["resolved"]) == ("api", [fetched["body"]["address"]])
    assert "error" in fleet.get("http://127.0.0.1/fetch?url=http://backend/", fleet.place(task, "api"))["fetch"]
    # one reaches the other by the machine's mapped port, and not by the unmapped one
    place = fleet.place(task, "web")
    assert fleet.get(f"http://{address}:{dynamic['hostPort']}/", place)["container"] == "api"
    assert fleet.refused(f"http://{address}:80/", place)

    second = fleet.ecs.run_task(cluster=CLUSTER, taskDefinition="bridge", launchType="EC2")
    assert [one["reason"] for one in second["failures"]] == ["RESOURCE:PORTS"]
    fleet.stop(task)
    fleet.stop(fleet.run("bridge"))


def test_host_shares_the_machine(fleet: Fleet, client: dict[str, Any]) -> None:
    one = fleet.run(fleet.define("host", "host", {"name": "app", "portMappings": [{"containerPort": 8080}]}))
    other = fleet.run(fleet.define("peer", "host", {"name": "peer", "portMappings": [{"containerPort": 7000}]}))
    address = fleet.address(one)
    assert bindings(one, "app") == [{"bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}]
    assert fleet.get(f"http://{address}:8080/", fleet.place(client))["container"] == "app"
    # two tasks share one loopback
    assert fleet.get("http://127.0.0.1:8080/", fleet.place(other))["container"] == "app"
    assert fleet.get("http://127.0.0.1:7000/", fleet.place(one))["container"] == "peer"
    # and the group of the instance decides
    assert fleet.silent(f"http://{address}:7000/", fleet.place(client))
    # a mapped port is a matter of placement
    second = fleet.ecs.run_task(cluster=CLUSTER, taskDefinition="host", launchType="EC2")
    assert [one["reason"] for one in second["failures"]] == ["RESOURCE:PORTS"]
    fleet.stop(one, other)


def test_none_reaches_nobody(fleet: Fleet, client: dict[str, Any]) -> None:
    task = fleet.run(fleet.define("none", "none", {"name": "alone"}))
    assert bindings(task, "alone") == []
    assert fleet.refused(f"http://{fleet.address(task)}:8080/", fleet.place(task))
    fleet.stop(task)


def ask(
    fleet: Fleet,
    place: Place,
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    timeout: float = 20.0,
) -> tuple[int, str]:
    """One request from a place to a link-local service: status and text. Raises TimeoutError when no answer comes."""
    parts = urlsplit(url)
    with fleet.instance.inside(place.netns):
        made = socket.create_connection((parts.hostname or "", 80), timeout=timeout)
    connection = http.client.HTTPConnection(parts.hostname or "", 80)
    connection.sock = made
    try:
        connection.request(method, parts.path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def token_of(fleet: Fleet, place: Place, timeout: float = 20.0) -> str:
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    status, token = ask(fleet, place, f"{IMDS}/api/token", method="PUT", headers=headers, timeout=timeout)
    assert status == 200
    return token


def test_the_hop_limit_keeps_containers_of_bridge_tasks_from_a_token(fleet: Fleet) -> None:
    bridge = fleet.run(fleet.define("hops", "bridge", {"name": "app"}))
    host = fleet.run(fleet.define("nohops", "host", {"name": "app"}))
    awsvpc = fleet.run(
        fleet.define("ownhops", "awsvpc", {"name": "app"}),
        networkConfiguration={"awsvpcConfiguration": {"subnets": [fleet.subnet]}},
    )
    (row,) = fleet.ecs.describe_container_instances(
        cluster=CLUSTER, containerInstances=[bridge["containerInstanceArn"]]
    )["containerInstances"]
    machine = row["ec2InstanceId"]

    def options(**changed: Any) -> None:
        fleet.ec2.modify_instance_metadata_options(InstanceId=machine, **changed)

    places = [fleet.place(one) for one in (bridge, host, awsvpc)]
    options(HttpTokens="optional", HttpPutResponseHopLimit=1)
    # without a token all of them read, and each is told of the instance
    for place in places:
        assert ask(fleet, place, f"{IMDS}/meta-data/instance-id") == (200, machine)
    with pytest.raises(TimeoutError):
        token_of(fleet, places[0], timeout=1.0)
    assert token_of(fleet, places[1])
    assert token_of(fleet, places[2])
    options(HttpTokens="required")
    for place in places:
        assert ask(fleet, place, f"{IMDS}/meta-data/instance-id") == (401, "")
    options(HttpPutResponseHopLimit=2)
    for place in places:
        token = token_of(fleet, place)
        headers = {"X-aws-ec2-metadata-token": token}
        assert ask(fleet, place, f"{IMDS}/meta-data/instance-id", headers=headers) == (200, machine)
        headers["X-aws-ec2-metadata-token"] = "A" + token[1:] if token[0] != "A" else "B" + token[1:]
        assert ask(fleet, place, f"{IMDS}/meta-data/instance-id", headers=headers) == (401, "")
    options(HttpEndpoint="disabled")
    assert ask(fleet, places[1], f"{IMDS}/meta-data/instance-id") == (403, "")
    options(HttpEndpoint="enabled", HttpTokens="optional", HttpPutResponseHopLimit=1)
    fleet.stop(bridge, host, awsvpc)


def test_an_instance_reads_about_itself_and_fargate_tasks_have_none(fleet: Fleet) -> None:
    machine = fleet.machine("echo ECS_AWSVPC_BLOCK_IMDS=true\n", IamInstanceProfile={"Name": "node"})
    (found,) = fleet.ec2.describe_instances(InstanceIds=[machine])["Reservations"]
    (row,) = found["Instances"]
    place = Place(netns="i" + machine.partition("-")[2][:12], nameserver=RESOLVER)

    def text(path: str) -> str:
        status, body = ask(fleet, place, f"{IMDS}/{path}")
        assert status == 200, path
        return body

    (primary,) = row["NetworkInterfaces"]
    mac = primary["MacAddress"]
    assert text("meta-data/local-ipv4") == row["PrivateIpAddress"]
    assert text("meta-data/mac") == mac
    assert text("meta-data/network/interfaces/macs/") == f"{mac}/"
    assert text(f"meta-data/network/interfaces/macs/{mac}/vpc-ipv4-cidr-block") == "10.80.0.0/16"
    assert text(f"meta-data/network/interfaces/macs/{mac}/interface-id") == primary["NetworkInterfaceId"]
    assert text("meta-data/iam/security-credentials/") == "node"
    assert json.loads(text("meta-data/iam/security-credentials/node"))["AccessKeyId"] == ACCOUNT
    assert "ECS_AWSVPC_BLOCK_IMDS=true" in text("user-data")
    assert ask(fleet, place, f"{IMDS}/meta-data/spot/instance-action") == (404, "")
    assert json.loads(text("dynamic/instance-identity/document"))["instanceId"] == machine

    network = {"awsvpcConfiguration": {"subnets": [fleet.subnet]}}
    blocked = fleet.run(
        fleet.define("blocked", "awsvpc", {"name": "app"}),
        networkConfiguration=network,
        placementConstraints=[{"type": "memberOf", "expression": f"ec2InstanceId == {machine}"}],
    )
    fargate = fleet.define(
        "fargate", "awsvpc", {"name": "app"}, requiresCompatibilities=["FARGATE"], cpu="256", memory="512"
    )
    reply = fleet.ecs.run_task(
        cluster=CLUSTER, taskDefinition=fargate, launchType="FARGATE", networkConfiguration=network
    )
    serverless = fleet.wait(reply["tasks"][0]["taskArn"], "RUNNING")
    for task in (blocked, serverless):
        with pytest.raises(TimeoutError):
            ask(fleet, fleet.place(task), f"{IMDS}/meta-data/instance-id", timeout=1.0)
        uri = next(iter(fleet.instance.metadata(task["taskArn"]).values()))
        assert ask(fleet, fleet.place(task), uri)[0] == 200, "task metadata go on"
    fleet.stop(blocked, serverless)


def test_tasks_read_their_own_metadata_in_every_mode(fleet: Fleet) -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}]
    one = fleet.run(fleet.define("one", "bridge", {"name": "a", "portMappings": ports}, {"name": "b"}))
    other = fleet.run(fleet.define("other", "bridge", {"name": "a"}))
    host = fleet.run(fleet.define("metahost", "host", {"name": "a", "portMappings": [{"containerPort": 80}]}))
    uris = {task["taskArn"]: fleet.instance.metadata(task["taskArn"]) for task in (one, other, host)}

    def read(task: dict[str, Any], uri: str, container: str | None = None) -> tuple[int, dict[str, Any]]:
        status, text = ask(fleet, fleet.place(task, container), uri)
        return status, json.loads(text) if status == 200 else {}

    status, about = read(one, uris[one["taskArn"]]["a"])
    assert status == 200
    (network,) = about["Networks"]
    assert network["NetworkMode"] == "bridge"
    assert about["Ports"] == [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 8080, "HostIp": "0.0.0.0"}]
    assert network["IPv4Addresses"][0].startswith("172.17.0.")
    # both containers read of the task; nobody else does
    _, whole = read(one, uris[one["taskArn"]]["b"] + "/task", "b")
    assert [c["Name"] for c in whole["Containers"]] == ["a", "b"]
    assert whole["TaskARN"] == one["taskArn"]
    assert read(other, uris[one["taskArn"]]["a"])[0] == 404
    assert read(host, uris[one["taskArn"]]["a"])[0] == 404
    assert read(one, uris[host["taskArn"]]["a"])[0] == 404
    status, about = read(host, uris[host["taskArn"]]["a"])
    assert (status, about["Networks"]) == (200, [{"NetworkMode": "host", "IPv4Addresses": [""]}])
    # the agent's port is not in the way of a host task on port 80
    assert fleet.get("http://127.0.0.1/", fleet.place(host))["mode"] == "host"
    fleet.stop(one, other, host)


def test_no_task_reads_anothers_credentials(fleet: Fleet) -> None:
    """Each prints where its own are; the ids cannot be guessed, and in bridge mode not even knowing one helps."""
    script = "import os, time; print(os.environ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'], flush=True); time.sleep(600)"
    command = {"entryPoint": ["python3", "-c"], "command": [script], "dockerLabels": {"ecsnet.runtime": "process"}}
    tasks = [fleet.run(fleet.define(f"keys-{mode}", mode, {"name": "app", **command})) for mode in ("bridge", "host")]

    def path(task: dict[str, Any]) -> str:
        return str(eventually(lambda: fleet.log(task).strip(), "it prints its path"))

    for own, other in (tasks, reversed(tasks)):
        uri = f"http://169.254.170.2{path(own)}"
        found = ask(fleet, fleet.place(own), uri)
        assert (found[0], json.loads(found[1])["RoleArn"]) == (200, ROLE)
        refused = ask(fleet, fleet.place(other), uri)
        assert (refused[0], json.loads(refused[1])["code"]) == (400, "InvalidIdInRequest")
    fleet.stop(*tasks)


def test_an_unmapped_port_that_clashes_is_a_bind_error(fleet: Fleet) -> None:
    script = "import socket, time; s = socket.create_server(('', 8080)); print('bound', flush=True); time.sleep(600)"
    command = {"entryPoint": ["python3", "-c"], "command": [script], "dockerLabels": {"ecsnet.runtime": "process"}}
    definition = fleet.define("clash", "host", {"name": "app", **command})
    (machine, *_) = fleet.connected()
    (row,) = fleet.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[machine])["containerInstances"]
    there = [{"type": "memberOf", "expression": f"ec2InstanceId == {row['ec2InstanceId']}"}]
    first = fleet.run(definition, placementConstraints=there)
    # RUNNING says that the process was started, not that it has its port: on a busy machine the second was faster.
    eventually(lambda: "bound" in fleet.log(first), "the first one has the port")
    second = fleet.run(definition, "STOPPED", placementConstraints=there)
    assert second["stopCode"] == "EssentialContainerExited"
    assert second["containers"][0]["exitCode"] == 1
    assert "Address already in use" in fleet.log(second)
    # in bridge mode both run
    beside = fleet.define("noclash", "bridge", {"name": "app", **command})
    pair = [fleet.run(beside, placementConstraints=there) for _ in range(2)]
    fleet.stop(first, *pair)


def test_dynamic_ports_behind_a_load_balancer(fleet: Fleet, client: dict[str, Any]) -> None:
    """Targets of type instance: the instance's group must let the load balancer to every port that may be given out."""
    elb = fleet.instance.client("elbv2")
    second = fleet.ec2.create_subnet(VpcId=fleet.vpc, CidrBlock="10.80.2.0/24", AvailabilityZone="us-east-1b")
    front = fleet.new_group("front", 80)
    balancer = elb.create_load_balancer(
        Name="modes",
        Scheme="internal",
        Subnets=[fleet.subnet, second["Subnet"]["SubnetId"]],
        SecurityGroups=[front],
    )["LoadBalancers"][0]
    group = elb.create_target_group(
        Name="modes",
        Protocol="HTTP",
        Port=80,
        VpcId=fleet.vpc,
        TargetType="instance",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    fleet.ecs.create_service(
        cluster=CLUSTER,
        serviceName="dynamic",
        taskDefinition=fleet.define("dynamic", "bridge", {"name": "web", "portMappings": [{"containerPort": 80}]}),
        desiredCount=2,
        launchType="EC2",
        loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 80}],
        healthCheckGracePeriodSeconds=100_000,  # however slow the machine is, they are not replaced
    )

    def health() -> dict[tuple[str, int], str]:
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {(one["Target"]["Id"], one["Target"]["Port"]): one["TargetHealth"]["State"] for one in found}

    eventually(lambda: list(health().values()) == ["unhealthy"] * 2, "probes do not pass")
    tasks = fleet.ecs.describe_tasks(
        cluster=CLUSTER, tasks=fleet.ecs.list_tasks(cluster=CLUSTER, serviceName="dynamic")["taskArns"]
    )["tasks"]
    assert {port for _, port in health()} == {bindings(task, "web")[0]["hostPort"] for task in tasks}
    fleet.ec2.authorize_security_group_ingress(
        GroupId=fleet.group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 32768, "ToPort": 60999, "UserIdGroupPairs": [{"GroupId": front}]}
        ],
    )
    eventually(lambda: list(health().values()) == ["healthy"] * 2, "probes pass")
    place = fleet.place(client)
    answered = {fleet.get(f"http://{balancer['DNSName']}/", place)["task"] for _ in range(10)}
    assert answered == {task["taskArn"].rpartition("/")[2] for task in tasks}
    # the client itself is not let through
    port = bindings(tasks[0], "web")[0]["hostPort"]
    assert fleet.silent(f"http://{fleet.address(tasks[0])}:{port}/", place)
    fleet.ecs.delete_service(cluster=CLUSTER, service="dynamic", force=True)


def test_real_containers_share_what_their_mode_says(fleet: Fleet, image: str) -> None:
    """An image of local files: two containers of a task talk over localhost in awsvpc and host mode, not in bridge."""
    serve = "mkdir -p /www && echo real > /www/index.html && exec httpd -f -p 7070 -h /www"
    # The two start side by side: the asker waits for the server. Where localhost is not shared, it waits for the other
    # name, so that its silence on localhost is not that of a server which does not listen yet.
    until = "until wget -q -O - http://{}:7070/; do sleep 0.1; done; "
    local = until.format("127.0.0.1") + "exit 42"
    linked = until.format("server") + "wget -q -O - http://127.0.0.1:7070/ && exit 42; exit 43"

    def containers(ask_it: str, **more: Any) -> list[dict[str, Any]]:
        shared = {"image": image, "stopTimeout": 2, "entryPoint": ["sh", "-c"]}
        return [
            {**shared, "name": "server", "command": [serve]},
            {**shared, "name": "asker", "command": [ask_it], **more},
        ]

    network = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [fleet.subnet]}}}
    families: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
        "bridge": (linked, {"links": ["server"]}, {}, 43),
        "host": (local, {}, {}, 42),
        "awsvpc": (local, {}, network, 42),
    }
    for mode, (ask_it, more, options, code) in families.items():
        task = fleet.run(fleet.define(f"real-{mode}", mode, *containers(ask_it, **more)), "STOPPED", **options)
        found = {one["name"]: one for one in task["containers"]}
        assert found["asker"]["exitCode"] == code, mode
        assert len(found["server"]["runtimeId"]) == 64


def test_health_checks_are_run_and_others_wait_for_them(fleet: Fleet, image: str) -> None:
    """With a real image, with a process, and with a stand-in, whose switch is the answer."""
    # One failure would do, so a check that is slow must not fail.
    check = {"interval": 5, "retries": 1, "timeout": 60}
    real = {
        "image": image,
        "stopTimeout": 2,
        "entryPoint": ["sh", "-c"],
        "command": ["sleep 1; mkdir /ready; sleep 600"],
        "healthCheck": {"command": ["CMD-SHELL", "cd /ready"], **check},
    }
    process = {
        "entryPoint": ["sh", "-c"],
        "command": ["sleep 600"],
        "dockerLabels": {"ecsnet.runtime": "process"},
        "healthCheck": {"command": ["CMD", "test", "-e", "/nonexistent"], **check},
    }
    waits = {"name": "waits", "dependsOn": [{"containerName": "first", "condition": "HEALTHY"}]}
    task = fleet.run(fleet.define("checked", "bridge", {"name": "first", **real}, waits))

    def health(task: dict[str, Any]) -> list[str]:
        (found,) = fleet.ecs.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"]
        return [found["healthStatus"], *(one["healthStatus"] for one in found["containers"])]

    # it runs, so the first one was found healthy before
    assert health(task) == ["HEALTHY", "HEALTHY", "UNKNOWN"]
    sick = fleet.run(fleet.define("sick", "bridge", {"name": "first", **process}))
    eventually(lambda: health(sick) == ["UNHEALTHY", "UNHEALTHY"], "the check fails")
    assert fleet.wait(sick["taskArn"], "RUNNING"), "a task without a service goes on"

    told = {"name": "first", "healthCheck": {"command": ["CMD", "x"], **check}}
    standin = fleet.run(fleet.define("told", "bridge", told))
    eventually(lambda: health(standin)[0] == "HEALTHY", "a stand-in is healthy")
    fleet.instance.run("stand-in", standin["taskArn"].rpartition("/")[2], "--unhealthy")
    eventually(lambda: health(standin)[0] == "UNHEALTHY", "until it is told otherwise")
    fleet.stop(task, sick, standin)
