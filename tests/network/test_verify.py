"""`ecsnet verify` on the storefront example: kernel and settings agree; a kernel that somebody changed is found out."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from ecsnet.agent.world import World
from ecsnet.fabric.kernel.naming import TABLE, router_namespace
from ecsnet.testing.instance import Instance
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "storefront"


@dataclass(frozen=True, slots=True)
class Storefront:
    instance: Instance
    vpc: str

    def verify(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.instance.run("verify", "--json", *arguments, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture(scope="module")
def shop(instance: Instance) -> Storefront:
    network = instance.deploy(EXAMPLE / "network.yaml", "storefront-network")
    instance.deploy(EXAMPLE / "app.yaml", "storefront")
    return Storefront(instance, network["VpcId"])


def cells(result: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(cell["from"], cell["to"], cell["service"]): cell for cell in result["matrix"]}


def test_all_agree_and_the_matrix_says_who_reaches_whom(shop: Storefront, tmp_path: Path) -> None:
    file = tmp_path / "verify.xml"
    result = shop.verify("--junit", str(file))
    assert (result["disagreements"], result["unclaimed"]) == ([], 0)
    assert result["services"] == ["tcp/5432", "tcp/80", "tcp/8080", "tcp/9"]
    assert result["probes"] == sum(sum(cell["outcomes"].values()) for cell in result["matrix"])
    found = cells(result)
    balancer = "load balancer storefront"
    assert found["the internet", balancer, "tcp/80"]["outcomes"] == {"reached": 2}
    assert found[balancer, "web", "tcp/80"]["outcomes"] == {"reached": 4}
    assert found["api", "database", "tcp/5432"]["outcomes"] == {"reached": 2}
    denied = found["web", "database", "tcp/5432"]
    assert (denied["outcomes"], denied["deciders"]) == ({"dropped": 2}, {"in storefront-database": 2})
    assert {key[2] for key, cell in found.items() if "refused" in cell["outcomes"]} == set(result["services"])
    suites = Xml.parse(file).getroot()
    assert (suites.get("tests"), suites.get("failures")) == (str(len(found)), "0")


def test_only_what_was_asked_for(shop: Storefront) -> None:
    result = shop.verify("--ports", "icmp,udp/53", "--vpc", shop.vpc)
    assert (result["services"], result["disagreements"]) == (["icmp", "udp/53"], [])
    assert shop.instance.run("verify", "--vpc", "nowhere", check=False).returncode == 4
    assert "443/tcp" in shop.instance.run("verify", "--ports", "web", check=False).stderr


def test_a_rule_deleted_behind_its_back_is_found_before_it_is_repaired(shop: Storefront, tmp_path: Path) -> None:
    """The agent repairs within seconds, which may be before the packets are sent; it is deleted again and again."""
    ec2 = shop.instance.client("ec2")
    filters = [{"Name": "group-name", "Values": ["storefront-web"]}]
    (group,) = (row["GroupId"] for row in ec2.describe_security_groups(Filters=filters)["SecurityGroups"])
    members = ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [group]}])["NetworkInterfaces"]
    address = members[0]["PrivateIpAddress"]
    delete = f"nft delete element inet {TABLE} m4_{group.removeprefix('sg-')} '{{ {address} }}'"
    meddle = f"while sleep 0.05; do {delete} 2>/dev/null && echo; done"
    inside = ["nsenter", f"--net=/run/netns/{router_namespace(shop.vpc)}", "--", "sh", "-c", meddle]
    command = World(shop.instance.home.path).enter_command(inside)
    file = tmp_path / "verify.xml"

    def found_out() -> subprocess.CompletedProcess[str] | None:
        done = shop.instance.run("verify", "--ports", "tcp/8080", "--junit", str(file), check=False)
        return done if done.returncode == 1 else None

    with subprocess.Popen(command, stdout=subprocess.PIPE) as meddler:
        try:
            assert meddler.stdout is not None
            meddler.stdout.readline()
            done = eventually(found_out, "the deleted element is found out", timeout=60)
        finally:
            meddler.kill()
    assert done is not None
    assert address in done.stdout
    assert members[1]["PrivateIpAddress"] not in done.stdout  # its equal, which lacks nothing
    assert "kernel: tcp/8080 was dropped: no inbound rule of storefront-api" in done.stdout
    assert "reach: reachable" in done.stdout
    cases = Xml.parse(file).getroot().iter("testcase")
    failures = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failures == ["to api tcp/8080"]

    def repaired() -> bool:
        return shop.instance.run("verify", "--ports", "tcp/8080", check=False).returncode == 0

    eventually(repaired, "the agent has repaired it", timeout=60)
