"""What people get wrong about the network modes, one test for each fact, with packets through the API.

Source: Amazon ECS Developer Guide, "Amazon ECS task networking options for EC2" and "… for Fargate"; API reference,
ContainerDefinition and PortMapping; Amazon EC2 User Guide, "Security group connection tracking".
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import botocore.exceptions
import pytest
from test_modes import CLUSTER, Fleet, bindings, client

from ecsnet.cli.dial import Place, dial
from ecsnet.cli.errors import CliError, Exit
from ecsnet.fabric.kernel.naming import instance_namespace
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

__all__ = ["client"]

INTERNET = "198.19.255.254"
"""The address of the machine on the internet side."""
FARGATE = {"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}
WORLD = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@pytest.fixture(scope="module")
def fleet(instance: Instance) -> Fleet:
    """One container instance, in a VPC whose subnet leads to the internet."""
    made = Fleet(instance)
    gateway = made.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    made.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=made.vpc)
    (table,) = made.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [made.vpc]}])["RouteTables"]
    made.ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    made.ec2.modify_subnet_attribute(SubnetId=made.subnet, MapPublicIpOnLaunch={"Value": True})
    return made


def listener(name: str, *ports: int) -> dict[str, Any]:
    """A container without any mapping whose process listens, and says its name to whoever connects."""
    script = (
        "import selectors, socket, sys\n"
        "ready = selectors.DefaultSelector()\n"
        "for port in map(int, sys.argv[2:]): ready.register(socket.create_server(('', port)), selectors.EVENT_READ)\n"
        "while True:\n"
        "    for key, _ in ready.select():\n"
        "        with key.fileobj.accept()[0] as peer:\n"
        "            peer.recv(4096)\n"
        "            peer.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + sys.argv[1].encode())\n"
    )
    return {
        "name": name,
        "entryPoint": ["python3", "-c", script, name],
        "command": [str(port) for port in ports],
        "dockerLabels": {"ecsnet.runtime": "process"},
    }


def mapped(name: str, port: int, **more: Any) -> dict[str, Any]:
    """A stand-in with one mapped port."""
    return {"name": name, "portMappings": [{"containerPort": port, **more}]}


def own(fleet: Fleet, *groups: str, **more: Any) -> dict[str, Any]:
    """The network configuration of a task with an interface of its own."""
    inner = {"subnets": [fleet.subnet], "securityGroups": list(groups or (fleet.group,)), **more}
    return {"networkConfiguration": {"awsvpcConfiguration": inner}}


def own_address(task: dict[str, Any]) -> str:
    (attachment,) = (one for one in task["attachments"] if one["type"] == "ElasticNetworkInterface")
    return next(str(item["value"]) for item in attachment["details"] if item["name"] == "privateIPv4Address")


def said(fleet: Fleet, url: str, place: Place) -> str:
    """What a `listener` says, once it listens."""

    def asked() -> str:
        try:
            return fleet.instance.curl(url, place=place).body.decode()
        except CliError as error:
            assert error.code is Exit.NO_CONNECTION, error.message  # noqa: PT017 (refused: not yet)
            return ""

    return eventually(asked, f"{url} answers")


def fetched(fleet: Fleet, task: dict[str, Any], container: str, port: int, url: str) -> dict[str, Any]:
    """What a stand-in gets for a URL, with its own resolver and hosts file."""
    asked = f"http://127.0.0.1:{port}/fetch?url={quote(url, safe='')}"
    found: dict[str, Any] = fleet.get(asked, fleet.place(task, container))["fetch"]
    return found


def instance_place(fleet: Fleet, task: dict[str, Any]) -> Place:
    """The container instance of a task."""
    (row,) = fleet.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[task["containerInstanceArn"]])[
        "containerInstances"
    ]
    return Place(netns=instance_namespace(row["ec2InstanceId"]), nameserver="10.80.0.2")


def test_localhost_is_shared_by_the_containers_of_a_task_in_awsvpc_and_host_and_not_in_bridge(fleet: Fleet) -> None:
    containers = (mapped("one", 7101), mapped("other", 7102))
    shares = {"bridge": False, "host": True, "awsvpc": True}
    for mode, shared in shares.items():
        options = own(fleet) if mode == "awsvpc" else {}
        task = fleet.run(fleet.define(f"localhost-{mode}", mode, *containers), **options)
        place = fleet.place(task, "one")
        assert fleet.get("http://127.0.0.1:7101/", place)["container"] == "one"
        if shared:
            assert fleet.get("http://127.0.0.1:7102/", place)["container"] == "other", mode
        else:
            assert fleet.refused("http://127.0.0.1:7102/", place), mode
        fleet.stop(task)


def test_host_tasks_share_one_loopback_with_each_other_and_with_the_daemons_of_their_instance(fleet: Fleet) -> None:
    one, other = (fleet.run(fleet.define(f"shared-{port}", "host", mapped("app", port))) for port in (7201, 7202))
    apart = fleet.run(fleet.define("apart", "bridge", mapped("app", 80)))
    assert fleet.get("http://127.0.0.1:7202/", fleet.place(one))["task"] == other["taskArn"].rpartition("/")[2]
    with fleet.instance.inside(instance_place(fleet, one).netns):
        daemon = socket.create_server(("127.0.0.1", 7203))
    with daemon:
        dial(fleet.instance.home, fleet.place(one), "127.0.0.1", 7203, timeout=20.0).close()
        with pytest.raises(CliError) as caught:
            dial(fleet.instance.home, fleet.place(apart), "127.0.0.1", 7203, timeout=20.0)
        assert caught.value.code is Exit.NO_CONNECTION
    fleet.stop(one, other, apart)


def test_two_containers_of_an_awsvpc_task_cannot_have_one_port_and_two_tasks_can(fleet: Fleet) -> None:
    """They share one interface and its port space: `eth0` has the address of the task."""
    first = listener("first", 7070)
    second = {**listener("second", 7070), "dependsOn": [{"containerName": "first", "condition": "START"}]}
    ended = fleet.run(fleet.define("clash", "awsvpc", first, second), "STOPPED", **own(fleet))
    assert ended["stopCode"] == "EssentialContainerExited"
    lost = [one["name"] for one in ended["containers"] if "Address already in use" in fleet.log(ended, one["name"])]
    assert len(lost) == 1
    opened = fleet.new_group("both", 7070)
    pair = [fleet.run(fleet.define("apart", "awsvpc", first), **own(fleet, opened)) for _ in range(2)]
    for here, there in (pair, pair[::-1]):
        place = fleet.place(here)
        assert said(fleet, f"http://{own_address(there)}:7070/", place) == "first"
        with fleet.instance.inside(place.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((own_address(there), 7070))
            assert probe.getsockname()[0] == own_address(here)
            assert [name for _, name in socket.if_nameindex()] == ["lo", "eth0"]
    fleet.stop(*pair)


def test_bridge_containers_of_two_tasks_reach_each_other_by_address_without_links_and_not_by_name(fleet: Fleet) -> None:
    server = fleet.run(fleet.define("quiet", "bridge", listener("quiet", 7070)))
    asker = fleet.run(fleet.define("asker", "bridge", mapped("asker", 80)))
    with fleet.instance.inside(fleet.place(server).netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("172.17.0.1", 9))
        address = probe.getsockname()[0]
    assert said(fleet, f"http://{address}:7070/", fleet.place(asker)) == "quiet"
    assert fetched(fleet, asker, "asker", 80, f"http://{address}:7070/")["body"] == "quiet"
    assert "error" in fetched(fleet, asker, "asker", 80, "http://quiet:7070/"), "a name needs a link"
    fleet.stop(server, asker)


@contextmanager
def listening_on_the_internet(fleet: Fleet, port: int) -> Iterator[socket.socket]:
    with fleet.instance.inside("internet"):
        made = socket.create_server((INTERNET, port))
    made.settimeout(20)
    with made:
        yield made


def test_an_awsvpc_task_on_an_instance_in_a_public_subnet_has_no_way_to_the_internet(fleet: Fleet) -> None:
    definition = fleet.define("public", "awsvpc", mapped("app", 80))
    words = "Assign public IP is not supported for this launch type."
    with pytest.raises(botocore.exceptions.ClientError, match=words):
        fleet.run(definition, **own(fleet, assignPublicIp="ENABLED"))
    task = fleet.run(definition, **own(fleet))
    reply = fleet.ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=fleet.define("public-fargate", "awsvpc", mapped("app", 80), **FARGATE),
        launchType="FARGATE",
        **own(fleet, assignPublicIp="ENABLED"),
    )
    fargate = fleet.wait(reply["tasks"][0]["taskArn"], "RUNNING")
    with listening_on_the_internet(fleet, 8443) as server:
        with pytest.raises(CliError) as caught:
            dial(fleet.instance.home, fleet.place(task), INTERNET, 8443, timeout=0.7)
        assert caught.value.code is Exit.TIMED_OUT
        dial(fleet.instance.home, fleet.place(fargate), INTERNET, 8443, timeout=20.0).close()
        connection, (peer, _) = server.accept()
        connection.close()
    (found,) = fleet.ec2.describe_network_interfaces(Filters=[{"Name": "association.public-ip", "Values": [peer]}])[
        "NetworkInterfaces"
    ]
    assert found["PrivateIpAddress"] == own_address(fargate)
    fleet.stop(task, fargate)


def test_the_group_of_an_instance_governs_bridge_tasks_and_never_awsvpc_tasks(
    fleet: Fleet, client: dict[str, Any]
) -> None:
    shut = fleet.new_group("nobody")
    task = fleet.run(fleet.define("own-group", "awsvpc", mapped("app", 8080)), **own(fleet, shut))
    bridge = fleet.run(fleet.define("its-group", "bridge", mapped("app", 80, hostPort=8080)))
    place = fleet.place(client)
    assert fleet.get(f"http://{fleet.address(bridge)}:8080/", place)["container"] == "app"
    assert fleet.silent(f"http://{own_address(task)}:8080/", place)
    fleet.ec2.authorize_security_group_ingress(
        GroupId=shut, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, **WORLD}]
    )
    assert fleet.get(f"http://{own_address(task)}:8080/", place)["mode"] == "awsvpc"
    fleet.stop(task, bridge)


def test_a_port_mapping_opens_nothing_in_awsvpc_and_host(fleet: Fleet, client: dict[str, Any]) -> None:
    """Who listens is reached at any port that the group opens; a mapped port without a listener resets."""
    opened = fleet.new_group("range", 7070, 7071)
    silent = {**listener("app", 7070), "portMappings": [{"containerPort": 7071}]}
    task = fleet.run(fleet.define("unlisted", "awsvpc", silent), **own(fleet, opened))
    place = fleet.place(client)
    assert said(fleet, f"http://{own_address(task)}:7070/", place) == "app"
    assert fleet.refused(f"http://{own_address(task)}:7071/", place)
    host = fleet.run(
        fleet.define("unlisted-host", "host", {**listener("app", 9090), "portMappings": [{"containerPort": 8080}]})
    )
    assert said(fleet, f"http://{fleet.address(host)}:9090/", place) == "app"
    assert fleet.refused(f"http://{fleet.address(host)}:8080/", place)
    fleet.stop(task, host)


def test_dynamic_host_ports_come_from_the_range_of_their_instance(fleet: Fleet) -> None:
    task = fleet.run(fleet.define("dynamic", "bridge", mapped("app", 80)))
    with fleet.instance.inside(instance_place(fleet, task).netns):
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    (binding,) = bindings(task, "app")
    assert low <= binding["hostPort"] <= high
    fleet.stop(task)

    machine = fleet.machine("echo ECS_DYNAMIC_HOST_PORT_RANGE=41000-41002 >> /etc/ecs/ecs.config\n")
    there = {"placementConstraints": [{"type": "memberOf", "expression": f"ec2InstanceId == {machine}"}]}
    three = [fleet.run("dynamic", **there) for _ in range(3)]
    assert {bindings(one, "app")[0]["hostPort"] for one in three} == {41000, 41001, 41002}
    for one in three:
        url = f"http://{fleet.address(one)}:{bindings(one, 'app')[0]['hostPort']}/"
        assert fleet.get(url, instance_place(fleet, one))["task"] == one["taskArn"].rpartition("/")[2]
    fourth = fleet.run("dynamic", "STOPPED", **there)
    assert "RESOURCE:PORTS" in fourth["stoppedReason"], "no port of the range is left"
    fleet.stop(*three)


def test_a_rule_for_a_group_gives_no_name_to_its_tasks(fleet: Fleet) -> None:
    """A service has no name of its own; the private name of an interface needs the two DNS attributes of its VPC."""
    friends = fleet.new_group("friends")
    fleet.ec2.authorize_security_group_ingress(
        GroupId=friends,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": friends}]}],
    )
    definition = fleet.define("shop", "awsvpc", mapped("shop", 80))
    one, other = (fleet.run(definition, **own(fleet, friends)) for _ in range(2))
    address = own_address(other)
    assert fetched(fleet, one, "shop", 80, f"http://{address}/")["status"] == 200
    private = f"ip-{address.replace('.', '-')}.ec2.internal"
    for name in ("shop", "shop.ec2.internal", private):
        assert "error" in fetched(fleet, one, "shop", 80, f"http://{name}/"), name
    fleet.ec2.modify_vpc_attribute(VpcId=fleet.vpc, EnableDnsHostnames={"Value": True})
    assert fetched(fleet, one, "shop", 80, f"http://{private}/")["resolved"] == [address]
    assert "error" in fetched(fleet, one, "shop", 80, "http://shop/")
    fleet.ec2.modify_vpc_attribute(VpcId=fleet.vpc, EnableDnsHostnames={"Value": False})
    fleet.stop(one, other)


def exchange(stream: socket.socket) -> bytes:
    stream.sendall(b"GET / HTTP/1.1\r\nHost: tracked\r\n\r\n")
    return stream.recv(65536).split(b"\r\n")[0]


def test_a_removed_rule_spares_live_connections_and_stops_new_ones_in_every_mode(
    fleet: Fleet, client: dict[str, Any]
) -> None:
    guard = fleet.new_group("guard", 8080)
    bridge = fleet.run(fleet.define("flow-bridge", "bridge", mapped("app", 80, hostPort=8080)))
    task = fleet.run(fleet.define("flow-awsvpc", "awsvpc", mapped("app", 8080)), **own(fleet, guard))
    for address, group in ((fleet.address(bridge), fleet.group), (own_address(task), guard)):
        rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "IpRanges": [{"CidrIp": "10.80.0.0/16"}]}
        with dial(fleet.instance.home, fleet.place(client), address, 8080, timeout=20.0) as live:
            assert b"200" in exchange(live)
            fleet.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
            assert fleet.silent(f"http://{address}:8080/", fleet.place(client))
            assert b"200" in exchange(live)
        fleet.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        assert fleet.get(f"http://{address}:8080/", fleet.place(client))["container"] == "app"
    fleet.stop(bridge, task)


def test_service_connect_is_refused_because_it_is_not_built(fleet: Fleet) -> None:
    """No DNS name may pass for it: names of Service Connect are in hosts files, with a proxy behind them."""
    with pytest.raises(botocore.exceptions.ClientError, match="serviceConnectConfiguration"):
        fleet.ecs.create_service(
            cluster=CLUSTER,
            serviceName="connected",
            taskDefinition=fleet.define("connected", "awsvpc", mapped("app", 80)),
            desiredCount=1,
            launchType="EC2",
            serviceConnectConfiguration={"enabled": True, "namespace": "shop"},
            **own(fleet),
        )
    found = fleet.ecs.describe_services(cluster=CLUSTER, services=["connected"])
    assert [one["reason"] for one in found["failures"]] == ["MISSING"]


def test_a_peer_without_a_rule_is_rejected_at_the_interface_of_the_task(fleet: Fleet, client: dict[str, Any]) -> None:
    """The flow log of the receiver says so, and that the admitted peer was accepted."""
    guard = fleet.new_group("logged", 8080)
    task = fleet.run(fleet.define("logged", "awsvpc", mapped("a", 8080), mapped("b", 7001)), **own(fleet, guard))
    (found,) = fleet.ec2.describe_network_interfaces(
        Filters=[{"Name": "addresses.private-ip-address", "Values": [own_address(task)]}]
    )["NetworkInterfaces"]
    log = fleet.ec2.create_flow_logs(
        ResourceIds=[found["NetworkInterfaceId"]],
        ResourceType="NetworkInterface",
        TrafficType="ALL",
        LogDestinationType="local-file",
        LogFormat="${interface-id} ${srcaddr} ${dstport} ${action} ${flow-direction}",
        MaxAggregationInterval=60,
    )["FlowLogIds"][0]
    address, place = own_address(task), fleet.place(client)
    assert fleet.get(f"http://{address}:8080/", place)["container"] == "a"
    assert fleet.silent(f"http://{address}:7001/", place)
    assert fleet.get("http://127.0.0.1:7001/", fleet.place(task, "a"))["container"] == "b"
    path = fleet.instance.home.path / "flow-logs" / f"{log}.log"
    here = (found["NetworkInterfaceId"], own_address(client))
    wanted = {(*here, "8080", "ACCEPT", "ingress"), (*here, "7001", "REJECT", "ingress")}

    def written() -> bool:
        return path.exists() and wanted <= {tuple(line.split()) for line in path.read_text().splitlines()}

    eventually(written, "both are in the flow log")
    fleet.stop(task)


def test_a_second_copy_is_refused_by_placement_when_mapped_and_by_the_kernel_when_not(fleet: Fleet) -> None:
    """In host mode; in bridge mode a fixed host port is the same matter of placement, and links give names."""
    machine = fleet.machine()
    there = {"placementConstraints": [{"type": "memberOf", "expression": f"ec2InstanceId == {machine}"}]}
    first = fleet.run(fleet.define("mapped-host", "host", mapped("app", 7301)), **there)
    fixed = fleet.define("fixed", "bridge", mapped("app", 80, hostPort=7301))
    for definition in ("mapped-host", fixed):
        reply = fleet.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2", **there)
        assert "RESOURCE:PORTS" in {one["reason"] for one in reply["failures"]}
        assert reply["tasks"] == []
    unmapped = fleet.run(fleet.define("unmapped-host", "host", listener("app", 7301)), "STOPPED", **there)
    assert unmapped["stopCode"] == "EssentialContainerExited"
    assert "Address already in use" in fleet.log(unmapped)
    assert fleet.get("http://127.0.0.1:7301/", fleet.place(first))["mode"] == "host", "the first one goes on"

    web = {**mapped("web", 80), "links": ["api:backend"]}
    linked = fleet.run(fleet.define("linked", "bridge", web, mapped("api", 80)), **there)
    assert fetched(fleet, linked, "web", 80, "http://backend/")["body"]["container"] == "api"
    assert "error" in fetched(fleet, linked, "api", 80, "http://web/"), "links go one way"
    fleet.stop(first, linked)
