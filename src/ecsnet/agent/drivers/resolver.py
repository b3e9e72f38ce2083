"""The driver of names: feeds the resolver process, which answers at the VPCs' resolver addresses.

The resolver is started when the first view is wanted and goes on without the agent. When it died, it is started again
here and comes up with what it served last (its snapshot file); the read-back then finds what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecsnet.agent.detached import DetachedError, DetachedServer
from ecsnet.agent.driver import AgentContext, Part
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.resolver.feed import REPLIES, Dump, Dumped, Reply, Request, Update, Updated


class ResolverDriver:
    """Keeps views and record sets in the resolver process; every call returns when its answers have changed."""

    kinds: tuple[type[HostObject], ...] = (DnsView, DnsRecords)

    def __init__(self, server: DetachedServer[Request, Reply]) -> None:
        self._server = server

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        if not desired and not self._server.running():
            return {}
        try:
            reply = self._server.ask(lambda number: Dump(id=number))
        except DetachedError:
            return {}  # nothing is served; the attempt to put it will say why
        assert isinstance(reply, Dumped)
        return {item.key: desired[item.key] if desired.get(item.key) == item else item for item in reply.items}

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        if not put and not self._server.running():
            return {}
        items = tuple(item for item in put if isinstance(item, DnsView | DnsRecords))
        try:
            reply = self._server.ask(lambda number: Update(id=number, put=items, remove=tuple(remove)))
        except DetachedError as error:
            return {key: str(error) for key in (*(item.key for item in items), *remove)}
        assert isinstance(reply, Updated)
        return {failed.key: failed.text for failed in reply.failures}

    def close(self) -> None:
        self._server.close()


def resolver(context: AgentContext) -> Part:
    """The names of this host's VPCs and of its internet."""
    server: DetachedServer[Request, Reply] = DetachedServer(
        "ecsnet.resolver.main",
        socket_path=context.state / "resolver.sock",
        argument=context.state / "resolver.snapshot",
        log_path=context.state / "resolver.log",
        replies=REPLIES,
        lost=context.wake,
    )
    return Part(driver=ResolverDriver(server), asks={})
