"""What one more interface costs in a small and in a large VPC: compile time, netlink messages, bytes of nft text.

Nothing is made here: the plan is compared, and the agent's drivers are asked for the messages that they would send.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from ecsnet.agent.drivers.network import NetworkDriver
from ecsnet.agent.drivers.nft import NFT_OBJECT
from ecsnet.agent.drivers.nft_program import program
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import Netlink, Request
from ecsnet.agent.order import STAGES
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject, Namespace, NftElement, NftSet, NftTable
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Commit, Store
from wide import Wide

ADDED = 50


class _Nowhere:
    """Namespaces that are not there."""

    def inside(self, _name: str) -> nullcontext[None]:
        return nullcontext()

    def path(self, _name: str) -> Path:
        return Path("/dev/null")


@contextmanager
def _counting() -> Iterator[list[int]]:
    """The kernel's part is played: every message is taken and its size noted."""
    sizes: list[int] = []

    def execute(_self: Netlink, requests: Sequence[Request]) -> list[None]:
        sizes.extend(16 + len(request.body) for request in requests)
        return [None] * len(requests)

    def get(_self: Netlink, request: Request) -> bytes:
        sizes.append(16 + len(request.body))
        return bytes(4) + (7).to_bytes(4, "little") + bytes(8)

    played = {"__init__": lambda _self: None, "close": lambda _self: None, "execute": execute, "get": get}
    with patch.multiple(Netlink, **played):
        yield sizes


class Planned:
    """Store, compile and planner without an agent."""

    def __init__(self, wide: Wide) -> None:
        self.wide = wide
        self.store = Store(None, SCHEMA)
        self._engine = Engine(FRAGMENTS)
        self._planner = Planner()
        self._commits: list[Commit] = []
        wide.put_network(self.store)
        wide.put_interfaces(self.store, 1, wide.interfaces - ADDED)
        self._planner.apply(self._engine.start(self.store.snapshot))
        self.store.subscribe(self._commits.append)
        gc.collect()
        gc.freeze()

    def add(self, index: int) -> tuple[float, tuple[HostObject, ...]]:
        """Milliseconds from the transaction to the changed plan, and what it changes."""
        began = time.perf_counter()
        self.wide.put_interfaces(self.store, index, index)
        put, _removed = self._planner.apply(self._engine.apply(self._commits.pop()))
        return (time.perf_counter() - began) * 1000, put

    def sets(self) -> dict[str, Any]:
        """What an agent knows to be there of the packet filter, without the elements of others."""
        objects = self._planner.all()
        return {item.key: item for item in objects if isinstance(item, NFT_OBJECT) and not isinstance(item, NftElement)}


def growth(small: int, large: int) -> dict[str, Any]:
    """The last of `small` interfaces and the last of `large` ones, each the median of 50."""
    found = {str(size): _cost(size) for size in (small, large)}
    first, last = found[str(small)], found[str(large)]
    ratios = {name: round(last[name] / first[name], 2) for name in first}
    return {**found, "ratio": ratios, "target": f"< 2: {'met' if max(ratios.values()) < 2 else 'NOT MET'}"}


def _cost(size: int) -> dict[str, float]:
    planned = Planned(Wide(number=1, first=0, interfaces=size, in_subnet=200))
    times, messages, octets, texts, objects = [], [], [], [], []
    present = planned.sets()
    for index in range(size - ADDED + 1, size + 1):
        milliseconds, put = planned.add(index)
        times.append(milliseconds)
        objects.append(len(put))
        with _counting() as sizes:
            driver = NetworkDriver(cast(NamespaceFiles, _Nowhere()))
            for stage in STAGES:
                mine = [item for item in put if type(item) in stage.kinds and isinstance(item, driver.kinds)]
                if stage.put and mine:
                    failures = driver.apply(mine, ())
                    assert not failures, failures
        namespaces = sum(isinstance(item, Namespace) for item in put)
        messages.append(len(sizes) + namespaces)  # `lo` up
        octets.append(sum(sizes))
        filters = [item for item in put if isinstance(item, NFT_OBJECT)]
        assert not any(isinstance(item, NftTable | NftSet) for item in filters)
        texts.append(sum(len(command.text) + 1 for command in program(filters, [], present)))
        present.update((item.key, item) for item in filters)
    gc.unfreeze()
    return {
        "compile ms": round(statistics.median(times), 3),
        "host objects": statistics.median(objects),
        "netlink messages": statistics.median(messages),
        "netlink bytes": statistics.median(octets),
        "nft bytes": statistics.median(texts),
    }
