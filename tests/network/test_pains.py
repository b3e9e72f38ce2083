"""What users of ECS run into most, with packets: the symptom, the words of ECS, the cause that `ecsnet why` names, and
the fix after which it works."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from ecsnet.cli.dial import Place
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

CLUSTER = "pains"


class Town:
    """A VPC with a public load balancer on port 80 in two zones, and a cluster."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ec2, self.ecs, self.elb = (instance.client(name) for name in ("ec2", "ecs", "elbv2"))
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.90.0.0/16")["Vpc"]["VpcId"]
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        (table,) = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"]
        self.ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        self.subnets = [
            self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.90.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        self.front = self.group("front")
        self.allow(self.front, 80, 80, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        made = self.elb.create_load_balancer(Name="pains", Subnets=self.subnets, SecurityGroups=[self.front])
        (self.balancer,) = made["LoadBalancers"]

    def group(self, name: str) -> str:
        made: str = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        return made

    def allow(self, group: str, low: int, high: int, **source: Any) -> None:
        permission = {"IpProtocol": "tcp", "FromPort": low, "ToPort": high, **source}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])

    def listen(self, port: int, name: str, type: str) -> str:
        """A target group behind a listener of its own; answers its ARN."""
        (group,) = self.elb.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=80,
            VpcId=self.vpc,
            TargetType=type,
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )["TargetGroups"]
        self.elb.create_listener(
            LoadBalancerArn=self.balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
        )
        return str(group["TargetGroupArn"])

    def define(self, family: str, mode: str, fargate: bool = False, **container: Any) -> str:
        more = {"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"} if fargate else {}
        made = self.ecs.register_task_definition(
            family=family,
            networkMode=mode,
            containerDefinitions=[
                {"name": "app", "image": "absent", "memory": 128, "portMappings": [{"containerPort": 80}], **container}
            ],
            **more,
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def serve(self, name: str, definition: str, target_group: str, **more: Any) -> None:
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=definition,
            loadBalancers=[{"targetGroupArn": target_group, "containerName": "app", "containerPort": 80}],
            **more,
        )

    def events(self, name: str) -> list[str]:
        (service,) = self.ecs.describe_services(cluster=CLUSTER, services=[name])["services"]
        return [one["message"] for one in service["events"]]

    def stopped(self, name: str) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus="STOPPED")["taskArns"]
        return list(self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]) if arns else []

    def targets(self, target_group: str, state: str, reason: str | None = None) -> list[dict[str, Any]]:
        """The targets of a group that are in a state, for a reason."""
        found = self.elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
        wanted = (state, reason)
        return [one for one in found if (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason")) == wanted]

    def get(self, port: int) -> int:
        return self.instance.curl(f"http://{self.balancer['DNSName']}:{port}/").status

    def end(self, name: str) -> None:
        self.ecs.delete_service(cluster=CLUSTER, service=name, force=True)
        self.ecs.get_waiter("services_inactive").wait(
            cluster=CLUSTER, services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )


def eni_of(town: Town, task: str) -> str:
    (found,) = town.ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
    details = {one["name"]: one["value"] for one in found["attachments"][0]["details"]}
    return str(details["networkInterfaceId"])


@pytest.fixture(scope="module")
def town(instance: Instance) -> Town:
    return Town(instance)


def test_a_group_that_does_not_know_the_balancer_fails_the_health_checks(town: Town) -> None:
    tasks, target_group = town.group("tasks"), town.listen(80, "checks", "ip")
    network = {"awsvpcConfiguration": {"subnets": town.subnets, "securityGroups": [tasks]}}
    town.serve(
        "checks",
        town.define("checks", "awsvpc", fargate=True),
        target_group,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    eventually(lambda: town.targets(target_group, "unhealthy", "Target.Timeout"), "a dropped packet is a timeout")
    text = f"Task failed ELB health checks in (target-group {target_group})"
    eventually(lambda: [one for one in town.stopped("checks") if one["stoppedReason"] == text], "ECS replaces the task")
    told = f"is unhealthy in (target-group {target_group}) due to (reason Request timed out)"
    assert any(told in message for message in town.events("checks"))

    # From now on no task is replaced, so that the next one is there for as long as it is asked about.
    town.ecs.update_service(cluster=CLUSTER, service="checks", healthCheckGracePeriodSeconds=100_000)
    (task,) = eventually(
        lambda: town.ecs.list_tasks(cluster=CLUSTER, serviceName="checks")["taskArns"][:1], "another task is started"
    )
    walk = json.loads(
        town.instance.run("why", "pains", task.rpartition("/")[2], "80/tcp", "--json", check=False).stdout
    )
    (stopper,) = [step for step in walk["steps"] if not step["ok"] and step["first"]]
    assert (stopper["stage"], stopper["groups"]) == ("sg_in", ["tasks"])
    assert stopper["component"] == eni_of(town, task)

    town.allow(tasks, 80, 80, UserIdGroupPairs=[{"GroupId": town.front}])
    eventually(lambda: town.targets(target_group, "healthy"), "the balancer reaches the task")
    assert eventually(lambda: town.get(80) == 200, "requests arrive")
    town.end("checks")


def test_the_group_of_an_instance_must_open_the_ports_that_bridge_tasks_get(town: Town) -> None:
    machines, target_group = town.group("machines"), town.listen(81, "dynamic", "instance")
    town.allow(town.front, 81, 81, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    town.ec2.run_instances(
        ImageId="ami-12345678",
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        SubnetId=town.subnets[0],
        SecurityGroupIds=[machines],
        UserData=f"#!/bin/bash\necho ECS_CLUSTER={CLUSTER} >> /etc/ecs/ecs.config\n",
    )
    town.allow(machines, 80, 80, UserIdGroupPairs=[{"GroupId": town.front}])  # the container's port: of no use
    town.serve("dynamic", town.define("dynamic", "bridge"), target_group, desiredCount=1, launchType="EC2")
    # ECS deregisters such a target soon, so it is looked at where it is seen.
    (found, *_) = eventually(
        lambda: town.targets(target_group, "unhealthy", "Target.Timeout"), "the host port is shut", timeout=90
    )
    assert found["Target"]["Port"] in range(32768, 61000)

    town.allow(machines, 32768, 60999, UserIdGroupPairs=[{"GroupId": town.front}])
    eventually(lambda: town.targets(target_group, "healthy"), "the host port is open")
    assert eventually(lambda: town.get(81) == 200, "requests arrive")
    town.end("dynamic")


def test_an_attachment_that_is_not_acknowledged(town: Town) -> None:
    town.instance.run("fault", "--delay", "9999", "--group", "family:late")
    definition = town.define("late", "awsvpc", fargate=True)
    network = {"awsvpcConfiguration": {"subnets": town.subnets[:1]}}
    request = {"cluster": CLUSTER, "taskDefinition": definition, "launchType": "FARGATE"}
    (late,) = town.ecs.run_task(**request, networkConfiguration=network)["tasks"]
    (attachment,) = late["attachments"]
    assert attachment["status"] == "ATTACHING"
    netns = Place(netns="t" + late["taskArn"].rpartition("/")[2][:12], nameserver="10.90.0.2")
    assert [one["group"] for one in town.instance.status()["faults"]] == ["family:late"]

    def stopped() -> dict[str, Any] | None:
        assert netns.netns not in town.instance.namespaces(), "nothing of the task is in the network, all the time"
        (task,) = town.ecs.describe_tasks(cluster=CLUSTER, tasks=[late["taskArn"]])["tasks"]
        return task if task["lastStatus"] == "STOPPED" else None

    ended = eventually(stopped, "ECS gives up after three minutes", timeout=90)
    assert ended is not None
    assert ended["stoppedReason"] == "Timeout waiting for network interface provisioning to complete."
    assert netns.netns not in town.instance.namespaces()

    town.instance.run("fault", "--clear", "--group", "family:late")
    (fine,) = town.ecs.run_task(**request, networkConfiguration=network)["tasks"]
    town.ecs.get_waiter("tasks_running").wait(
        cluster=CLUSTER, tasks=[fine["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    town.ecs.stop_task(cluster=CLUSTER, task=fine["taskArn"])


@pytest.mark.parametrize("delay", [20, 0])
def test_stopping_tasks_behind_a_balancer_costs_no_request(town: Town, delay: int) -> None:
    """Without a deregistration delay a process is ended as soon as the load balancer has let go of it, not before."""
    name = f"rolled-{delay}"
    tasks, target_group = town.group(name), town.listen(82 + delay, name, "ip")
    town.allow(tasks, 80, 80, UserIdGroupPairs=[{"GroupId": town.front}])
    town.allow(town.front, 82 + delay, 82 + delay, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    town.elb.modify_target_group_attributes(
        TargetGroupArn=target_group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
    )
    network = {"awsvpcConfiguration": {"subnets": town.subnets, "securityGroups": [tasks]}}
    town.serve(
        name,
        town.define(name, "awsvpc", fargate=True),
        target_group,
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    for _ in range(5):
        eventually(lambda: len(town.targets(target_group, "healthy")) == 2, "both tasks are healthy")
        first, _ = town.ecs.list_tasks(cluster=CLUSTER, serviceName=name)["taskArns"]
        answers: list[int] = []
        stopping = threading.Thread(target=town.ecs.stop_task, kwargs={"cluster": CLUSTER, "task": first})
        stopping.start()

        def gone(task: str = first, answers: list[int] = answers) -> bool:
            answers.extend(town.get(82 + delay) for _ in range(20))
            (found,) = town.ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
            return bool(found["lastStatus"] == "STOPPED")

        eventually(gone, "the task has stopped")
        stopping.join()
        assert set(answers) == {200}
    assert any("has begun draining connections on 1 tasks." in message for message in town.events(name))
    town.end(name)
