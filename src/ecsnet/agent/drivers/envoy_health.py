"""Follows what Envoy's health probes see and reports a target when its state changes.

Envoy probes each target from every node. A target is reported healthy when every node that probes it finds it so, and
unhealthy as soon as one does not.

A new target becomes healthy with its first good probe and unhealthy after as many bad ones as any other (user guide,
"Health checks"). Envoy grants that to the very first probe only, so a new target that failed is made new again in time
for its next one. Failures within moments of the first probe do not count: a load balancer takes longer than that to
begin with a target.

Changes are read from the event log, which names the reason of every failed probe; `/clusters` is looked at after a
change of membership and now and then, so that a lost line cannot last.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecsnet.agent.drivers.envoy_process import EnvoyError, Proxy
from ecsnet.hostplan.messages import TargetSeen

LOG = "health.log"
_PAUSE = 0.05
_REGISTRATION = 2.0
"""Seconds from the first probe of a target in which failures do not count."""
_RETRY = 0.5
"""Seconds between probes in that time."""
_LOOK_EVERY = 200
"""Pauses between two looks at /clusters without a reason."""
_LARGEST_LOG = 4_000_000

Place = tuple[str, str, int]
"""Cluster, address and port: one node's view of one target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one node's probes say."""

    healthy: bool
    reason: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Which targets a cluster probes and for which target group (ARN); a draining one is not reported."""

    group: str
    unhealthy_after: int
    interval: float
    """Seconds between probes."""
    targets: frozenset[tuple[str, int]]


_REASONS = {
    "NETWORK_TIMEOUT": ("Target.Timeout", "Request timed out"),
    "NETWORK": ("Target.FailedHealthChecks", "Health checks failed"),
    "ACTIVE": ("Target.ResponseCodeMismatch", "Health checks failed"),
}


def view_of(event: Mapping[str, Any]) -> tuple[Place, View] | None:
    """What one line of the event log says about one target, or None when it says nothing."""
    host = event.get("host", {}).get("socket_address")
    if host is None:
        return None
    place = (event["cluster_name"], host["address"], host["port_value"])
    if "add_healthy_event" in event or "successful_health_check_event" in event:
        return place, View(healthy=True)
    for member in ("health_check_failure_event", "eject_unhealthy_event"):
        if member in event:
            kind = event[member].get("failure_type", "ACTIVE")
            reason, description = _REASONS.get(kind, _REASONS["NETWORK"])
            code = event[member].get("http_status_code")
            if kind == "ACTIVE" and code:
                description = f"Health checks failed with these codes: [{code}]"
            return place, View(healthy=False, reason=reason, description=description)
    return None


@dataclass(slots=True)
class _New:
    """A target that no probe has found healthy yet."""

    since: float
    again: float
    """When to have it probed as new again. Both in seconds since the epoch."""
    failures: int = 0


class States:
    """What every node sees, and what has been reported of every target. Pure bookkeeping, one thread at a time."""

    def __init__(self) -> None:
        self._members: dict[str, Membership] = {}
        self._clusters: dict[tuple[str, str, int], set[str]] = {}
        self._views: dict[Place, View] = {}
        self._last: dict[Place, View] = {}
        """The last failed probe: the reason to give when the target becomes unhealthy."""
        self._new: dict[Place, _New] = {}
        self._reported: dict[tuple[str, str, int], View] = {}

    def follow(self, members: Mapping[str, Membership]) -> None:
        """Take the current membership; what is no longer a member is forgotten."""
        self._members = dict(members)
        self._clusters = {}
        for cluster, membership in members.items():
            for address, port in membership.targets:
                self._clusters.setdefault((membership.group, address, port), set()).add(cluster)
        places = {(cluster, *target) for cluster, m in members.items() for target in m.targets}
        for place in (self._views.keys() | self._last.keys() | self._new.keys()) - places:
            self._views.pop(place, None)
            self._last.pop(place, None)
            self._new.pop(place, None)
        for target in self._reported.keys() - self._clusters.keys():
            del self._reported[target]

    def heard(self, event: Mapping[str, Any], now: float) -> None:
        """Take one line of the event log."""
        found = view_of(event)
        if found is None:
            return
        place, view = found
        membership = self._members.get(place[0])
        if membership is None or place[1:] not in membership.targets:
            return
        if view.healthy:
            self._views[place] = view
            self._new.pop(place, None)
            return
        self._last[place] = view
        before = self._views.get(place)
        if "eject_unhealthy_event" in event or (before is not None and not before.healthy):
            self._views[place] = view
        elif before is None:
            self._failed_new(place, view, membership, now)

    def _failed_new(self, place: Place, view: View, membership: Membership, now: float) -> None:
        fresh = self._new.setdefault(place, _New(since=now, again=math.inf))
        if now < fresh.since + _REGISTRATION:
            fresh.again = min(fresh.again, now + _RETRY)
            return
        fresh.failures += 1
        # A little early: Envoy's own next probe must not come first.
        fresh.again = now + 0.95 * membership.interval
        if fresh.failures >= membership.unhealthy_after:
            self._views[place] = view
            del self._new[place]

    def due(self, now: float) -> list[Place]:
        """New targets whose time has come to be probed as new again."""
        places = [place for place, fresh in self._new.items() if fresh.again <= now]
        for place in places:
            self._new[place].again = math.inf
        return places

    def looked(self, clusters: Mapping[str, Any], *, adopting: bool = False) -> None:
        """Take the answer of /clusters?format=json. `adopting`: Envoy has been probing since before this began."""
        for cluster in clusters.get("cluster_statuses", ()):
            membership = self._members.get(cluster["name"])
            if membership is None:
                continue
            for host in cluster.get("host_statuses", ()):
                address = host["address"]["socket_address"]
                place = (cluster["name"], address["address"], address["port_value"])
                health = host.get("health_status", {})
                if place[1:] not in membership.targets or health.get("pending_active_hc"):
                    continue
                before = self._views.get(place)
                if not health.get("failed_active_health_check"):
                    self._views[place] = View(healthy=True)
                    self._new.pop(place, None)
                elif adopting or (before is not None and before.healthy):
                    reason = _REASONS["NETWORK_TIMEOUT" if health.get("active_hc_timeout") else "NETWORK"]
                    unknown = View(healthy=False, reason=reason[0], description=reason[1])
                    self._views[place] = self._last.get(place, unknown)

    def news(self) -> Iterable[tuple[str, str, int, View]]:
        """Targets whose state differs from what was reported last: (group, address, port, state)."""
        for target, clusters in self._clusters.items():
            views = [self._views.get((cluster, target[1], target[2])) for cluster in sorted(clusters)]
            known = [view for view in views if view is not None]
            bad = next((view for view in known if not view.healthy), None)
            state = bad or (View(healthy=True) if len(known) == len(views) else None)
            if state is not None and self._reported.get(target) != state:
                self._reported[target] = state
                yield (*target, state)

    def told(self) -> list[tuple[str, str, int, View]]:
        """What was reported last of every target."""
        return [(*target, state) for target, state in self._reported.items()]


class HealthWatch:
    """The thread that follows the log while Envoy runs."""

    def __init__(
        self, directory: Path, proxy: Proxy, emit: Callable[[TargetSeen], None], now: Callable[[], float]
    ) -> None:
        self._log = directory / LOG
        self._proxy = proxy
        self._emit = emit
        self._now = now
        self._states = States()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._look = threading.Event()
        self._adopting = self._log.exists() and self._log.stat().st_size > 0
        self._position = self._log.stat().st_size if self._log.exists() else 0
        self._rest = b""
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def follow(self, members: Mapping[str, Membership]) -> None:
        """Take the current membership (any thread)."""
        with self._lock:
            self._states.follow(members)
        self._look.set()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        pauses, adopting = 0, True
        while not self._closing.wait(_PAUSE):
            pauses += 1
            lines = self._new_lines()
            clusters: Mapping[str, Any] = {}
            if self._look.is_set() or pauses >= _LOOK_EVERY:
                self._look.clear()
                pauses = 0
                clusters = self._clusters()
            now = self._now()
            with self._lock:
                for line in lines:
                    self._states.heard(line, now)
                if clusters:
                    self._states.looked(clusters, adopting=adopting and self._adopting)
                    adopting = False
                news = list(self._states.news())
                due = self._states.due(now)
            self._tell(news, now)
            if due:
                # Without an answer the targets stay with Envoy's own counting.
                with contextlib.suppress(EnvoyError):
                    self._proxy.probe_again(due)

    def told(self) -> list[TargetSeen]:
        """The newest report about every target (any thread)."""
        with self._lock:
            return [_message(item, self._now()) for item in self._states.told()]

    def _tell(self, news: Iterable[tuple[str, str, int, View]], now: float) -> None:
        for item in news:
            self._emit(_message(item, now))

    def _clusters(self) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = self._proxy.admin.json("/clusters?format=json")
        except OSError:
            return {}  # Envoy is away; whoever watches it starts it again, and new members are looked at then
        return answer

    def _new_lines(self) -> list[Mapping[str, Any]]:
        try:
            size = self._log.stat().st_size
            if size < self._position:
                self._position, self._rest = 0, b""
            if size == self._position:
                return []
            with self._log.open("r+b") as log:
                log.seek(self._position)
                data = log.read()
                self._position += len(data)
                if self._position > _LARGEST_LOG:
                    log.truncate(0)  # Envoy appends, so it goes on at the new end
                    self._position = 0
        except FileNotFoundError:
            return []
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in whole if line.startswith(b"{")]


def _message(item: tuple[str, str, int, View], now: float) -> TargetSeen:
    group, address, port, state = item
    return TargetSeen(
        group=group,
        address=address,
        port=port,
        healthy=state.healthy,
        reason=state.reason,
        description=state.description,
        at=now,
    )
