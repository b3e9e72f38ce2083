"""Keeps an agent running inside the world and connected to control.

The agent may die at any time, and so may control: the world, its packets and its processes stay. Whoever comes back
adopts them: a new control connects to the old agent, a new agent reads what the world holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from ecsnet.agent.client import AgentLink
from ecsnet.agent.world import World
from ecsnet.hostplan.messages import Sync, ToControl

LOG = logging.getLogger("ecsnet.control")

RETRY = 0.1
"""Seconds between attempts to reach an agent that does not answer."""


class Supervisor:
    """Starts the world and its agent, connects, synchronises, and does so again whenever the connection ends."""

    def __init__(
        self, world: World, state: Path, sync: Callable[[], Sync], receive: Callable[[ToControl], None]
    ) -> None:
        self._world = world
        self._state = state
        self._sync = sync
        self._receive = receive
        self.link: AgentLink | None = None
        """The connection, while there is one."""

    async def run(self) -> None:
        """Until cancelled: keep an agent connected."""
        while True:
            link = await self._connect()
            self.link = link
            link.send(self._sync())
            await link.closed()
            self.link = None
            LOG.warning("the agent's connection ended; starting it again")

    async def _connect(self) -> AgentLink:
        while True:
            try:
                return await AgentLink.connect(self._state / "agent.sock", self._receive)
            except (FileNotFoundError, ConnectionError):
                await asyncio.to_thread(self._start_agent)
                await asyncio.sleep(RETRY)

    def _start_agent(self) -> None:
        """Start the world if it is gone, and an agent in it; a second agent sees the first's lock and ends."""
        self._world.start()
        self._world.start_agent()
