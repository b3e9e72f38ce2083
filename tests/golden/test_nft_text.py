"""The packet filters of a small VPC as text: reviewed by people, loaded by nft itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import rows
from render import nft_text, plan_text

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject
from ecsnet.model import tables as t
from ecsnet.model.capacity import NetworkBinding
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store

HERE = Path(__file__).parent
NAMESPACES = {
    "router": naming.router_namespace(rows.VPC),
    "internet_gateway": naming.gateway_namespace(rows.IGW),
    "nat_gateway": naming.nat_gateway_namespace(rows.identifier("nat", 1)),
}


@pytest.fixture(scope="module")
def plan() -> tuple[HostObject, ...]:
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
    planner = Planner()
    planner.apply(Engine(FRAGMENTS).start(store.snapshot))
    return planner.all()


def _compare(name: str, text: str) -> None:
    """Compare with the committed file; `ECSNET_UPDATE_GOLDEN=1 pytest tests/golden` writes it anew for review."""
    path = HERE / name
    if os.environ.get("ECSNET_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"{name} differs; if that is wanted, run with ECSNET_UPDATE_GOLDEN=1 and review"


@pytest.mark.parametrize("name", NAMESPACES)
def test_packet_filter_of_the_storefront(plan: tuple[HostObject, ...], name: str) -> None:
    _compare(f"storefront.{name}.nft", nft_text(plan, NAMESPACES[name]))


def test_links_addresses_and_routes_of_the_storefront(plan: tuple[HostObject, ...]) -> None:
    _compare("storefront.plan.txt", plan_text(plan))


@pytest.fixture(scope="module")
def machine() -> str:
    """The packet filter of an instance with a bridge task of two containers."""
    store = Store(None, SCHEMA)
    bindings = (
        NetworkBinding(container="web", container_port=80, host_port=8080),
        NetworkBinding(container="dns", container_port=53, host_port=32768, protocol="udp", length=2, ranged=True),
    )
    task = rows.instance_task(1, 1, "bridge", ("web", "dns"), addresses=("172.17.0.2", "172.17.0.3"), bindings=bindings)
    with store.transaction() as tx:
        tx.put(t.INSTANCES, rows.instance(1))
        tx.put(t.CONTAINER_INSTANCES, rows.container_instance(1, 1))
        tx.put(t.TASKS, task)
    planner = Planner()
    planner.apply(Engine(FRAGMENTS).start(store.snapshot))
    return nft_text(planner.all(), naming.instance_namespace(rows.identifier("i", 1)))


def test_packet_filter_of_a_container_instance(machine: str) -> None:
    _compare("machine.nft", machine)


@pytest.mark.network
def test_nft_accepts_the_text_of_a_container_instance(machine: str) -> None:
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    done = subprocess.run([*unshare, "nft", "-f", "-"], input=machine, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.network
@pytest.mark.parametrize("name", NAMESPACES)
def test_nft_accepts_the_text_and_keeps_every_rule_and_element(plan: tuple[HostObject, ...], name: str) -> None:
    text = nft_text(plan, NAMESPACES[name])
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    done = subprocess.run(
        [*unshare, "sh", "-c", "nft -f - && nft -a list ruleset"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for comment in {word for word in text.split('"') if word.startswith(("sgr-", "acl-", "eni-"))}:
        assert f'comment "{comment}"' in done.stdout


@pytest.mark.network
def test_nft_refuses_a_wrong_text() -> None:
    """The machine of this test really checks."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    text = "table inet ecs {\n chain c {\n  ip saddr 10.0.0.300 accept\n }\n}\n"
    done = subprocess.run([*unshare, "nft", "-f", "-"], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
