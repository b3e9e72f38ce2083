"""EXTERNAL instances (ECS Anywhere): tasks run outside every VPC, behind their machine's own address."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ecsnet.cli.dial import Place
from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

ONE, OTHER = "mi-0123456789abcdef0", "mi-0fedcba9876543210"
PUBLIC_DNS = "198.19.255.253"


class Anywhere:
    """A cluster with two external instances, and a VPC whose public address is theirs to find."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ecs, self.ec2 = instance.client("ecs"), instance.client("ec2")
        self.ecs.create_cluster(clusterName="cellar")
        self.address: dict[str, str] = {}
        self.arn: dict[str, str] = {}
        for id in (ONE, OTHER):
            made = self.ecs.register_container_instance(
                cluster="cellar",
                instanceIdentityDocument=json.dumps({"instanceId": id}),
                totalResources=[
                    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
                    {"name": "MEMORY", "type": "INTEGER", "integerValue": 8192},
                ],
            )["containerInstance"]
            self.arn[id] = made["containerInstanceArn"]
            self.address[id] = next(one["value"] for one in made["attributes"] if one["name"] == "ecsnet.address")

    def define(self, family: str, mode: str, *ports: dict[str, Any], **more: Any) -> str:
        return str(
            self.ecs.register_task_definition(
                family=family,
                networkMode=mode,
                containerDefinitions=[
                    {"name": "app", "image": "absent", "memory": 128, "cpu": 128, "portMappings": list(ports)}
                ],
                **more,
            )["taskDefinition"]["taskDefinitionArn"]
        )

    def running(self, reply: dict[str, Any]) -> list[dict[str, Any]]:
        """The tasks of a RunTask or StartTask, once they run."""
        assert reply["failures"] == []
        arns = [task["taskArn"] for task in reply["tasks"]]
        return eventually(lambda: self._with_status(arns, "RUNNING"), "the tasks run")

    def _with_status(self, arns: Sequence[str], status: str) -> list[dict[str, Any]]:
        found = self.ecs.describe_tasks(cluster="cellar", tasks=list(arns))["tasks"]
        return found if all(task["lastStatus"] == status for task in found) else []

    def stopped(self, arns: Sequence[str]) -> None:
        if arns:
            eventually(lambda: self._with_status(arns, "STOPPED"), "the tasks stop")

    def place(self, task: dict[str, Any]) -> Place:
        found = self.instance.task(task["taskArn"])
        return Place(netns=found["netns"], nameserver=found["nameserver"])

    def get(self, url: str, place: Place | None = None) -> Any:
        reply = self.instance.curl(url, **({} if place is None else {"place": place}))
        return json.loads(reply.body)

    def silent(self, url: str, place: Place | None = None) -> bool:
        """Whether a request that must fail gets no answer at all."""
        return self._failure(url, place, 0.5) is Exit.TIMED_OUT

    def refused(self, url: str, place: Place | None = None) -> bool:
        """Whether a request that must fail is refused: an answer, for which a busy machine gets time."""
        return self._failure(url, place, 20.0) is Exit.NO_CONNECTION

    def _failure(self, url: str, place: Place | None, timeout: float) -> Exit:
        with pytest.raises(CliError) as caught:
            self.instance.curl(url, timeout=timeout, **({} if place is None else {"place": place}))
        return caught.value.code


@pytest.fixture
def anywhere(instance: Instance) -> Iterator[Anywhere]:
    made = Anywhere(instance)
    yield made
    for service in made.ecs.list_services(cluster="cellar")["serviceArns"]:
        made.ecs.delete_service(cluster="cellar", service=service, force=True)
    arns = made.ecs.list_tasks(cluster="cellar")["taskArns"]
    for arn in arns:
        made.ecs.stop_task(cluster="cellar", task=arn)
    made.stopped(arns)


def id_of(task: dict[str, Any]) -> str:
    return str(task["taskArn"].rpartition("/")[2])


def test_bridge_and_host_tasks_answer_at_their_machines_address(anywhere: Anywhere) -> None:
    anywhere.define("bridged", "bridge", {"containerPort": 80, "hostPort": 8080})
    anywhere.define("hosted", "host", {"containerPort": 9090})
    (bridged,) = anywhere.running(
        anywhere.ecs.start_task(cluster="cellar", taskDefinition="bridged", containerInstances=[anywhere.arn[ONE]])
    )
    (hosted,) = anywhere.running(
        anywhere.ecs.start_task(cluster="cellar", taskDefinition="hosted", containerInstances=[anywhere.arn[OTHER]])
    )
    assert (bridged["launchType"], hosted["launchType"]) == ("EXTERNAL", "EXTERNAL")
    near, far = (f"http://{anywhere.address[id]}" for id in (ONE, OTHER))
    assert anywhere.get(f"{near}:8080")["task"] == id_of(bridged)
    assert anywhere.get(f"{far}:9090")["task"] == id_of(hosted)
    # from one machine to the other, and to a port that nobody has
    assert anywhere.get(f"{far}:9090", anywhere.place(bridged))["task"] == id_of(hosted)
    assert anywhere.get(f"{near}:8080", anywhere.place(hosted))["task"] == id_of(bridged)
    assert anywhere.refused(f"{near}:80")
    assert anywhere.refused(f"{near}:9090")
    # the containers' metadata, served on the machine
    own = anywhere.instance.metadata(bridged["taskArn"])["app"]
    whole = anywhere.get(f"{own}/task", anywhere.place(bridged))
    assert (whole["LaunchType"], whole["TaskARN"]) == ("EXTERNAL", bridged["taskArn"])
    assert "VPCID" not in whole
    assert "AvailabilityZone" not in whole
    anywhere.ecs.stop_task(cluster="cellar", task=bridged["taskArn"])
    anywhere.stopped([bridged["taskArn"]])
    assert anywhere.refused(f"{near}:8080")


def test_a_vpc_sees_an_external_task_as_anybody_on_the_internet(anywhere: Anywhere) -> None:
    ec2, ecs = anywhere.ec2, anywhere.ecs
    subnet = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    group = ec2.create_security_group(GroupName="cellar", Description="cellar", VpcId=subnet["VpcId"])["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp=f"{anywhere.address[ONE]}/32"
    )
    anywhere.define(
        "web", "awsvpc", {"containerPort": 80}, requiresCompatibilities=["FARGATE"], cpu="256", memory="512"
    )
    network = {"subnets": [subnet["SubnetId"]], "securityGroups": [group], "assignPublicIp": "ENABLED"}
    (web,) = anywhere.running(
        ecs.run_task(
            cluster="cellar",
            taskDefinition="web",
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
        )
    )
    details = {one["name"]: one["value"] for one in web["attachments"][0]["details"]}
    interface = ec2.describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])
    public = interface["NetworkInterfaces"][0]["Association"]
    anywhere.define("bridged", "bridge", {"containerPort": 80, "hostPort": 8080})
    allowed, other = anywhere.running(
        ecs.start_task(
            cluster="cellar", taskDefinition="bridged", containerInstances=[anywhere.arn[ONE], anywhere.arn[OTHER]]
        )
    )
    if allowed["containerInstanceArn"] != anywhere.arn[ONE]:
        allowed, other = other, allowed
    assert anywhere.get(f"http://{public['PublicIp']}", anywhere.place(allowed))["task"] == id_of(web)
    assert anywhere.get(f"http://{public['PublicDnsName']}", anywhere.place(allowed))["task"] == id_of(web)
    assert anywhere.silent(f"http://{public['PublicIp']}", anywhere.place(other))
    private = details["privateIPv4Address"]
    assert anywhere.silent(f"http://{private}", anywhere.place(allowed))
    # the other way: out through the internet gateway
    there = f"http://{anywhere.address[ONE]}:8080"
    assert anywhere.get(there, anywhere.place(web))["task"] == id_of(allowed)
    said = anywhere.instance.run("why", id_of(web), anywhere.address[ONE], "8080/tcp", "--json")
    assert json.loads(said.stdout)["verdict"] == "reachable"
    said = anywhere.instance.run("why", id_of(web), "198.19.255.77", "8080/tcp", "--json", check=False)
    assert json.loads(said.stdout)["verdict"] == "blocked"


def test_a_service_runs_on_external_instances_and_moves_when_one_goes(anywhere: Anywhere) -> None:
    anywhere.define("bridged", "bridge", {"containerPort": 80, "hostPort": 8080})
    anywhere.ecs.create_service(
        cluster="cellar", serviceName="cellar", taskDefinition="bridged", desiredCount=1, launchType="EXTERNAL"
    )

    def where() -> set[str]:
        return {id for id in (ONE, OTHER) if _answers(anywhere, f"http://{anywhere.address[id]}:8080")}

    (first,) = eventually(where, "the service answers")
    (second,) = {ONE, OTHER} - {first}
    anywhere.ecs.deregister_container_instance(cluster="cellar", containerInstance=anywhere.arn[first], force=True)
    eventually(lambda: where() == {second}, "the service answers from the other machine", timeout=120)
    names = {f"m{id.removeprefix('mi-')[:12]}" for id in (first, second)}
    eventually(
        lambda: names & anywhere.instance.namespaces() == {f"m{second.removeprefix('mi-')[:12]}"},
        "the machine that was deregistered is gone",
    )


def _answers(anywhere: Anywhere, url: str) -> bool:
    try:
        anywhere.instance.curl(url, timeout=1.0)
    except CliError:
        return False
    return True
