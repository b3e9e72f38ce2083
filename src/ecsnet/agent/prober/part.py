"""The agent's side of the prober: starts it on first use, and answers the ask `probe`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ecsnet.agent.detached import DetachedError, DetachedServer
from ecsnet.agent.driver import AskError
from ecsnet.agent.prober.server import REPLIES, Reply, Request


class Prober:
    """The prober process of a world, wherever it is: not started yet, running, or ended because nobody asked."""

    def __init__(self, state: Path) -> None:
        self._server: DetachedServer[Request, Reply] = DetachedServer(
            "ecsnet.agent.prober.server",
            socket_path=state / "prober.sock",
            argument=state,
            log_path=state / "prober.log",
            replies=REPLIES,
            lost=lambda: None,  # it ends by itself, and is started when it is wanted
        )

    def ask(self, argument: bytes) -> bytes:
        """A `ProbeBatch` → its `ProbeReports`, both as JSON, which only the prober reads. Raises AskError."""
        reply = self._ask(lambda number: Request(id=number, batch=argument))
        if reply.reports is None:
            raise AskError(reply.error or "the prober gave no reason")
        return reply.reports

    def _ask(self, make: Callable[[int], Request]) -> Reply:
        try:
            try:
                return self._server.ask(make)
            except DetachedError:
                return self._server.ask(make)  # it was about to end for want of work
        except DetachedError as error:
            raise AskError(str(error)) from error

    def close(self) -> None:
        self._server.close()
