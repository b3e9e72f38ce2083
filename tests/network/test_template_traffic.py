"""Public templates on Fargate, as they are: who asks whom, what comes back, and what must not get through.

Each test begins in an empty account. What cannot be deployed fails with the reason that its test's name says.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from template_lab import Account, address, identifier, place_of, place_of_balancer, running

from ecsnet.cli.errors import Exit
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.inputs, pytest.mark.timeout(180)]

PATTERNS = "aws-samples+container-patterns/pattern"
NATHANPECK = "nathanpeck+aws-cloudformation-fargate"
MICROSERVICES = "aws-samples+aws-microservices-deploy-options/apps/ecs/fargate/templates"
WIDDIX = "widdix+aws-cf-templates"


@pytest.fixture
def account(instance: Instance, inputs: Path) -> Account:
    return Account(instance=instance, templates=inputs / "templates")


def test_nested_applications_answer_through_their_balancer_and_not_around_it(account: Account) -> None:
    account.deploy(f"{PATTERNS}/public-facing-web-ecs-fargate-cloudformation/files/parent.yml", "web")
    balancer = account.balancer()
    url = f"http://{balancer['DNSName']}/"
    tasks = account.tasks("web")
    seen = account.who(url, 200)
    assert set(seen) == {identifier(task) for task in tasks}
    assert len(seen) == 2
    _, about = account.ask(url)
    assert about["headers"]["x-forwarded-for"] == "198.19.255.254"
    assert about["peer_address"] in account.node_addresses(balancer)
    for task in tasks:
        public = account.interface(task)["Association"]["PublicIp"]
        assert account.fails(f"http://{public}/") is Exit.TIMED_OUT, "only the load balancer's group is admitted"

    ill, well = (identifier(task) for task in tasks)
    account.instance.run("stand-in", ill, "--unhealthy")
    # ten checks must fail, then its service replaces it
    eventually(lambda: ill not in {identifier(task) for task in running(account.tasks("web"))}, "it goes", timeout=60)
    seen = account.who(url, 20)
    assert ill not in seen
    assert well in seen


def test_private_tasks_leave_by_the_nat_gateway_of_their_zone(account: Account) -> None:
    stack = account.deploy(f"{NATHANPECK}/fargate-networking-stacks/public-private-vpc.yml", "production")
    account.deploy(f"{NATHANPECK}/service-stacks/private-subnet-public-loadbalancer.yml", "nginx")
    ec2, url = account.client("ec2"), f"{stack['ExternalUrl']}/"
    tasks = account.tasks("nginx")
    assert set(account.who(url, 20)) == {identifier(task) for task in tasks}

    zones = {one["SubnetId"]: one["AvailabilityZone"] for one in ec2.describe_subnets()["Subnets"]}
    gateways = {
        zones[one["SubnetId"]]: one["NatGatewayAddresses"][0]["PublicIp"]
        for one in ec2.describe_nat_gateways()["NatGateways"]
    }
    places = {account.interface(task)["AvailabilityZone"]: place_of(task) for task in tasks}
    assert len(gateways) == len(places) == 2
    assert {zone: account.source_seen(place) for zone, place in places.items()} == gateways

    for table in ec2.describe_route_tables()["RouteTables"]:
        for route in table["Routes"]:
            if "NatGatewayId" in route:
                ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    assert [account.source_seen(place) for place in places.values()] == [None, None]
    assert set(account.who(url, 10)) == {identifier(task) for task in tasks}, "what comes in needs no way out"
    assert account.fails(f"http://{address(tasks[0])}/") is not None, "the internet has no way to a private address"


def test_an_internal_balancer_is_for_the_admitted_group_of_its_vpc(account: Account) -> None:
    stack = account.deploy(f"{NATHANPECK}/fargate-networking-stacks/public-private-vpc.yml", "production")
    account.deploy(f"{NATHANPECK}/service-stacks/private-subnet-private-loadbalancer.yml", "nginx")
    url = f"{stack['InternalUrl']}/"
    admitted = account.host(stack["PublicSubnetOne"], stack["FargateContainerSecurityGroup"])
    stranger = account.host(stack["PublicSubnetOne"])
    assert set(account.who(url, 20, admitted)) == {identifier(task) for task in account.tasks("nginx")}
    assert account.fails(url, stranger) is Exit.TIMED_OUT
    assert account.fails(url) is not None, "the internet gets private addresses, and has no way there"


def test_two_services_share_a_balancer_by_host_name(account: Account) -> None:
    """The cluster's template associates no capacity provider, and the service's asks for FARGATE: ECS wants that said
    first (PutClusterCapacityProviders)."""
    account.deploy(f"{WIDDIX}/vpc/vpc-2azs.yaml", "net")
    cluster = account.deploy(f"{WIDDIX}/fargate/cluster.yaml", "cluster", ParentVPCStack="net")
    service = f"{WIDDIX}/fargate/service-cluster-alb.yaml"

    def parameters(host: str, priority: int) -> dict[str, str]:
        return {
            "ParentVPCStack": "net",
            "ParentClusterStack": "cluster",
            "LoadBalancerHostPattern": host,
            "LoadBalancerPathPattern": "",
            "LoadBalancerPriority": str(priority),
            "DesiredCount": "1",
            "MinCapacity": "1",
        }

    words = account.refused(service, "early", **parameters("a.example", 1))
    assert "a capacity provider that is not associated with the cluster" in words
    account.client("ecs").put_cluster_capacity_providers(
        cluster=cluster["Cluster"], capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[]
    )
    for number, name in enumerate("ab", 1):
        account.deploy(service, name, **parameters(f"{name}.example", number))
    owners = {identifier(task): task["group"] for task in account.tasks()}

    def answered(host: str) -> str:
        status, about = account.ask(f"{cluster['URL']}/", Host=host)
        assert status == 200
        return owners[about["task"]].removeprefix("service:").partition("-")[0]

    assert [answered(host) for host in ("a.example", "b.example", "A.Example", "B.EXAMPLE")] == ["a", "b", "a", "b"]
    for host in ("c.example", "aa.example", "example"):
        reply = account.instance.curl(f"{cluster['URL']}/", headers={"Host": host})
        assert (reply.status, reply.body) == (404, b"default"), "the listener's default action"


@contextmanager
def application(account: Account, netns: str, port: int) -> Iterator[None]:
    """A server on the loopback of a task, as the second container of the pattern is: it maps no port."""

    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"application")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with account.instance.inside(netns):
        server = http.server.HTTPServer(("127.0.0.1", port), Hello)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_sidecar_reaches_its_application_by_the_tasks_loopback(account: Account) -> None:
    account.deploy(
        f"{PATTERNS}/nginx-reverse-proxy-sidecar-ecs-fargate-task/files/parent.yml",
        "sidecar",
        AppImageUrl="shop/app",
        NginxImageUrl="shop/nginx",
    )
    balancer = account.balancer()
    url = f"http://{balancer['DNSName']}/"
    one, other = account.tasks("web")
    assert set(account.who(url, 20)) == {identifier(one), identifier(other)}
    assert account.ask(url)[1]["container"] == "nginx", "the load balancer knows no other container"
    behind = f"{url}fetch?url=http://127.0.0.1:3000/"
    with application(account, place_of(one).netns, 3000):
        seen = {about["task"]: (status, about["fetch"]) for status, about in (account.ask(behind) for _ in range(10))}
    assert seen[identifier(one)][0] == 200
    assert seen[identifier(one)][1]["body"] == "application"
    assert seen[identifier(other)][0] == 502, "the loopback of another task"
    assert "Connect call failed" in seen[identifier(other)][1]["error"]

    subnet = account.interface(one)["SubnetId"]
    host = account.host(subnet)
    for port in (80, 3000):
        assert account.fails(f"http://{address(one)}:{port}/", host) is Exit.TIMED_OUT, "the task's group"

    account.instance.run("stand-in", identifier(one), "--container", "app", "--exit", "1")
    eventually(
        lambda: len({identifier(task) for task in running(account.tasks("web"))} - {identifier(one)}) == 2,
        "a task without its essential container is replaced",
        timeout=60,
    )
    (ended,) = account.client("ecs").describe_tasks(cluster=account.cluster, tasks=[one["taskArn"]])["tasks"]
    assert ended["stopCode"] == "EssentialContainerExited"


def test_microservices_meet_at_an_internal_balancer(account: Account) -> None:
    outputs = account.deploy(f"{MICROSERVICES}/master.yaml", "shop")
    elbv2 = account.client("elbv2")
    balancers = {one["Scheme"]: one for one in elbv2.describe_load_balancers()["LoadBalancers"]}
    public, private = outputs["PublicALBCNAME"], balancers["internal"]["DNSName"]
    (webapp,) = account.tasks("webapp")
    for path in ("/", "/resources/names"):
        status, about = account.ask(f"http://{public}{path}")
        assert (status, about["container"], about["path"]) == (200, "webapp", path)
    names, greeting = f"http://{private}:8082/resources/names", f"http://{private}:8081/resources/greeting"
    for url, container in ((names, "name"), (greeting, "Greeting")):
        status, got = account.fetch(place_of(webapp), 8080, url)
        assert (status, got["body"]["container"]) == (200, container)
        assert got["body"]["peer_address"] in account.node_addresses(balancers["internal"])

    assert account.fails(names) is not None, "the internet has no way to an internal load balancer"
    address_of_webapp = account.interface(webapp)["Association"]["PublicIp"]
    assert account.fails(f"http://{address_of_webapp}:8080/") is Exit.TIMED_OUT
    (name,) = account.tasks("name")
    around = f"http://{address(name)}:8082/resources/names"
    assert account.fails(around, place_of_balancer(balancers["internet-facing"])) is Exit.TIMED_OUT

    account.scale("name", 0)
    account.eventually_fetches(503, place_of(webapp), 8080, names)
    assert account.fetch(place_of(webapp), 8080, greeting)[1]["status"] == 200
    assert account.ask(f"http://{public}/")[0] == 200


def test_split_traffic_is_refused_because_its_services_name_a_port_that_the_container_does_not_map(
    account: Account,
) -> None:
    """The container maps 3000 and both services register 80, which ECS refuses; nothing of the stack is left."""
    found = account.scaffold()
    words = account.refused(
        f"{PATTERNS}/split-traffic-between-ec2-fargate-with-cloudformation/files/service-across-ec2-and-fargate.yml",
        "split",
        ImageURI="shop/metadata",
        Cluster=found["ClusterName"],
        Ec2CapacityProvider=found["CapacityProvider"],
        VpcId=found["VpcId"],
        SubnetIds=found["PublicSubnetIds"],
    )
    assert "The container ecs-metadata did not have a container port 80 defined." in words
    assert account.tasks() == []
    names = {one["DNSName"] for one in account.client("elbv2").describe_load_balancers()["LoadBalancers"]}
    assert names == {found["LoadBalancerName"]}, "only what was there before"
