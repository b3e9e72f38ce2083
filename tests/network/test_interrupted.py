"""An agent that is killed between any two steps of making or removing a task's network leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from sandbox import command, sandboxed

from ecsnet.agent.converge import Converge
from ecsnet.agent.drivers.link import Links
from ecsnet.agent.drivers.netns import NamespaceDriver
from ecsnet.agent.drivers.network import NetworkDriver
from ecsnet.agent.drivers.nft import NftDriver
from ecsnet.agent.libnftables import NftContext
from ecsnet.agent.namespaces import NamespaceFiles, write_sysctls
from ecsnet.agent.netlink import Netlink
from ecsnet.hostplan.kernel import Address, Link, LinkEnd, Namespace, NftElement, NftSet, NftTable, Route
from ecsnet.hostplan.messages import Applied, Sync
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.testing.waiting import eventually

pytestmark = [pytest.mark.network, pytest.mark.slow]

LINES: frozenset[CodeType] = frozenset(
    function.__code__ for function in (NamespaceFiles.create, NamespaceFiles.delete, Links._create_one, Links._finish)
)
CALLS: frozenset[CodeType] = frozenset(
    function.__code__ for function in (Netlink._execute, NftContext.run, write_sysctls, Path.write_bytes)
)
"""An agent may be killed before each of these lines and calls: everywhere where it changes the machine."""

FIRST, SECOND = Namespace(name="r1", owner="vpc"), Namespace(name="r2", owner="instance")
TABLE = NftTable(netns="r1", family="inet", name="ecs", owner="vpc")
MEMBERS = NftSet(netns="r1", family="inet", table="ecs", name="members", type="ipv4_addr")
LASTING: tuple[HostObjectUnion, ...] = (FIRST, SECOND, TABLE, MEMBERS)


def _link(name: str, to: str, number: int) -> Link:
    ends = (("r1", name, 2 * number), (to, "eth0", 2 * number + 1))
    a, b = (LinkEnd(netns=netns, name=end, mac=f"02:00:00:00:00:{last:02x}") for netns, end, last in ends)
    return Link(a=a, b=b, mtu=1500, owner="eni")


def _task() -> tuple[HostObjectUnion, ...]:
    """What comes and goes: a namespace with its link, and a link between two namespaces that stay."""
    own, lasting = _link("e1", "t1", 1), _link("e2", "r2", 2)
    return (
        Namespace(name="t1", owner="task", sysctls=(("net/ipv4/ip_forward", "1"),)),
        own,
        lasting,
        Address(netns="t1", link="eth0", address="10.0.0.5/24", via=own.key),
        Route(netns="r1", destination="10.0.0.5/32", link="e1", via=own.key),
        NftElement(netns="r1", family="inet", table="ecs", set="members", element="10.0.0.5"),
    )


EVERYTHING = (*LASTING, *_task())


def converge(objects: Sequence[HostObjectUnion]) -> Applied:
    """A new agent's life: it looks, and leads the machine to `objects`."""
    files = NamespaceFiles()
    drivers = (NamespaceDriver(files), NetworkDriver(files), NftDriver(files))
    life = Converge(drivers, time.monotonic)
    life.sync(Sync(revision=1, speed=1.0, objects=tuple(objects)))
    applied = life.tick()
    assert applied is not None
    for driver in drivers:
        driver.close()
    return applied


def killed_before_step(number: int, body: Callable[[], object]) -> bool:
    """Run `body` in a process that kills itself before a step; false when it has fewer steps than that."""
    child = os.fork()
    if child == 0:
        passed = 0

        def each(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
            nonlocal passed
            if (event == "line" and frame.f_code in LINES) or (event == "call" and frame.f_code in CALLS):
                if passed == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed += 1
            return each if frame.f_code in LINES else None

        sys.settrace(each)
        body()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def machine() -> str:
    """Everything there is, without the numbers that the kernel gives out."""
    return command("sh", "-c", LISTING)


LISTING = """
ls /run/netns /run/ecsnet/netns
for name in $(ls /run/netns); do
    echo "$name"
    ip -n "$name" -br link | sed 's/@.*//' | sort
    ip -n "$name" route show table all | sort
done
nsenter --net=/run/netns/r1 nft list ruleset
"""


@pytest.mark.parametrize("then", [LASTING, EVERYTHING], ids=["gone", "there"])
@pytest.mark.parametrize(
    ("before", "doing"), [(LASTING, EVERYTHING), (EVERYTHING, LASTING)], ids=["making", "removing"]
)
@sandboxed
def test_the_next_agent_finds_what_a_killed_one_had_half_done(
    before: Sequence[HostObjectUnion], doing: Sequence[HostObjectUnion], then: Sequence[HostObjectUnion]
) -> None:
    assert not converge(then).failures
    wanted = machine()
    number = 0
    while True:
        assert not converge(before).failures
        if not killed_before_step(number, lambda: converge(doing)):
            break
        assert not converge(then).failures, number
        # the kernel takes the links of a namespace away a moment after the namespace
        with suppress(AssertionError):
            eventually(lambda: machine() == wanted, "the machine is as wanted")
        assert machine() == wanted, f"killed before step {number}"
        number += 1
    print(number, "steps")
    assert number > 10
