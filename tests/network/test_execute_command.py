"""ExecuteCommand from the API to the packet: sessions opened by a client of our own, and by the AWS CLI."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ordinary_user import run_as_ordinary_user
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from data_channel import SessionClient
from ecsnet.cli import client as cli
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

CLUSTER = "sessions"
WAIT = {"Delay": 1, "MaxAttempts": 120}


class Shop(NamedTuple):
    """Three tasks of one VPC: a session is opened in `web`; `api` admits its group on port 80, `vault` nobody."""

    instance: Instance
    web: str
    api: str
    vault: str
    subnet: str
    group: str

    def execute(self, command: str, **changes: Any) -> dict[str, str]:
        """The session of an ExecuteCommand in `web`."""
        request = {"cluster": CLUSTER, "task": self.web, "command": command, "interactive": True, **changes}
        session: dict[str, str] = self.instance.client("ecs").execute_command(**request)["session"]
        return session

    def run(self, definition: str, *groups: str, count: int = 1) -> list[str]:
        """Start tasks that may be entered, and wait until they run; their ARNs."""
        ecs = self.instance.client("ecs")
        network = {"subnets": [self.subnet], "securityGroups": list(groups or (self.group,))}
        started = ecs.run_task(
            cluster=CLUSTER,
            taskDefinition=definition,
            launchType="FARGATE",
            count=count,
            enableExecuteCommand=True,
            networkConfiguration={"awsvpcConfiguration": network},
        )["tasks"]
        arns = [one["taskArn"] for one in started]
        ecs.get_waiter("tasks_running").wait(cluster=CLUSTER, tasks=arns, WaiterConfig=WAIT)
        return arns

    def address(self, task: str) -> str:
        address: str = self.describe(task)["networkInterfaces"][0]["privateIpv4Address"]
        return address

    def describe(self, task: str) -> dict[str, Any]:
        """The first container of a task."""
        found: dict[str, Any] = self.instance.client("ecs").describe_tasks(cluster=CLUSTER, tasks=[task])
        container: dict[str, Any] = found["tasks"][0]["containers"][0]
        return container


def definition(instance: Instance, family: str, **container: Any) -> str:
    instance.client("ecs").register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "app", "image": "absent", **container}],
    )
    return family


@pytest.fixture(scope="module")
def shop(instance: Instance) -> Shop:
    ec2 = instance.client("ec2")
    instance.client("ecs").create_cluster(clusterName=CLUSTER)
    vpc = ec2.create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.98.1.0/24")["Subnet"]["SubnetId"]
    web, api, vault = (
        ec2.create_security_group(VpcId=vpc, GroupName=name, Description=name)["GroupId"]
        for name in ("web", "api", "vault")
    )
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": web}]}
    ec2.authorize_security_group_ingress(GroupId=api, IpPermissions=[rule])
    definition(instance, "serves", portMappings=[{"containerPort": 80}])
    definition(instance, "web", environment=[{"name": "GREETING", "value": "hello"}])
    empty = Shop(instance=instance, web="", api="", vault="", subnet=subnet, group=web)
    return empty._replace(web=empty.run("web")[0], api=empty.run("serves", api)[0], vault=empty.run("serves", vault)[0])


def running(words: str) -> list[int]:
    """The processes of this machine with that command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip() == words:
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found


def test_a_session_stands_in_the_task(shop: Shop) -> None:
    with SessionClient(shop.execute("bash --norc"), size=(101, 31)) as client:
        client.type("PS1=; stty -echo\r")
        client.type("stty size; ip -4 -o address show eth0; echo $GREETING $TERM; cat /etc/resolv.conf; hostname\r")
        client.until(r"31 101\r\n")
        client.until(re.escape(shop.address(shop.web)))
        client.until(r"hello xterm-256color\r\n")
        client.until(r"nameserver 10\.98\.0\.2\r\n")
        client.until(r"ip-10-98-1-\d+\.ec2\.internal\r\n")
        client.resize(77, 22)
        client.type("stty size\r")
        client.until(r"22 77\r\n")
        client.type("exit 3\r")
        assert client.until_closed() == ""


def test_packets_meet_the_groups_of_the_task(shop: Shop) -> None:
    """The neighbour that admits web's group answers; the one that does not is silence."""
    fetch = "curl --silent --show-error --max-time {} http://{}/"
    with SessionClient(shop.execute(fetch.format(30, shop.address(shop.api)))) as client:
        client.until(r'"service"|"task"')
        client.until_closed()
    with SessionClient(shop.execute(fetch.format(2, shop.address(shop.vault)))) as client:
        client.until(r"curl: \(28\)")
        client.until_closed()


def test_keys_reach_the_command(shop: Shop) -> None:
    with SessionClient(shop.execute("bash --norc")) as client:
        client.type("PS1='> '\r")
        client.until(r"> $")
        # Only a command that prints has surely got the terminal from its shell.
        client.type("sh -c 'echo begun; exec sleep 5000'\r")
        client.until(r"begun\r\n")
        client.type(b"\x03")
        client.until(r"\^C(.|\r|\n)*> $")
        client.type("echo r''eady; cat > /dev/null; echo 'cat saw the end'\r")
        client.until(r"ready\r\n")
        client.type(b"\x04")
        client.until(r"cat saw the end\r\n(.|\r|\n)*> $")
        client.type(b"\x04")
        client.until_closed()


def test_long_output_and_input_arrive_whole_and_in_order(shop: Shop) -> None:
    with SessionClient(shop.execute("seq 1 30000")) as client:
        client.until_closed()
        assert client.output.split() == [b"%d" % number for number in range(1, 30001)]
    command = 'sh -c "stty raw -echo; echo ready; head -c 200000 | sha256sum"'
    with SessionClient(shop.execute(command)) as client:
        client.until("ready")
        for _ in range(200):
            number = client.type(b"0123456789" * 100)
            client.until_acknowledged(max(0, number - 20))
        # A command that reads slowly has some of them refused for now: they must come again.
        for last in range(number - 20, number + 1):
            client.until_acknowledged(last)
        client.until(hashlib.sha256(b"0123456789" * 20_000).hexdigest())
        client.until_closed()


def test_what_is_not_acknowledged_comes_again(shop: Shop) -> None:
    with SessionClient(shop.execute("cat")) as client:
        client.acknowledges = False
        client.type("once\r")
        first = next(frame for frame in iter(client.read, None) if frame.kind == 1)
        again = next(frame for frame in iter(client.read, None) if frame.sequence == first.sequence)
        assert again == first
        client.acknowledges = True
        client.until("once\r\nonce\r\n")


def test_a_token_opens_one_session_once(shop: Shop) -> None:
    session = shop.execute("cat")
    with pytest.raises(AssertionError, match="1008"):
        SessionClient({**session, "tokenValue": "0" * 64})
    with SessionClient(session), pytest.raises(AssertionError, match="1008"):
        SessionClient(session)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_web_pages_get_no_socket(shop: Shop, headers: dict[str, str]) -> None:
    session = shop.execute("cat")
    with pytest.raises(InvalidStatus) as caught:
        connect(session["streamUrl"], additional_headers=headers)
    assert caught.value.response.status_code == 403
    with SessionClient(session, origin="http://localhost:8080"):  # ours, as for the rest of the API
        pass


def test_other_names_get_no_socket(shop: Shop) -> None:
    session = shop.execute("cat")
    rebound = session["streamUrl"].replace("127.0.0.1", "evil.example")
    with pytest.raises(InvalidStatus) as caught:
        connect(rebound, sock=socket.create_connection(("127.0.0.1", shop.instance.port)))
    assert caught.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{shop.instance.port}/v1/control-channel/x")
    assert caught.value.response.status_code == 404
    with SessionClient(session):
        pass


def test_a_command_that_is_not_there_says_so(shop: Shop) -> None:
    with SessionClient(shop.execute("no-such-program --help")) as client:
        client.until_closed()
        assert client.output == b"cannot run no-such-program: No such file or directory\r\n"
    with SessionClient(shop.execute("echo 'half")) as client:
        assert client.until_closed() == "Unable to start command: the command cannot be parsed: No closing quotation"
    with SessionClient(shop.execute("echo \0")) as client:
        assert client.until_closed() == "Unable to start command: embedded null byte"


def test_no_shell_looks_at_the_command(shop: Shop) -> None:
    with SessionClient(shop.execute("echo '$HOME; id' `id` && id")) as client:
        client.until_closed()
        assert client.output == b"$HOME; id `id` && id\r\n"


def test_everything_ends_with_its_session(shop: Shop) -> None:
    """The client goes away without a word; what ignores the hang-up, or has a session of its own, ends too."""
    script = "trap '' HUP; setsid sleep 98765431 & echo begun; sleep 98765432; sleep 98765433"
    with SessionClient(shop.execute(f'sh -c "{script}"')) as client:
        client.until("begun")
        eventually(lambda: running("sleep 98765431") and running("sleep 98765432"), "both sleep")
    eventually(lambda: not any(running(f"sleep 9876543{digit}") for digit in "123"), "all of it has ended")


def test_a_session_ends_with_its_container(shop: Shop) -> None:
    (task,) = shop.run("web")
    namespaces = shop.instance.namespaces()
    with SessionClient(shop.execute('sh -c "echo begun; sleep 98765434"', task=task)) as client:
        client.until("begun")
        shop.instance.client("ecs").stop_task(cluster=CLUSTER, task=task)
        assert client.until_closed() == "The container has stopped."
    eventually(lambda: not running("sleep 98765434"), "the command has ended")
    waiter = shop.instance.client("ecs").get_waiter("tasks_stopped")
    waiter.wait(cluster=CLUSTER, tasks=[task], WaiterConfig=WAIT)
    eventually(lambda: len(shop.instance.namespaces()) < len(namespaces), "the task's namespace is gone")


def test_a_process_is_joined_where_it_is(shop: Shop) -> None:
    definition(
        shop.instance,
        "process",
        command=["sleep", "98765435"],
        dockerLabels={"ecsnet.runtime": "process"},
        environment=[{"name": "GREETING", "value": "from the task"}],
        workingDirectory="/usr",
    )
    (task,) = shop.run("process")
    process = shop.describe(task)["runtimeId"].partition(":")[2]
    mounts = os.readlink(f"/proc/{process}/ns/mnt")
    with SessionClient(shop.execute("sh -c 'pwd; echo $GREETING; readlink /proc/self/ns/mnt'", task=task)) as client:
        client.until_closed()
        assert client.output.decode().split("\r\n") == ["/usr", "from the task", mounts, ""]


def test_sessions_do_not_outlive_control(shop: Shop) -> None:
    """Killed, it cannot end them; the next one does."""
    with SessionClient(shop.execute("sh -c \"trap '' HUP; echo begun; sleep 98765436; sleep 98765437\"")) as client:
        client.until("begun")
        eventually(lambda: running("sleep 98765436"), "it sleeps")
        os.kill(shop.instance.status()["pid"], signal.SIGKILL)
        with pytest.raises(AssertionError, match="ended"):
            client.until_closed()
    eventually(lambda: cli.running(shop.instance.home) is None, "control is dead")
    shop.instance.up()
    assert not running("sleep 98765436")
    assert not running("sleep 98765437")
    with SessionClient(shop.execute("echo again")) as client:
        client.until("again")


PLUGIN = """#!{python}
import json, sys
sys.path[:0] = {path!r}
from data_channel import SessionClient
if len(sys.argv) == 1:
    sys.exit()
session, region, operation, profile, parameters, endpoint = sys.argv[1:]
with SessionClient(json.loads(session)) as client:
    client.until_closed()
    print(region, operation, json.loads(parameters)["Target"], endpoint)
    print(client.output.decode())
"""


def test_the_aws_cli_hands_the_session_to_its_plugin(shop: Shop, tmp_path: Path) -> None:
    plugin = tmp_path / "session-manager-plugin"
    plugin.write_text(PLUGIN.format(python=sys.executable, path=[str(Path(__file__).parents[1])]))
    plugin.chmod(0o755)
    environment = shop.instance.environment
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    words = ["ecs", "execute-command", "--cluster", CLUSTER, "--task", shop.web, "--interactive", "--command", "uname"]
    aws = Path(sys.executable).with_name("aws")
    done = subprocess.run(
        [sys.executable, aws, *words], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    identity = shop.web.rpartition("/")[2]
    target = f"ecs:{CLUSTER}_{identity}_{shop.describe(shop.web)['runtimeId']}"
    endpoint = environment["AWS_ENDPOINT_URL"]
    assert done.stdout.splitlines() == [f"us-east-1 StartSession {target} {endpoint}", "Linux", ""]


def test_runs_for_an_ordinary_user_too() -> None:
    if os.geteuid() != 0:
        return  # the other tests have just shown it
    names = ("test_a_session_stands_in_the_task", "test_everything_ends_with_its_session")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o777)
        options = ["--basetemp", f"{folder}/base", "-p", "no:cacheprovider", "-n", "0"]
        tests = [f"{__file__}::{name}" for name in names]
        done = run_as_ordinary_user([sys.executable, "-m", "pytest", *options, *tests], timeout=350)
        assert done.returncode == 0, done.stdout + done.stderr
        subprocess.run(["rm", "-rf", f"{folder}/base"], check=True)
