"""`ecsnet probe` and `ecsnet capture`, as a user types them, against tasks, gateways and a load balancer."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecsnet.agent.packet import ACK, SYN, parse
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network]

CLIENT = "198.19.255.254"


class Shop:
    """VPC 10.60.0.0/16: `web` in a public subnet, admits port 80 from everywhere; `db` in a private one, admits web."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        ec2, ecs = instance.client("ec2"), instance.client("ecs")
        self.vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
        self.public, self.private = (
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.60.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)
        )
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway)
        ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.public)
        self.groups = {
            name: ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
            for name in ("web", "db")
        }
        self.rules = {
            "web": self._admit("web", {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, 80, 81),
            "db": self._admit("db", {"UserIdGroupPairs": [{"GroupId": self.groups["web"]}]}, 5432, 5433),
        }
        ecs.create_cluster(clusterName="shop")
        self.tasks = {
            "web": self._task("web", self.public, 80, public=True),
            "db": self._task("db", self.private, 5432),
        }

    def _admit(self, name: str, peer: dict[str, Any], first: int, last: int) -> str:
        permission = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, **peer}
        reply = self.instance.client("ec2").authorize_security_group_ingress(
            GroupId=self.groups[name], IpPermissions=[permission]
        )
        return str(reply["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def _task(self, name: str, subnet: str, port: int, *, public: bool = False) -> dict[str, str]:
        ecs = self.instance.client("ecs")
        ecs.register_task_definition(
            family=name,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "app", "image": "absent", "portMappings": [{"containerPort": port}]}],
        )
        network = {
            "subnets": [subnet],
            "securityGroups": [self.groups[name]],
            "assignPublicIp": "ENABLED" if public else "DISABLED",
        }
        arn = ecs.run_task(
            cluster="shop",
            taskDefinition=name,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
        )["tasks"][0]["taskArn"]

        def running() -> dict[str, Any] | None:
            task: dict[str, Any] = ecs.describe_tasks(cluster="shop", tasks=[arn])["tasks"][0]
            return task if task["lastStatus"] == "RUNNING" else None

        task = eventually(running, "the task runs", timeout=60) or {}
        details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
        return {"id": arn.rpartition("/")[2], "eni": details["networkInterfaceId"], "ip": details["privateIPv4Address"]}

    def probe(self, source: str, destination: str, port: str, code: int) -> dict[str, Any]:
        """`ecsnet probe --json`; `code` is the expected exit code."""
        done = self.instance.run("probe", source, destination, port, "--json", check=False)
        assert done.returncode == code, done.stdout + done.stderr
        verdict: dict[str, Any] = json.loads(done.stdout)
        return verdict


@pytest.fixture(scope="module")
def shop(instance: Instance) -> Shop:
    return Shop(instance)


def test_reached_and_by_which_rules(shop: Shop) -> None:
    web, db = shop.tasks["web"], shop.tasks["db"]
    verdict = shop.probe(web["id"], db["id"], "5432/tcp", 0)
    assert verdict["verdict"] == "reached"
    assert verdict["accepted"][-1] == shop.rules["db"]
    assert len(verdict["accepted"]) == 2
    text = shop.instance.run("probe", web["id"], db["ip"], "5432").stdout
    assert text.startswith("reached: tcp/5432 reached task")
    assert shop.rules["db"] in text


def test_refused_by_a_closed_port(shop: Shop) -> None:
    verdict = shop.probe(shop.tasks["web"]["id"], shop.tasks["db"]["id"], "5433/tcp", 1)
    assert verdict["verdict"] == "refused"
    assert "nothing listens" in verdict["sentence"]


def test_dropped_by_a_group(shop: Shop) -> None:
    web, db = shop.tasks["web"], shop.tasks["db"]
    verdict = shop.probe(web["id"], db["id"], "22/tcp", 1)
    assert (verdict["verdict"], verdict["rule"]) == ("dropped", db["eni"])
    assert "no inbound rule of db (sg-" in verdict["sentence"]
    assert db["eni"] in verdict["where"]
    back = shop.probe(db["id"], web["eni"], "443/tcp", 1)
    assert back["rule"] == web["eni"]


def test_dropped_by_a_network_acl_on_the_way_back(shop: Shop) -> None:
    ec2 = shop.instance.client("ec2")
    acl = ec2.create_network_acl(VpcId=shop.vpc)["NetworkAcl"]["NetworkAclId"]
    for egress, number, action in ((False, 100, "allow"), (True, 90, "deny"), (True, 100, "allow")):
        ec2.create_network_acl_entry(
            NetworkAclId=acl,
            Egress=egress,
            RuleNumber=number,
            RuleAction=action,
            Protocol="-1",
            CidrBlock=f"{shop.tasks['web']['ip']}/32" if number == 90 else "0.0.0.0/0",
        )
    standing = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [shop.private]}])
    association = next(item for item in standing["NetworkAcls"][0]["Associations"] if item["SubnetId"] == shop.private)
    moved = ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)
    verdict = shop.probe(shop.tasks["web"]["id"], shop.tasks["db"]["id"], "5432/tcp", 1)
    ec2.replace_network_acl_association(
        AssociationId=moved["NewAssociationId"], NetworkAclId=standing["NetworkAcls"][0]["NetworkAclId"]
    )
    assert (verdict["rule"], verdict["direction"]) == (f"{acl}/out/90", "reply")
    assert "on its way back" in verdict["sentence"]


def test_routes_and_gateways(shop: Shop) -> None:
    web, db = shop.tasks["web"], shop.tasks["db"]
    assert shop.probe("internet", web["id"], "80/tcp", 0)["accepted"] == [shop.rules["web"]]
    assert shop.probe("internet", web["id"], "443/tcp", 1)["rule"] == web["eni"]
    lost = shop.probe(db["id"], "internet", "80/tcp", 1)
    main = next(
        table["RouteTableId"]
        for table in shop.instance.client("ec2").describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [shop.vpc]}, {"Name": "association.main", "Values": ["true"]}]
        )["RouteTables"]
    )
    assert lost["rule"] == f"{main} no route"
    assert main in lost["sentence"]
    nobody = shop.probe(web["id"], "10.60.9.9", "80/tcp", 1)
    assert nobody["rule"] == f"{shop.table} 10.60.0.0/16 local"
    assert "no interface of" in nobody["sentence"]
    assert shop.probe("internet", db["ip"], "5432/tcp", 1)["rule"] == "no route"


def test_errors_help(shop: Shop) -> None:
    web = shop.tasks["web"]["id"]
    wrong = shop.instance.run("probe", web, "nobody", "80/tcp", check=False)
    assert wrong.returncode == 4
    assert "nobody" in wrong.stderr
    port = shop.instance.run("probe", web, web, "http", check=False)
    assert port.returncode == 2
    assert "443/tcp" in port.stderr
    assert shop.instance.run("why", web, web, "99999/tcp", check=False).returncode == 2


def packets(file: Path) -> list[bytes]:
    """The packets of a pcap file, from their IP header on."""
    data, at, found = file.read_bytes(), 24, []
    while at < len(data):
        length = struct.unpack_from("=I", data, at + 8)[0]
        found.append(data[at + 16 + 14 : at + 16 + length])
        at += 16 + length
    return found


@contextmanager
def killed_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """A test that fails waits for nobody."""
    try:
        yield
    finally:
        process.kill()


@pytest.mark.parametrize("end", ["count", "ctrl-c"])
def test_capture(shop: Shop, tmp_path: Path, end: str) -> None:
    file = tmp_path / "web.pcap"
    arguments = ["capture", shop.tasks["db"]["eni"], "-w", str(file), *(["-c", "3"] if end == "count" else [])]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "ecsnet.cli.main", *arguments],
            env=shop.instance.environment,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        ) as process,
        killed_at_last(process),
    ):
        eventually(lambda: file.exists() and file.stat().st_size >= 24, "capturing has begun", timeout=60)
        shop.probe(shop.tasks["web"]["id"], shop.tasks["db"]["id"], "5432/tcp", 0)
        eventually(lambda: len(packets(file)) >= 3, "three packets", timeout=60)
        if end == "ctrl-c":
            subprocess.run(["kill", "-INT", "--", f"-{process.pid}"], check=True)
        _, words = process.communicate(timeout=60)
        assert process.returncode == 0, words
    seen = [packet for data in packets(file) if (packet := parse(data)) is not None]
    assert [packet.flags for packet in seen[:2]] == [SYN, SYN | ACK]
    assert seen[0].destination_port == 5432
    assert f"{len(seen)} packets" in words
