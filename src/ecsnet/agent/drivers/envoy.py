"""Keeps the host's one Envoy: its resource files, its certificates, its processes, and what its probes see.

Resources are put in force in the order endpoints, clusters, routes, listeners, and withdrawn in reverse; each file is
written once per step and waited for until Envoy says that it has it. What Envoy rejects is reported by key and keeps
nothing else from working: a bad listener or cluster is left out by Envoy itself; a bad routing table would hold up the
whole file, so it is found and taken out here.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping, Sequence

import msgspec

from ecsnet.agent.driver import AgentContext, Part
from ecsnet.agent.drivers import envoy_files as files
from ecsnet.agent.drivers.envoy_health import HealthWatch, Membership
from ecsnet.agent.drivers.envoy_process import EnvoyError, Proxy
from ecsnet.agent.drivers.envoy_tls import Authority
from ecsnet.hostplan.balancer import EnvoyResource, ResourceKind, ServerCertificate, certificate_key, envoy_key
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import TargetSeen

_SUBSCRIPTION: Mapping[ResourceKind, str] = {
    "cluster": "cluster_manager.cds",
    "scoped_route": "http.alb.scoped_rds.all",
    "listener": "listener_manager.lds",
}
_ORDER: tuple[ResourceKind, ...] = ("endpoints", "cluster", "scoped_route", "listener")
_PATIENCE = 2.0
"""Seconds to wait for Envoy to take a file."""
_WARMING = 0.3
"""Seconds to wait for new clusters to be ready."""
_POLL = 0.003


class _SocketAddress(msgspec.Struct):
    address: str
    port_value: int


class _Address(msgspec.Struct):
    socket_address: _SocketAddress


class _Endpoint(msgspec.Struct):
    address: _Address


class _LbEndpoint(msgspec.Struct):
    endpoint: _Endpoint
    health_status: str


class _Locality(msgspec.Struct):
    lb_endpoints: list[_LbEndpoint]


class _Assignment(msgspec.Struct):
    cluster_name: str
    endpoints: list[_Locality]


class _HealthCheck(msgspec.Struct):
    unhealthy_threshold: int
    interval: str


class _Cluster(msgspec.Struct):
    health_checks: list[_HealthCheck]


class EnvoyDriver:
    """Implements `driver.Driver` for Envoy resources and server certificates."""

    kinds: tuple[type[HostObject], ...] = (EnvoyResource, ServerCertificate)

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._directory = context.state / "envoy"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._proxy = Proxy(self._directory, context.wake)
        self._authority = Authority(self._directory / "tls")
        self._held: dict[ResourceKind, dict[str, bytes]] = {
            kind: files.read(self._directory, kind) for kind in files.KINDS
        }
        self._owners: dict[str, str] = {}
        """Target group (ARN) by cluster."""
        self._memberships: dict[str, tuple[bytes, bytes, Membership]] = {}
        self._watch: HealthWatch | None = None

    def told(self) -> list[TargetSeen]:
        """The newest report about every target (any thread)."""
        watch = self._watch
        return watch.told() if watch is not None else []

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        found: dict[str, HostObject | None] = {}
        for name in self._authority.names():
            key = certificate_key(name)
            wanted = desired.get(key)
            same = isinstance(wanted, ServerCertificate) and self._authority.holds(name, wanted.names)
            found[key] = wanted if same else None
        self._held = {kind: files.read(self._directory, kind) for kind in files.KINDS}
        if not self._proxy.adopt():
            # Nothing is in force, whatever the files say: all is put again, which starts Envoy.
            return found
        rejected = self._rejected()
        for kind, resources in self._held.items():
            for name, body in resources.items():
                key = envoy_key(kind, name)
                wanted = desired.get(key)
                same = isinstance(wanted, EnvoyResource) and files.render(wanted, self._context.speed()) == body
                found[key] = wanted if same and key not in rejected else None
        for wanted in desired.values():
            if isinstance(wanted, EnvoyResource) and wanted.kind == "cluster":
                self._owners[wanted.name] = wanted.owner
        self._follow()
        return found

    def _rejected(self) -> set[str]:
        """Listeners and clusters of the files that Envoy did not take; everything when it does not answer."""
        kinds: tuple[ResourceKind, ...] = ("listener", "cluster")
        try:
            return {envoy_key(kind, name) for kind in kinds for name in self._proxy.admin.errors(kind)}
        except OSError:
            return {envoy_key(kind, name) for kind, resources in self._held.items() for name in resources}

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        wanted = {item.key: item for item in put if isinstance(item, EnvoyResource)}
        certificates = [item for item in put if isinstance(item, ServerCertificate)]
        failures: dict[str, str] = {}
        for certificate in certificates:
            self._issue(certificate, failures)
        try:
            if wanted and not self._proxy.adopt():
                self._start()
            self._change(wanted, frozenset(key for key in remove if key.startswith("envoy:")), failures)
        except (EnvoyError, OSError) as error:
            failures.update((key, str(error)) for key in wanted if key not in failures)
        for key in remove:
            if key.startswith("certificate:"):
                self._authority.remove(key.removeprefix("certificate:"))
        return failures

    def _start(self) -> None:
        """Start Envoy with nothing in its files: they may be from a world that is gone."""
        for kind in files.KINDS:
            self._held[kind] = {}
            files.write(self._directory, kind, {})
        self._proxy.start()

    def _issue(self, certificate: ServerCertificate, failures: dict[str, str]) -> None:
        if self._authority.holds(certificate.name, certificate.names):
            return
        now = datetime.datetime.fromtimestamp(self._context.now(), datetime.UTC)
        try:
            self._authority.issue(certificate.name, certificate.names, now=now)
        except (OSError, ValueError) as error:
            failures[certificate.key] = f"no certificate for {', '.join(certificate.names)}: {error}"

    def _change(self, wanted: Mapping[str, EnvoyResource], remove: frozenset[str], failures: dict[str, str]) -> None:
        speed = self._context.speed()
        for resource in wanted.values():
            if resource.kind == "cluster":
                self._owners[resource.name] = resource.owner
        running = self._proxy.adopt()
        for kind in _ORDER:
            new = {item.name: files.render(item, speed) for item in wanted.values() if item.kind == kind}
            if new:
                failures.update(self._put(kind, new))
        for kind in reversed(_ORDER):
            kept = {name: body for name, body in self._held[kind].items() if envoy_key(kind, name) not in remove}
            if kept == self._held[kind]:
                continue
            if running and kind != "endpoints":
                self._write(kind, kept)
                continue
            version = self._replace(kind, kept)
            if running:
                self._hand_over(version, ())

    def _put(self, kind: ResourceKind, new: Mapping[str, bytes]) -> Mapping[str, str]:
        """Add or replace resources; what Envoy rejects is answered by key."""
        before = self._held[kind]
        after = {**before, **new}
        if after == before:
            return {}
        if kind == "endpoints":
            version = self._replace(kind, after)
            return self._hand_over(version, [name for name in new if name in self._held["cluster"]])
        rejected = self._write(kind, after)
        if kind == "scoped_route" and rejected:
            return self._put_one_by_one(before, new)
        if kind == "cluster":
            added = [name for name in new if name not in rejected and name in self._held["endpoints"]]
            self._hand_over(files.version_of(self._held["endpoints"]), added)
            self._warm_up()
        return {envoy_key(kind, name): text for name, text in rejected.items() if name in new}

    def _put_one_by_one(self, before: dict[str, bytes], new: Mapping[str, bytes]) -> Mapping[str, str]:
        """One bad routing table holds up the file for all: go back, then try each by itself."""
        kind: ResourceKind = "scoped_route"
        self._write(kind, before)
        failures = {}
        for name, body in new.items():
            held = self._held[kind]
            refused = self._write(kind, {**held, name: body})
            if refused:
                failures[envoy_key(kind, name)] = next(iter(refused.values()))
                self._write(kind, held)
        return failures

    def _hand_over(self, version: str, clusters: Sequence[str]) -> Mapping[str, str]:
        """Have the discovery process send the endpoints file to Envoy; the answer is what went wrong, by key."""
        error = self._proxy.reload_endpoints(version, clusters)
        return {} if error is None else {envoy_key("endpoints", name): error for name in clusters}

    def _warm_up(self) -> None:
        """Give new clusters a moment: Envoy uses one only when its members have been probed once.

        A member that does not answer at all would hold this up for the whole probe timeout, hence the limit; until
        then the cluster's requests are answered 503.
        """
        pause = threading.Event()
        for _ in range(int(_WARMING / _POLL)):
            if self._counters("cluster_manager.warming_clusters").get("cluster_manager.warming_clusters") == "0":
                return
            pause.wait(_POLL)

    def _replace(self, kind: ResourceKind, resources: dict[str, bytes]) -> str:
        self._held[kind] = resources
        version = files.write(self._directory, kind, resources)
        if kind in ("endpoints", "cluster"):
            # At once: a new member's first probe may be over before Envoy has acknowledged.
            self._follow()
        return version

    def _write(self, kind: ResourceKind, resources: dict[str, bytes]) -> Mapping[str, str]:
        """Replace a file and wait until Envoy took it; the answer is what it rejected: name → reason."""
        subscription = _SUBSCRIPTION[kind]
        before = self._counters(subscription)
        version = self._replace(kind, resources)
        if kind == "scoped_route" and f"{subscription}.update_success" not in before:
            return {}  # no listener has asked for routes yet: the first one reads the file as it starts
        return self._settle(kind, subscription, version, before)

    def _counters(self, subscription: str) -> Mapping[str, str]:
        return self._proxy.admin.counters(subscription.replace(".", r"\."))

    def _settle(
        self, kind: ResourceKind, subscription: str, version: str, before: Mapping[str, str]
    ) -> Mapping[str, str]:
        pause = threading.Event()
        for _ in range(int(_PATIENCE / _POLL)):
            now = self._counters(subscription)
            if now.get(f"{subscription}.version_text") == version:
                return {}
            rejections = (f"{subscription}.update_rejected", f"{subscription}.update_failure")
            if any(now.get(name) != before.get(name) for name in rejections):
                if kind == "scoped_route":
                    return {"": self._log_line("scoped")}
                return self._proxy.admin.errors(kind)
            pause.wait(_POLL)
        raise EnvoyError(f"Envoy does not take its new {kind}s within {_PATIENCE:.0f} seconds")

    def _log_line(self, word: str) -> str:
        """The last line of Envoy's log that holds a word (why routes were rejected is said nowhere else)."""
        with (self._directory / "envoy.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 65_536))
            lines = [line for line in log.read().decode(errors="replace").splitlines() if word in line]
        return lines[-1][-500:] if lines else "Envoy rejected the routes"

    # ── health ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self) -> None:
        if self._watch is None:
            if not self._held["cluster"]:
                return
            self._watch = HealthWatch(self._directory, self._proxy, self._context.emit, self._context.now)
        self._watch.follow(
            {
                name: self._membership(name, self._held["cluster"][name], body)
                for name, body in self._held["endpoints"].items()
                if name in self._held["cluster"] and name in self._owners
            }
        )

    def _membership(self, name: str, cluster: bytes, assignment: bytes) -> Membership:
        """Whom a cluster probes; read from JSON only when that has changed, because every change asks about all."""
        known = self._memberships.get(name)
        if known is not None and known[0] is cluster and known[1] is assignment:
            return known[2]
        (check,) = msgspec.json.decode(cluster, type=_Cluster).health_checks
        targets = {
            (item.endpoint.address.socket_address.address, item.endpoint.address.socket_address.port_value)
            for locality in msgspec.json.decode(assignment, type=_Assignment).endpoints
            for item in locality.lb_endpoints
            if item.health_status != "DRAINING"
        }
        membership = Membership(
            group=self._owners[name],
            unhealthy_after=check.unhealthy_threshold,
            interval=float(check.interval.removesuffix("s")),
            targets=frozenset(targets),
        )
        self._memberships[name] = (cluster, assignment, membership)
        return membership

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self._proxy.close()

    def stop(self) -> None:
        """End the proxy as well (a test ends)."""
        self.close()
        self._proxy.stop()


def envoy(context: AgentContext) -> Part:
    driver = EnvoyDriver(context)
    return Part(driver=driver, asks={}, told=driver.told)
