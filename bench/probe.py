"""How many probes a second: batches between 20 tasks of one VPC, through the agent, as `verify` asks for them.

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
from ecsnet.hostplan.probes import Probe, ProbeBatch, ProbeReports, Report, Tap  # noqa: E402
from ecsnet.testing.world import throw_away_world  # noqa: E402

TASKS = 20
PROBES = 10_000
ROUNDS = 7
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


def main() -> None:
    with throw_away_world() as net:
        lab = Lab(net)
        lab.vpc()
        lab.group(1)
        lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="10.0.0.0/16"))
        tasks = [lab.task(f"10.0.1.{10 + number}", 1, 2) for number in range(TASKS)]
        batches = {name: msgspec.json.encode(batch(tasks, port)) for name, port in CASES.items()}
        result = asyncio.run(measure(net.state / "agent.sock", batches))
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
