"""Public templates on EC2 instances, as they are: who asks whom, what comes back, and what must not get through.

Each test begins in an empty account. What cannot be deployed fails with the reason that its test's name says.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from template_lab import (
    RESOLVER,
    Account,
    Task,
    address,
    identifier,
    place_of,
    place_of_balancer,
    place_of_instance,
    running,
)

from ecsnet.cli.dial import Place
from ecsnet.cli.errors import Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.inputs, pytest.mark.timeout(240)]

PATTERNS = "aws-samples+container-patterns/pattern"
REFARCH = "aws-samples+ecs-refarch-cloudformation"
MICROSERVICES = "aws-samples+aws-microservices-deploy-options/apps/ecs/ec2/templates"
CDK = "aws-samples+aws-cdk-examples/python/ecs"


@pytest.fixture
def account(instance: Instance, inputs: Path) -> Account:
    return Account(instance=instance, templates=inputs / "templates")


def host_port(task: Task) -> int:
    """Of the first container's first mapping."""
    return int(task["containers"][0]["networkBindings"][0]["hostPort"])


def machine_of(account: Account, task: Task) -> dict[str, str]:
    """The instance on which a task runs."""
    (row,) = account.client("ecs").describe_container_instances(
        cluster=account.cluster, containerInstances=[task["containerInstanceArn"]]
    )["containerInstances"]
    (found,) = (one for one in account.machines() if one["InstanceId"] == row["ec2InstanceId"])
    return found


def test_two_bridge_tasks_share_an_instance_by_host_ports_of_their_own(account: Account) -> None:
    account.deploy(f"{PATTERNS}/public-facing-web-ecs-ec2-cloudformation/files/parent.yml", "web")
    balancer, elbv2 = account.balancer(), account.client("elbv2")
    url = f"http://{balancer['DNSName']}/"
    (group,) = elbv2.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]

    def registered() -> set[tuple[str, int]]:
        found = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        return {
            (one["Target"]["Id"], one["Target"]["Port"]) for one in found if one["TargetHealth"]["State"] == "healthy"
        }

    (machine,) = account.machines()
    tasks = account.tasks("web")
    assert registered() == {(machine["InstanceId"], host_port(task)) for task in tasks}
    seen = account.who(url, 40)
    # round robin, by the node of each zone for itself
    assert set(seen) == {identifier(task) for task in tasks}
    assert min(seen.values()) >= 15

    nodes = place_of_balancer(balancer)
    here = machine["PrivateIpAddress"]
    assert account.ask(f"http://{here}:{host_port(tasks[0])}/", nodes)[1]["task"] == identifier(tasks[0])
    assert account.refuses(f"http://{here}:80/", nodes), "the container's port is not the host's"
    assert account.fails(f"http://{machine['PublicIpAddress']}:{host_port(tasks[0])}/") is Exit.TIMED_OUT

    gone = (machine["InstanceId"], host_port(tasks[0]))
    account.client("ecs").stop_task(cluster=account.cluster, task=tasks[0]["taskArn"])
    eventually(lambda: account.who(url, 1) and gone not in registered(), "its port is deregistered", timeout=60)
    eventually(lambda: account.who(url, 1) and len(registered()) == 2, "another one takes its place", timeout=60)
    assert identifier(tasks[0]) not in account.who(url, 10)


def test_two_awsvpc_tasks_on_an_instance_listen_on_one_port_behind_groups_of_their_own(account: Account) -> None:
    account.deploy(f"{PATTERNS}/public-facing-api-ecs-ec2-cloudformation/files/parent.yml", "api")
    balancer = account.balancer()
    url = f"http://{balancer['DNSName']}/"
    tasks = account.tasks("web")
    machine = machine_of(account, tasks[0])
    assert machine_of(account, tasks[1])["InstanceId"] == machine["InstanceId"]
    assert len({address(task) for task in tasks} | {machine["PrivateIpAddress"]}) == 3
    assert set(account.who(url, 20)) == {identifier(task) for task in tasks}
    nodes = place_of_balancer(balancer)
    for task in tasks:
        assert account.ask(f"http://{address(task)}:80/", nodes)[1]["task"] == identifier(task)
        assert account.fails(f"http://{address(task)}:80/", place_of_instance(machine["InstanceId"])) is Exit.TIMED_OUT
    assert account.fails(f"http://{address(tasks[1])}:80/", place_of(tasks[0])) is Exit.TIMED_OUT
    # nothing listens on the instance's own address
    itself = place_of_instance(machine["InstanceId"])
    assert account.refuses(f"http://{machine['PrivateIpAddress']}:80/", itself)


def test_the_reference_architecture_fails_as_a_whole_because_one_nested_template_is_nowhere(account: Account) -> None:
    words = account.refused(f"{REFARCH}/master.yaml", "refarch")
    assert "LifecycleHook (AWS::CloudFormation::Stack): S3 error" in words
    assert "infrastructure/lifecyclehook.yaml" in words
    assert account.client("ecs").list_clusters()["clusterArns"] == []
    assert account.machines() == []


def test_the_parts_of_the_reference_architecture_route_by_path(account: Account) -> None:
    """Its parts in the order of master.yaml, with two instances. The website calls the products by the public name."""
    named = {"EnvironmentName": "shop"}
    blocks = ("PublicSubnet1CIDR", "PublicSubnet2CIDR", "PrivateSubnet1CIDR", "PrivateSubnet2CIDR")
    cidrs = {name: f"10.180.{8 * number}.0/21" for number, name in enumerate(blocks, 1)}
    infrastructure, services = f"{REFARCH}/infrastructure", f"{REFARCH}/services"
    net = account.deploy(f"{infrastructure}/vpc.yaml", "net", VpcCIDR="10.180.0.0/16", **named, **cidrs)
    groups = account.deploy(f"{infrastructure}/security-groups.yaml", "groups", VPC=net["VPC"], **named)
    alb = account.deploy(
        f"{infrastructure}/load-balancers.yaml",
        "alb",
        VPC=net["VPC"],
        Subnets=net["PublicSubnets"],
        SecurityGroup=groups["LoadBalancerSecurityGroup"],
        **named,
    )
    machines = account.deploy(
        f"{infrastructure}/ecs-cluster.yaml",
        "machines",
        VPC=net["VPC"],
        Subnets=net["PrivateSubnets"],
        SecurityGroup=groups["ECSHostSecurityGroup"],
        InstanceType="t2.large",
        ClusterSize="2",
        **named,
    )
    common = {"VPC": net["VPC"], "Cluster": machines["Cluster"], "Listener": alb["Listener"]}
    url = f"http://{alb['LoadBalancerUrl']}"
    account.deploy(f"{services}/product-service/service.yaml", "product", **common)
    account.deploy(
        f"{services}/website-service/service.yaml",
        "website",
        ProductServiceUrl=f"{url}/products",
        ECSServiceAutoScalingRoleARN=machines["ECSServiceAutoScalingRole"],
        **common,
    )
    for path, container in (("/products", "product-service"), ("/", "website-service")):
        abouts = [account.ask(url + path)[1] for _ in range(10)]
        found = {about["task"]: about["container"] for about in abouts}
        assert set(found.values()) == {container}
        assert len(found) == 2, "both of its tasks"
    # the rules say exactly / and /products; what is neither goes to the listener's empty default group
    for path in ("/productsX", "/products/1", "/other"):
        assert account.ask(url + path)[0] == 503
    (task, _) = (one for one in account.tasks() if "website" in one["group"])
    (container,) = account.instance.task(task["taskArn"])["containers"]
    status, got = account.fetch(Place(netns=container["netns"], nameserver=RESOLVER), 8000, f"{url}/products")
    assert (status, got["body"]["container"]) == (200, "product-service"), "out by NAT and back by the public name"

    listed = account.client("ecs").list_services(cluster=account.cluster)["serviceArns"]
    (product,) = (arn for arn in listed if "/product-" in arn)
    account.scale(product, 0)
    eventually(lambda: account.ask(f"{url}/products")[0] == 503, "nobody is left for the products", timeout=60)
    assert account.ask(f"{url}/")[0] == 200


def test_microservices_on_instances_keep_their_groups(account: Account) -> None:
    """awsvpc tasks on two instances of which each is in a group of its own; the tasks are in a third."""
    outputs = account.deploy(f"{MICROSERVICES}/master.yaml", "shop")
    balancers = {one["Scheme"]: one for one in account.client("elbv2").describe_load_balancers()["LoadBalancers"]}
    private = balancers["internal"]["DNSName"]
    assert account.ask(f"http://{outputs['PublicALBCNAME']}/")[1]["container"] == "webapp"
    (webapp,) = account.tasks("webapp")
    names, greeting = f"http://{private}:8082/resources/names/1", f"http://{private}:8081/resources/greeting"
    for url, container in ((names, "name"), (greeting, "Greeting")):
        status, got = account.fetch(place_of(webapp), 8080, url)
        assert (status, got["body"]["container"]) == (200, container)
    assert account.fails(names) is not None, "the internet has no way to an internal load balancer"
    machine = machine_of(account, webapp)
    assert account.fails(f"http://{address(webapp)}:8080/", place_of_instance(machine["InstanceId"])) is Exit.TIMED_OUT
    assert account.source_seen(place_of(webapp)) is None, "a public subnet gives no public address to awsvpc on EC2"

    account.scale("greeting", 0)
    account.eventually_fetches(503, place_of(webapp), 8080, greeting)
    assert account.fetch(place_of(webapp), 8080, names)[1]["status"] == 200


def test_a_task_with_networking_of_its_own_is_reached_by_all_and_reaches_nobody(account: Account) -> None:
    """Its group admits port 80 from everywhere and lets nothing out; the instance's group admits nobody."""
    account.deploy(
        f"{CDK}/ecs-service-with-task-networking/CDKSYNTH/ec2-service-with-task-networking.template.json", "net"
    )
    (task,) = account.tasks()
    machine = machine_of(account, task)
    public, *_ = (
        one["SubnetId"]
        for one in account.client("ec2").describe_subnets()["Subnets"]
        if one["MapPublicIpOnLaunch"] and not one["DefaultForAz"]
    )
    host = account.host(public)
    status, about = account.ask(f"http://{address(task)}/", host)
    assert (status, about["task"], about["mode"]) == (200, identifier(task), "awsvpc")
    assert account.fails(f"http://{address(task)}:81/", host) is Exit.TIMED_OUT
    assert account.fails(f"http://{machine['PrivateIpAddress']}/", host) is Exit.TIMED_OUT, "the instance's group"
    assert account.source_seen(place_of(task)) is None, "no egress rule"
    assert account.source_seen(place_of_instance(machine["InstanceId"])) is not None, "the instance has one"


def test_a_task_with_placement_constraints_is_one_per_instance_on_a_fixed_port(account: Account) -> None:
    account.deploy(f"{CDK}/ecs-service-with-task-placement/CDKSYNTH/sample-ecs-task-placement.template.json", "placed")
    (task,) = account.tasks()
    machine = machine_of(account, task)
    here = f"http://{machine['PrivateIpAddress']}"
    itself = place_of_instance(machine["InstanceId"])
    assert host_port(task) == 8080
    assert account.ask(f"{here}:8080/", itself)[1]["task"] == identifier(task)
    assert account.refuses(f"{here}:80/", itself), "80 is the container's own"
    subnets = account.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [machine["VpcId"]]}])
    host = account.host(subnets["Subnets"][0]["SubnetId"])
    assert account.fails(f"{here}:8080/", host) is Exit.TIMED_OUT, "the instance's group admits nobody"

    # distinctInstance, and no second instance
    ecs = account.client("ecs")
    (service,) = ecs.list_services(cluster=account.cluster)["serviceArns"]
    ecs.update_service(cluster=account.cluster, service=service, desiredCount=2)

    def said() -> bool:
        (found,) = ecs.describe_services(cluster=account.cluster, services=[service])["services"]
        return any("unable to place a task" in event["message"] for event in found["events"])

    eventually(said, "the service says that it cannot place another one", timeout=60)
    assert len(running(account.tasks())) == 1


def test_a_capacity_provider_per_zone_spreads_tasks_over_zones(account: Account) -> None:
    found = account.scaffold()
    account.deploy(
        f"{PATTERNS}/balanced-ecs-on-ec2-container-deployment-across-az/files/parent.yml",
        "balanced",
        VpcId=found["VpcId"],
        SubnetIds=found["PublicSubnetIds"],
    )
    (cluster,) = (arn for arn in account.client("ecs").list_clusters()["clusterArns"] if "balanced" in arn)
    tasks = account.tasks(cluster=cluster)
    zones = Counter(task["availabilityZone"] for task in tasks)
    assert sum(zones.values()) == 35
    assert sorted(zones.values()) == [11, 12, 12]
    # its group has no rule: neighbours are silent, and an opened one answers with a reset, because nothing listens
    one, other = (next(task for task in tasks if task["availabilityZone"].endswith(zone)) for zone in "ab")
    assert account.fails(f"http://{address(other)}/", place_of(one)) is Exit.TIMED_OUT
    (group,) = account.interface(other)["Groups"]
    account.client("ec2").authorize_security_group_ingress(
        GroupId=group["GroupId"],
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
        ],
    )
    assert account.refuses(f"http://{address(other)}/", place_of(one))


def test_a_group_of_no_instances_grows_with_its_service(account: Account) -> None:
    """The service begins with no task and no instance; two tasks bring an instance, with the daemon on it."""
    found = account.scaffold()
    account.deploy(
        f"{PATTERNS}/ecs-ec2-capacity-provider-scaling/files/parent.yml",
        "scaling",
        VpcId=found["VpcId"],
        SubnetIds=found["PublicSubnetIds"],
    )
    assert account.machines() == []
    (cluster,) = (arn for arn in account.client("ecs").list_clusters()["clusterArns"] if "scaling" in arn)
    account.scale("example-service", 2, cluster=cluster)
    (machine,) = account.machines()
    one, other = account.tasks("example-service", cluster=cluster)
    eventually(
        lambda: len(running(account.tasks("healthiness-daemon", cluster=cluster))) == 1, "the daemon", timeout=60
    )
    itself = place_of_instance(machine["InstanceId"])
    assert account.fails(f"http://{address(one)}/", itself) is Exit.TIMED_OUT, "the task's group admits nobody"
    assert account.fails(f"http://{address(other)}/", place_of(one)) is Exit.TIMED_OUT
    assert account.source_seen(itself) == machine["PublicIpAddress"]
    assert account.source_seen(place_of(one)) is None, "the task has no public address"
