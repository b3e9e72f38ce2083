"""How many probes a second: batches between 20 tasks of one VPC, through the agent; and all of `verify` about them.

The tasks are in two subnets, so that half of the packets meet network ACLs and a route table as well.

Works as root and as an ordinary user. `python bench/probe.py`
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec

from harness import summary, write

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path += [str(TESTS / "network"), str(TESTS / "compile")]

import rows  # noqa: E402
from vpc_lab import Lab, Task, router  # noqa: E402

from ecsnet.agent.client import AgentLink  # noqa: E402
from ecsnet.control.verify.questions import Service  # noqa: E402
from ecsnet.control.verify.run import verify  # noqa: E402
from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Report, Tap  # noqa: E402
from ecsnet.testing.world import throw_away_world  # noqa: E402

TASKS = 20
PROBES = 10_000
ROUNDS = 7
SERVICES = {
    "verify, 24 of 25 services dropped": tuple(Service("tcp", port) for port in range(70, 95)),
    "verify, all services admitted": tuple(Service("tcp", port) for port in range(1000, 1025)),
}
"""What `verify` asks for at every pair."""
ADMITTED = ((80, 80), (1000, 1024))
CASES = {"admitted, refused by a closed port": 80, "dropped by the receiver's groups": 81}


def batch(tasks: list[Task], port: int) -> ProbeBatch:
    """Every task to every other one, again and again."""
    probes = []
    for number in range(PROBES):
        source = tasks[number % TASKS]
        destination = tasks[(number + 1 + number // TASKS % (TASKS - 1)) % TASKS]
        probes.append(
            Probe(
                number=number,
                netns=source.netns,
                device="eth0",
                source=source.address,
                destination=destination.address,
                protocol="tcp",
                port=port,
            )
        )
    taps = tuple(Tap(netns=task.netns, device="eth0") for task in tasks)
    return ProbeBatch(probes=tuple(probes), deciders=(router(),), arrivals=taps)


def outcome(report: Report) -> str:
    if report.dropped is not None:
        return report.dropped.prefix.split()[1]
    return report.reply.kind if report.reply is not None else "nothing"


def processor_seconds(socket: Path) -> float:
    """What the prober of this world has used so far; unlike the rates it does not depend on what else runs."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"{socket.parent}/prober.sock" in (entry / "cmdline").read_text().split("\0"):
            user, system = (entry / "stat").read_text().rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


async def measure(socket: Path, batches: dict[str, bytes]) -> dict[str, object]:
    """Ask as control does: one connection, the batch as JSON."""
    link = await AgentLink.connect(socket, lambda _message: None)
    result: dict[str, object] = {}
    for name, argument in batches.items():
        decided, asked, used = [], [], []
        for _ in range(ROUNDS):
            before = processor_seconds(socket)
            begun = time.perf_counter()
            answer = await link.ask("probe", argument)
            asked.append(PROBES / (time.perf_counter() - begun))
            used.append((processor_seconds(socket) - before) / PROBES * 1e6)
            reports = msgspec.json.decode(answer, type=ProbeReports)
            outcomes = Counter(map(outcome, reports.reports))
            assert reports.missed == 0
            assert "nothing" not in outcomes, outcomes
            decided.append(PROBES / reports.seconds)
        result[name] = {
            "outcomes": dict(outcomes),
            "sent and decided, per second": summary(decided),
            "asked and answered, per second": summary(asked),
            "processor time of the prober, microseconds per probe": summary(used),
        }
    link.close()
    return result


async def longest_wait(stop: asyncio.Event) -> float:
    """Milliseconds that the event loop kept somebody waiting who wanted to go on after one."""
    longest = 0.0
    while not stop.is_set():
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - begun - 0.001)
    return longest * 1e3


async def measure_verify(socket: Path, lab: Lab, services: tuple[Service, ...]) -> dict[str, object]:
    """Packets, comparison with `reach` and the matrix, as control runs them."""
    link = await AgentLink.connect(socket, lambda _message: None)

    async def in_force(_revision: int) -> None:
        """The lab has waited."""

    rates, probing, waits, used = [], [], [], []
    for _ in range(ROUNDS):
        stop = asyncio.Event()
        ticker = asyncio.create_task(longest_wait(stop))
        before = time.process_time()
        run = verify(lambda: lab.store.snapshot, in_force, lambda one: link.ask("probe", one), [rows.VPC], services)
        *_, result = [line async for line in run]
        used.append((time.process_time() - before) / result["probes"] * 1e6)
        stop.set()
        waits.append(await ticker)
        assert result["disagreements"] == [], result["disagreements"][:3]
        rates.append(result["probes"] / result["seconds"])
        probing.append(result["probes"] / result["probing_seconds"])
    link.close()
    return {
        "packets": result["probes"],
        "pairs": result["probes"] // len(services),
        "services": len(services),
        "sent and decided, per second": summary(probing),
        "asked, compared and in the matrix, per second": summary(rates),
        "processor time of control, microseconds per packet": summary(used),
        "longest wait of the event loop, milliseconds": summary(waits),
    }


def main() -> None:
    with throw_away_world() as net:
        lab = Lab(net)
        lab.vpc()
        lab.group(1)
        whole_vpc = [rows.rule(number, 2, ports=ports, cidr="10.0.0.0/16") for number, ports in enumerate(ADMITTED, 1)]
        lab.group(2, *whole_vpc)
        tasks = [lab.task(f"10.0.{1 + number % 2}.{10 + number}", 2, subnet=1 + number % 2) for number in range(TASKS)]
        batches = {name: msgspec.json.encode(batch(tasks, port)) for name, port in CASES.items()}
        result = asyncio.run(measure(net.state / "agent.sock", batches))
        for name, services in SERVICES.items():
            result[name] = asyncio.run(measure_verify(net.state / "agent.sock", lab, services))
    for name, figures in result.items():
        print(f"{name}: {figures}")
    load = [round(each, 1) for each in os.getloadavg()]
    write(
        "probe",
        {
            "load average": load,
            "probes in a batch": PROBES,
            "tasks": TASKS,
            "cases": result,
        },
    )


if __name__ == "__main__":
    main()
