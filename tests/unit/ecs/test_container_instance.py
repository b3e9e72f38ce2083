"""Container instances: what they offer, what tasks take of them, and how they go."""

from __future__ import annotations

from typing import Any

from ecs_harness import Cloud
from ecsnet.services.ecs import ops as ecs_ops


def described(cloud: Cloud, arn: str) -> Any:
    return cloud.ecs("DescribeContainerInstances", containerInstances=[arn])["containerInstances"][0]


def resources(one: Any, which: str = "remainingResources") -> dict[str, Any]:
    return {r["name"]: r.get("stringSetValue", r["integerValue"]) for r in one[which]}


def test_registered(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    one = described(cloud, arn)
    assert (one["status"], one["agentConnected"], one["runningTasksCount"]) == ("ACTIVE", True, 0)
    ports = ["22", "2375", "2376", "51678", "51679"]
    assert resources(one, "registeredResources") == {"CPU": 2048, "MEMORY": 4096, "PORTS": ports, "PORTS_UDP": []}
    attributes = {a["name"]: a.get("value") for a in one["attributes"]}
    assert attributes["ecs.instance-type"] == "t3.medium"
    assert attributes["ecs.availability-zone"] == "us-east-1a"
    assert "ecs.capability.task-eni" in attributes
    assert cloud.ecs("ListContainerInstances")["containerInstanceArns"] == [arn]
    assert cloud.ecs("DescribeClusters")["clusters"][0]["registeredContainerInstancesCount"] == 1
    assert cloud.error("DeleteCluster", cluster="default")[0] == "ClusterContainsContainerInstancesException"


def test_an_agent_that_comes_back_is_the_same_instance(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    row = cloud.instance_row(arn)
    cloud.change(lambda call: ecs_ops.set_agent_connected(call, row, False))
    assert described(cloud, arn)["agentConnected"] is False
    assert cloud.ecs("ListContainerInstances", filter="agentConnected == true")["containerInstanceArns"] == []


def test_a_task_takes_and_gives_back(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("bridge", portMappings=[{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}])
    task = cloud.run_task(launchType="EC2", networkConfiguration=None)
    left = resources(described(cloud, arn))
    assert (left["CPU"], left["MEMORY"], left["PORTS"][-1]) == (1920, 3840, "8080")
    assert described(cloud, arn)["pendingTasksCount"] == 1
    cloud.settle()
    assert described(cloud, arn)["runningTasksCount"] == 1
    bindings = cloud.task(task)["containers"][0]["networkBindings"]
    assert bindings == [
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
        {"bindIP": "0.0.0.0", "containerPort": 81, "hostPort": 32768, "protocol": "tcp"},
    ]
    cloud.ecs("StopTask", task=task)
    cloud.settle()
    assert resources(described(cloud, arn)) == resources(described(cloud, arn), "registeredResources")
    assert cloud.instance_row(arn).used.dynamic == ()


def test_dynamic_ports_go_upwards_and_are_not_given_out_twice(cloud: Cloud) -> None:
    cloud.container_instance()
    cloud.modal_definition("bridge", portMappings=[{"containerPortRange": "8000-8002"}, {"containerPort": 80}])
    first = cloud.run_task(launchType="EC2", networkConfiguration=None)
    second = cloud.run_task(launchType="EC2", networkConfiguration=None)
    cloud.settle()
    ranges = [cloud.task(arn)["containers"][0]["networkBindings"][0] for arn in (first, second)]
    assert [one["hostPortRange"] for one in ranges] == ["32768-32770", "32772-32774"]
    assert ranges[0]["containerPortRange"] == "8000-8002"
    cloud.ecs("StopTask", task=first)
    cloud.settle()
    third = cloud.run_task(launchType="EC2", networkConfiguration=None)
    assert cloud.row(third).bindings[0].host_port == 32776, "freed ports are used again only after the range wraps"


def test_custom_attributes(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    given = [{"name": "stack", "value": "prod", "targetId": arn}]
    assert cloud.ecs("PutAttributes", attributes=given)["attributes"] == given
    assert cloud.ecs("ListAttributes", targetType="container-instance", attributeName="stack")["attributes"] == given
    assert cloud.ecs("ListContainerInstances", filter="attribute:stack == prod")["containerInstanceArns"] == [arn]
    assert cloud.ecs("ListContainerInstances", filter="attribute:stack != prod")["containerInstanceArns"] == []
    code, _ = cloud.error("PutAttributes", attributes=[{"name": "a", "targetId": "0" * 32}])
    assert code == "TargetNotFoundException"
    cloud.ecs("DeleteAttributes", attributes=[{"name": "stack", "targetId": arn}])
    assert cloud.ecs("ListAttributes", targetType="container-instance", attributeName="stack")["attributes"] == []
    assert cloud.error("ListContainerInstances", filter="stack = prod")[0] == "InvalidParameterException"


def test_deregister(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("host")
    task = cloud.run_task(launchType="EC2", networkConfiguration=None)
    cloud.settle()
    code, text = cloud.error("DeregisterContainerInstance", containerInstance=arn)
    assert (code, text) == ("InvalidParameterException", "Found running tasks on the instance.")
    gone = cloud.ecs("DeregisterContainerInstance", containerInstance=arn, force=True)["containerInstance"]
    assert gone["status"] == "INACTIVE"
    cloud.settle()
    assert cloud.task(task)["stoppedReason"] == "Container instance deregistration forced by user"
    assert cloud.task(task)["lastStatus"] == "STOPPED"
    assert cloud.ecs("ListContainerInstances")["containerInstanceArns"] == []


def test_a_terminated_instance_takes_its_tasks_along(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    cloud.modal_definition("bridge")
    task = cloud.run_task(launchType="EC2", networkConfiguration=None)
    cloud.settle()
    instance = cloud.instance_row(arn).instance
    cloud.change(lambda call: ecs_ops.instance_terminated(call, instance))
    cloud.settle()
    assert cloud.task(task)["stoppedReason"] == f"Host EC2 (instance {instance}) terminated."
    assert described(cloud, arn)["status"] == "INACTIVE"


def test_trunking_counts_for_instances_that_register_afterwards(cloud: Cloud) -> None:
    before = cloud.container_instance(type="c5.large")
    burstable = cloud.container_instance()
    cloud.ecs("PutAccountSettingDefault", name="awsvpcTrunking", value="enabled")
    after = cloud.container_instance(type="c5.large")
    later = cloud.container_instance()
    assert described(cloud, after)["status"] == "REGISTERING"
    cloud.settle()
    assert described(cloud, after)["status"] == "ACTIVE"
    limits = [cloud.instance_row(arn).task_enis for arn in (before, burstable, after, later)]
    assert limits == [2, 2, 10, 2], "t3 has no trunks"
    assert [cloud.instance_row(arn).trunking for arn in (before, after)] == [False, True]


def trunks(cloud: Cloud) -> list[Any]:
    only = [{"Name": "interface-type", "Values": ["trunk"]}]
    return list(cloud.ec2("DescribeNetworkInterfaces", Filters=only)["NetworkInterfaces"])


def test_a_trunk_is_an_interface_of_its_instance_and_its_tasks_have_branches(cloud: Cloud) -> None:
    plain = cloud.container_instance(type="c5.large")
    cloud.ecs("PutAccountSettingDefault", name="awsvpcTrunking", value="enabled")
    arn = cloud.container_instance(type="c5.large", cpu=10240, memory=10240)
    (trunk,) = trunks(cloud)
    row = cloud.instance_row(arn)
    assert (trunk["Attachment"]["InstanceId"], trunk["Attachment"]["DeviceIndex"]) == (row.instance, 1)
    assert trunk["RequesterManaged"] is True
    names = {one["name"] for one in described(cloud, arn)["attributes"]}
    assert "ecs.awsvpc-trunk-id" not in names, "the trunk was not seen yet"
    cloud.settle()
    attributes = {one["name"]: one.get("value") for one in described(cloud, arn)["attributes"]}
    assert attributes["ecs.awsvpc-trunk-id"] == trunk["NetworkInterfaceId"]
    assert "ecs.capability.task-eni-trunking" in attributes
    assert "ecs.awsvpc-trunk-id" not in {one["name"] for one in described(cloud, plain)["attributes"]}

    cloud.modal_definition("awsvpc")
    request = {"taskDefinition": "web", "networkConfiguration": cloud.network(subnets=1)}
    started, failures = 0, []
    for _ in range(11):
        reply = cloud.ecs("StartTask", containerInstances=[arn], **request)
        started += len(reply["tasks"])
        failures += reply["failures"]
    assert started == 10
    assert failures == [{"arn": arn, "reason": "RESOURCE:ENI"}]
    only = [{"Name": "interface-type", "Values": ["branch"]}]
    assert len(cloud.ec2("DescribeNetworkInterfaces", Filters=only)["NetworkInterfaces"]) == 10

    assert [one["id"] for one in described(cloud, plain)["attachments"]] == []
    own, *branches = described(cloud, arn)["attachments"]
    assert (own["type"], own["status"]) == ("ElasticNetworkInterface", "ATTACHED")
    assert {"name": "networkInterfaceId", "value": trunk["NetworkInterfaceId"]} in own["details"]
    tasks = cloud.ecs("DescribeTasks", tasks=cloud.ecs("ListTasks", containerInstance=arn)["taskArns"])["tasks"]
    by_id = {one["id"]: one for task in tasks for one in task["attachments"]}
    assert {one["id"]: one for one in branches} == by_id
    assert len(branches) == 10

    cloud.ecs("DeregisterContainerInstance", containerInstance=arn, force=True)
    assert trunks(cloud) == []


def test_an_instance_shows_the_interfaces_of_its_tasks_as_long_as_they_are_attached(cloud: Cloud) -> None:
    arn = cloud.container_instance(interfaces=3)
    cloud.modal_definition("awsvpc")
    cloud.modal_definition("bridge", "bridged")
    request = {"containerInstances": [arn], "networkConfiguration": cloud.network(subnets=1)}
    (task,) = cloud.ecs("StartTask", taskDefinition="web", **request)["tasks"]
    cloud.ecs("StartTask", taskDefinition="bridged", containerInstances=[arn])
    cloud.settle()
    (shown,) = described(cloud, arn)["attachments"]
    assert (shown["id"], shown["status"]) == (task["attachments"][0]["id"], "ATTACHED")
    cloud.ecs("StopTask", task=task["taskArn"])
    cloud.settle()
    assert described(cloud, arn)["attachments"] == []


def test_without_room_for_a_trunk_the_registration_fails(cloud: Cloud) -> None:
    cloud.ecs("PutAccountSettingDefault", name="awsvpcTrunking", value="enabled")
    arn = cloud.container_instance(type="c5.large", interfaces=1)
    shown = described(cloud, arn)
    assert shown["status"] == "REGISTRATION_FAILED"
    assert shown["statusReason"] == "Interface count 2 exceeds the limit for c5.large"
    assert trunks(cloud) == []
    cloud.settle()
    cloud.modal_definition("host")
    code, _ = cloud.error("RunTask", taskDefinition="web", launchType="EC2")
    assert code == "InvalidParameterException"


def test_an_external_instance_is_connected_by_whoever_registers_it(cloud: Cloud) -> None:
    totals = [
        {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    ]
    made = cloud.ecs(
        "RegisterContainerInstance",
        instanceIdentityDocument='{"instanceId": "mi-0123456789abcdef0"}',
        totalResources=totals,
        tags=[{"key": "site", "value": "cellar"}],
    )["containerInstance"]
    assert (made["ec2InstanceId"], made["agentConnected"], made["status"]) == ("mi-0123456789abcdef0", True, "ACTIVE")
    assert "ecs.capability.external" in {one["name"] for one in made["attributes"]}
    assert "ecs.capability.task-eni" not in {one["name"] for one in made["attributes"]}

    cloud.modal_definition("bridge", "web", portMappings=[{"containerPort": 80, "hostPort": 8080}])
    cloud.modal_definition("awsvpc", "own")
    task = cloud.ecs("RunTask", taskDefinition="web", launchType="EXTERNAL")["tasks"][0]
    assert (task["launchType"], task["containerInstanceArn"]) == ("EXTERNAL", made["containerInstanceArn"])
    code, text = cloud.error("RunTask", taskDefinition="web", launchType="EC2")
    assert (code, text) == ("InvalidParameterException", "No Container Instances were found in your cluster.")
    code, text = cloud.error(
        "RunTask", taskDefinition="own", launchType="EXTERNAL", networkConfiguration=cloud.network()
    )
    assert (code, text) == ("InvalidParameterException", "Task definition does not support launch_type EXTERNAL.")
    group = cloud.balancer(type="instance")
    balancers = [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}]
    code, _ = cloud.error(
        "CreateService", serviceName="x", taskDefinition="web", launchType="EXTERNAL", loadBalancers=balancers
    )
    assert code == "InvalidParameterException"


def test_an_external_instance_is_in_one_cluster_at_a_time_and_has_an_address_of_its_own(cloud: Cloud) -> None:
    def register(id: str, **more: str) -> Any:
        document = f'{{"instanceId": "{id}"}}'
        return cloud.ecs("RegisterContainerInstance", instanceIdentityDocument=document, **more)["containerInstance"]

    def address(made: Any) -> str:
        return next(one["value"] for one in made["attributes"] if one["name"] == "ecsnet.address")

    one, other = register("mi-0123456789abcdef0"), register("mi-0123456789abcdef1")
    assert (address(one), address(other)) == ("198.19.255.1", "198.19.255.2")
    assert register("mi-0123456789abcdef0")["containerInstanceArn"] == one["containerInstanceArn"]
    cloud.ecs("CreateCluster", clusterName="second")
    document = '{"instanceId": "mi-0123456789abcdef0"}'
    code, text = cloud.error("RegisterContainerInstance", instanceIdentityDocument=document, cluster="second")
    assert code == "ClientException"
    assert "one cluster at a time" in text
    cloud.ecs("DeregisterContainerInstance", containerInstance=one["containerInstanceArn"])
    assert address(register("mi-0123456789abcdef0", cluster="second")) == "198.19.255.1"
    for wrong in ("mi-../../x", "i-0123456789abcdef0", ""):
        code, text = cloud.error("RegisterContainerInstance", instanceIdentityDocument=f'{{"instanceId": "{wrong}"}}')
        assert code == "ClientException"
        assert "there is no instance" in text


def test_the_agent_is_always_current(cloud: Cloud) -> None:
    arn = cloud.container_instance()
    assert cloud.error("UpdateContainerAgent", containerInstance=arn)[0] == "NoUpdateAvailableException"
    assert cloud.error("UpdateContainerAgent", containerInstance="0" * 32)[0] == "InvalidParameterException"
