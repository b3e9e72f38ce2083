"""One run of the comparison, from an ecsnet that is made for it to the report."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable
from importlib.metadata import version

from ecsnet.cli.client import fetch
from ecsnet.cli.modes.lab import INSTANCE_TYPE, Lab, Running
from ecsnet.cli.modes.observe import measured, observe, traffic
from ecsnet.cli.modes.place import bare
from ecsnet.cli.modes.private import private_ecsnet
from ecsnet.cli.modes.report import MODES, Density, Machine, Report, Round

Say = Callable[[str], None]


def compare(*, seconds: float, rounds: int, starts: int, say: Say) -> Report:
    """Run the services in every mode and see what there is to see; `say` hears what is being done.

    `seconds` is the length of one measurement, `rounds` how often each is made, `starts` how many tasks are started
    per mode. Raises CliError when this machine cannot run it.
    """
    load = os.getloadavg()[0]
    with private_ecsnet() as home, bare(home) as bare_pairs:
        say("three container instances")
        lab = Lab()
        missing: dict[str, str] = {}
        started: list[tuple[list[float], Density]] = []
        seen = []
        for mode in MODES:
            say(f"{mode}: the two services")
            running = lab.run(mode)
            if not isinstance(running, Running):
                missing[mode] = running
                continue
            seen.append(observe(home, lab, running))
            say(f"{mode}: {starts} tasks one by one, then as many as fit on an instance")
            started.append((list(lab.starts(mode, starts)), lab.density(mode)))
        pairs = [*(one.pair for one in seen), *bare_pairs]
        found: dict[str, list[Round]] = {pair.name: [] for pair in pairs}
        for number in range(rounds):
            say(f"traffic, round {number + 1} of {rounds}")
            for pair, one in zip(pairs, measured(pairs, seconds), strict=True):
                found[pair.name].append(one)
        flows = {pair.name: traffic(pair, found[pair.name]) for pair in pairs}
        return Report(
            version=version("ecsnet"),
            measured=datetime.datetime.now(datetime.UTC).date().isoformat(),
            machine=Machine(
                kernel=platform.release(),
                cores=os.cpu_count() or 1,
                python=platform.python_version(),
                load=load,
                rootless=bool(fetch("GET", "/_ecsnet/status")["agent"]["rootless"]),
            ),
            instance_type=INSTANCE_TYPE,
            seconds=seconds,
            modes=tuple(one.report(flows[one.pair.name], *figures) for one, figures in zip(seen, started, strict=True)),
            missing=missing,
            bare=tuple(flows[pair.name] for pair in bare_pairs),
        )
