"""What a VPC costs as it grows: 1,000 and 10,000 interfaces with 5 groups each, 60 rules in every group.

Three VPCs in one world (`wide.Wide`): 10 interfaces, 1,000, and 10,000, of which the first 1,000 have links; of the
other 9,000 the rules, sets and chains are in the router's kernel, and namespaces, links and routes are only planned.
All that is compared runs in alternating rounds. As root everything measured runs under SCHED_FIFO, so that what else
the machine does disturbs less. Works as root only (it stands inside namespaces of the world to send packets).

`python bench/vpc.py [--few 10] [--some 1000] [--many 10000] [--quick]`
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from describe import describes
from ecsnet.agent.drivers.nft import NFT_OBJECT
from ecsnet.hostplan.kernel import NftElement
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.model import tables as t
from ecsnet.testing.world import TestWorld, throw_away_world
from growth import growth
from harness import resident, summary, write
from network import connections, throughput
from wide import Lab, Wide, rows

LINKED = 1_000
"""Interfaces of one VPC that get namespaces and links."""
BATCH = 250
CHANGES = 200
ROUNDS = 21
PACKETS = 30_000
LIMITS_MS = {1_000: 10.0, 10_000: 20.0}
PAUSE = 0.5
"""Of the time that a change took: the kernel stops a core's SCHED_FIFO for 50 ms in every second when it is never idle
(sched_rt_runtime_us), and that would be the p99."""
REAL_TIME = ["chrt", "-f", "1"]

Command = Callable[[list[str]], list[str]]


def hurry(pid: int) -> None:
    """Let all threads of a process run before everything of ordinary priority."""
    subprocess.run(["chrt", "-a", "-f", "-p", "1", str(pid)], check=True, stdout=subprocess.DEVNULL)


def load(net: TestWorld, lab: Lab, wide: Wide) -> dict[str, Any]:
    """From nothing to in force, in batches of 250 interfaces as one transaction each."""
    began = time.perf_counter()
    wide.put_network(lab.store)
    lab.flush()
    network = time.perf_counter() - began
    compiled, applied = 0.0, 0.0
    for start in range(1, wide.interfaces + 1, BATCH):
        before = time.perf_counter()
        wide.put_interfaces(lab.store, start, min(start + BATCH - 1, wide.interfaces))
        put, remove = lab.pending()
        planned = time.perf_counter()
        net.apply(put if start <= LINKED else filters_alone(put), remove)
        compiled += planned - before
        applied += time.perf_counter() - planned
    return {
        "interfaces": wide.interfaces,
        "groups": wide.groups,
        "rules": wide.groups * (1 + 60),
        "seconds": {
            "groups and rules": round(network, 2),
            "interfaces: rows, compile, plan": round(compiled, 2),
            "interfaces: agent and kernel": round(applied, 2),
            "in all": round(time.perf_counter() - began, 2),
        },
    }


def filters_alone(put: list[HostObjectUnion]) -> list[HostObjectUnion]:
    """The packet filter's objects, which no longer wait for links and routes."""
    return [
        msgspec.structs.replace(item, after=()) if isinstance(item, NftElement) else item
        for item in put
        if isinstance(item, NFT_OBJECT)
    ]


def changes(net: TestWorld, lab: Lab, wide: Wide, count: int) -> dict[str, Any]:
    """A rule comes and goes, each time in another group: from the transaction to the agent's word that it is in force.

    A rule more makes the kernel look through the whole table, a rule less does not.
    """
    planned, whole = [], []
    gc.collect()
    gc.freeze()
    extra = rows.identifier("sgr", 0xFFFFFF)
    for number in range(count):
        group = wide.first + 1 + number // 2 % wide.groups
        began = time.perf_counter()
        with lab.store.transaction() as tx:
            if number % 2:
                tx.delete(t.GROUP_RULES, extra)
            else:
                tx.put(t.GROUP_RULES, rows.rule(0xFFFFFF, group, ports=(9000, 9000), cidr="10.9.0.0/16"))
        put, remove = lab.pending()
        middle = time.perf_counter()
        net.apply(put, remove)
        whole.append((time.perf_counter() - began) * 1000)
        planned.append((middle - began) * 1000)
        time.sleep((time.perf_counter() - began) * PAUSE)
    gc.unfreeze()
    found = {
        "interfaces": wide.interfaces,
        "milliseconds": summary(whole),
        "of these rows, compile, plan": summary(planned),
        "a rule more": summary(whole[::2]),
        "a rule less": summary(whole[1::2]),
    }
    limit = LIMITS_MS.get(wide.interfaces)
    if limit is not None:
        found["target"] = f"p99 ≤ {limit} ms: {'met' if found['milliseconds']['p99'] <= limit else 'NOT MET'}"
    return found


def comings(net: TestWorld, lab: Lab, wide: Wide, count: int) -> dict[str, Any]:
    """One more interface comes and goes, its groups known: from the transaction to the agent's word that its filter is
    in force. Links and namespaces, whose cost the network's size does not change, are left out.
    """
    index = wide.interfaces + 1
    more, less = [], []
    gc.collect()
    gc.freeze()
    for _ in range(count):
        began = time.perf_counter()
        wide.put_interfaces(lab.store, index, index)
        put, remove = lab.pending()
        net.apply(filters_alone(put), remove)
        middle = time.perf_counter()
        wide.drop_interface(lab.store, index)
        put, remove = lab.pending()
        net.apply(filters_alone(put), [key for key in remove if key.startswith("nft-")])
        ended = time.perf_counter()
        more.append((middle - began) * 1000)
        less.append((ended - middle) * 1000)
        time.sleep((ended - began) * PAUSE)
    gc.unfreeze()
    return {"interfaces": wide.interfaces, "an interface more": summary(more), "an interface less": summary(less)}


def inside(net: TestWorld, netns: str) -> Command:
    return lambda command: net.world.enter_command(["nsenter", f"--net=/run/netns/{netns}", "--", *REAL_TIME, *command])


def data_path(net: TestWorld, wides: list[Wide], rounds: int) -> dict[str, Any]:
    """Throughput and new connections across subnets in each VPC, in alternating rounds; ratios of the medians."""
    gbits: dict[str, list[float]] = {str(wide.interfaces): [] for wide in wides}
    rates: dict[str, list[float]] = {str(wide.interfaces): [] for wide in wides}
    for number in range(rounds):
        for wide in wides if number % 2 else wides[::-1]:
            sender, receiver = wide.pair
            server, client = inside(net, wide.netns(receiver)), inside(net, wide.netns(sender))
            gbits[str(wide.interfaces)].append(throughput(server, client, wide.address(receiver)))
            rates[str(wide.interfaces)].append(connections(server, client, wide.address(receiver))["per_second"])
    few = str(wides[0].interfaces)
    medians = {name: statistics.median(values) for name, values in gbits.items()}
    rate = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "rounds": rounds,
        "gbit_per_second": gbits,
        "connections_per_second": rates,
        "medians": {"gbit_per_second": medians, "connections_per_second": rate},
        "throughput_ratio_to_few": {name: round(value / medians[few], 3) for name, value in medians.items()},
        "connection_ratio_to_few": {name: round(value / rate[few], 3) for name, value in rate.items()},
        "median of the rounds' ratios to few": {
            "throughput": _ratios(gbits, few),
            "connections": _ratios(rates, few),
        },
        "targets": "throughput within 3 %, new connections within 5 %",
    }


def _ratios(found: dict[str, list[float]], few: str) -> dict[str, float]:
    """Each round's figure to that of the fewest interfaces in the same round, and of these the median."""
    return {
        name: round(statistics.median(one / other for one, other in zip(values, found[few], strict=True)), 3)
        for name, values in found.items()
    }


SEND = """
import socket, sys, time
address, new, count = sys.argv[1], sys.argv[2] == "new", int(sys.argv[3])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.bind(("0.0.0.0", int(sys.argv[4])))
ports = range(20000, 20000 + count) if new else [20000] * count
out.sendto(b"x", (address, 19999))
out.sendto(b"x", (address, 20000)) if not new else None
send = out.sendto
began = time.perf_counter()
for port in ports:
    send(b"x", (address, port))
print((time.perf_counter() - began) / count * 1e9)
"""
SINK = "table ip sink { chain in { type filter hook prerouting priority -400; policy drop; }; }"
"""At the receiver: a datagram ends as soon as it has arrived, so that nothing but its way there is measured."""

_ROUTER = {
    "forwards only": "",
    "tracks, 1 rule": """table inet bare {
 chain forward { type filter hook forward priority 0; policy drop;
  ct state established accept
  meta l4proto udp ct state new accept
 }
}""",
}


def bare_routers(net: TestWorld) -> dict[str, tuple[str, str]]:
    """Routers between two namespaces, to compare with: the sender's namespace and the receiver's address."""
    found = {}
    for number, (name, rules) in enumerate(_ROUTER.items()):
        names = left, middle, right = [f"bare{number}{letter}" for letter in "lmr"]
        steps = [["ip", "netns", "add", each] for each in names]
        for side, (other, low) in enumerate(((left, 0), (right, 128))):
            peer = ["netns", other, "type", "veth", "peer", "name", f"side{side}", "netns", middle]
            steps.append(["ip", "link", "add", "eth0", *peer])
            for place, device, address in ((other, "eth0", low + 2), (middle, f"side{side}", low + 1)):
                steps.append(["ip", "-n", place, "addr", "add", f"192.0.2.{address}/25", "dev", device])
                steps.append(["ip", "-n", place, "link", "set", device, "up"])
            steps.append(["ip", "-n", other, "route", "add", "default", "via", f"192.0.2.{low + 1}"])
        steps.append(["nsenter", f"--net=/run/netns/{middle}", "--", "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        if rules:
            steps.append(["nsenter", f"--net=/run/netns/{middle}", "--", "nft", rules])
        steps.append(["nsenter", f"--net=/run/netns/{right}", "--", "nft", SINK])
        for step in steps:
            subprocess.run(net.world.enter_command(step), check=True)
        found[f"bare router, {name}"] = (left, "192.0.2.130")
    return found


def per_packet(net: TestWorld, lab: Lab, wides: list[Wide], rounds: int) -> dict[str, Any]:
    """Nanoseconds that sending a datagram takes, its way to the receiver's namespace included: the first one of a flow,
    and one of a flow that is known. The difference to the router that only forwards is what the filter costs."""
    short = Wide(number=9, first=60_000, interfaces=0)
    one_rule(net, lab, short)
    places = bare_routers(net)
    places["VPC, admitted by the 1st of 1 rule"] = (short.netns(1), short.address(201))
    sinks = [short.netns(201)]
    for wide in wides:
        sender, receiver = wide.pair
        places[f"VPC of {wide.interfaces:,}, admitted by the last of 300 rules"] = (
            wide.netns(sender),
            wide.address(receiver),
        )
        sinks.append(wide.netns(receiver))
    for netns in sinks:
        assert net.run(netns, "nft", SINK).returncode == 0
    times: dict[str, dict[str, list[float]]] = {name: {"new": [], "established": []} for name in places}
    for number in range(rounds):
        for name, (netns, address) in places.items():
            for kind, found in times[name].items():
                program_ = [sys.executable, "-c", SEND, address, kind, str(PACKETS), str(2000 + number)]
                done = subprocess.run(inside(net, netns)(program_), capture_output=True, text=True, check=True)
                found.append(float(done.stdout))
    medians = {name: {kind: statistics.median(v) for kind, v in kinds.items()} for name, kinds in times.items()}
    base = medians["bare router, forwards only"]
    return {
        name: {
            kind: {"ns": round(value), "above a router that only forwards": round(value - base[kind])}
            for kind, value in kinds.items()
        }
        for name, kinds in medians.items()
    }


def one_rule(net: TestWorld, lab: Lab, wide: Wide) -> None:
    """A VPC with two interfaces in one group with one inbound rule."""
    wide.put_network(lab.store)
    group = wide.first + 50
    with lab.store.transaction() as tx:
        tx.put(t.GROUPS, rows.group(group, wide.vpc))
        tx.put(t.GROUP_RULES, rows.rule(0xFFFF00, group, egress=True, protocol="-1", cidr="0.0.0.0/0"))
        tx.put(t.GROUP_RULES, rows.rule(0xFFFF01, group, protocol="-1", peer=group))
        tx.put(t.SUBNETS, rows.subnet(wide.number * 100 + 2, "10.0.2.0/24", wide.vpc))
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(wide.number * 100 + 2, wide.number, wide.vpc))
        for index, subnet in ((1, 1), (201, 2)):
            number = wide.first + index
            owner = ("task", rows.task_arn(number))
            place = wide.number * 100 + subnet
            row = rows.interface(number, wide.address(index), place, groups=(group,), vpc=wide.vpc, owner=owner)
            rows.put_interface(tx, row)
            tx.put(t.TASKS, rows.task(number, number))
    lab.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--some", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    few = Wide(number=1, first=0, interfaces=10, in_subnet=5)
    some = Wide(number=2, first=1_000, interfaces=options.some)
    many = Wide(number=3, first=10_000, interfaces=options.many)
    result: dict[str, Any] = {
        "note": (
            "Everything measured runs under SCHED_FIFO. One VPC holds all interfaces of a figure. Of 10,000 the first "
            f"{LINKED:,} have namespaces, links and routes; of the others the kernel has the filter, and the rest is "
            "planned and compared, not made."
        ),
        "load average before": [round(each, 1) for each in os.getloadavg()],
    }

    def note(name: str, figures: Any) -> None:
        result[name] = figures
        print(f"{name}: {figures}", flush=True)

    hurry(os.getpid())
    note("adding an interface", growth(100, options.many))
    note("describes", describes(options.many))
    with throw_away_world() as net:
        agent = net.ask("stats")["pid"]
        hurry(agent)
        lab = Lab(net)
        load(net, lab, few)
        loads, changed, came = [], [], [comings(net, lab, few, CHANGES // 2)]
        for wide in (some, many):
            loads.append(load(net, lab, wide))
            print(loads[-1], flush=True)
            changed.append(changes(net, lab, wide, CHANGES))
            print(changed[-1], flush=True)
            came.append(comings(net, lab, wide, CHANGES // 2))
            print(came[-1], flush=True)
        result["load"], result["one change of a rule"], result["one interface"] = loads, changed, came
        held = {"control (this process)": resident(os.getpid()), "agent": resident(agent)}
        note("resident MB", {name: round(each, 1) for name, each in held.items()})
        note("data path", data_path(net, [few, some, many], options.rounds))
        note("nanoseconds per packet", per_packet(net, lab, [few, many], min(options.rounds, 9)))
    result["load average after"] = [round(each, 1) for each in os.getloadavg()]
    write("vpc", result)


if __name__ == "__main__":
    main()
