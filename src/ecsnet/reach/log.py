"""Writes down what a walk meets."""

from __future__ import annotations

from ecsnet.decision import Drop, What
from ecsnet.reach.flow import Direction, Packet, Stage, Step

MAX_CROSSINGS = 8
"""Longer walks are loops: two tables that send a packet to each other's appliance."""


class Log:
    """The steps of one direction, each with the crossing in which it happened."""

    __slots__ = ("_passes", "crossing", "direction", "hidden", "steps")

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.crossing = 0
        self.hidden = False
        """Whether an appliance has passed the packet on."""
        self.steps: list[Step] = []
        self._passes: set[tuple[str, Packet]] = set()

    def cross(self, component: str, packet: Packet) -> bool:
        """Begin another crossing of a router; False when the walk goes in a circle."""
        self.crossing += 1
        if self.crossing <= MAX_CROSSINGS:
            return True
        self._loop(component, packet)
        return False

    def passes_on(self, appliance: str, packet: Packet) -> bool:
        """Note that an appliance gets the packet to pass it on; False when it has passed it on before."""
        if (appliance, packet) in self._passes:
            self._loop(appliance, packet)
            return False
        self._passes.add((appliance, packet))
        return True

    def _loop(self, component: str, packet: Packet) -> None:
        self.block(Stage.ARRIVAL, component, packet, "ECSNET_ROUTING_LOOP", "routes send it round in a circle")

    def passed(self, stage: Stage, component: str, packet: Packet, text: str, rules: tuple[str, ...] = ()) -> None:
        self._add(stage, component, packet, text, rules)

    def block(
        self,
        stage: Stage,
        component: str,
        packet: Packet,
        code: str,
        text: str,
        drop: Drop | None = None,
        rules: tuple[str, ...] = (),
    ) -> None:
        """Something that stops the packet; `drop` is what the packet filter says, None where none decides."""
        self._add(stage, component, packet, text, rules, code, drop)

    def no_route(self, component: str, packet: Packet, code: str, text: str, *rules: str) -> None:
        self.block(Stage.ROUTE, component, packet, code, text, Drop(What.ROUTE), rules)

    def _add(
        self,
        stage: Stage,
        component: str,
        packet: Packet,
        text: str,
        rules: tuple[str, ...],
        code: str = "",
        drop: Drop | None = None,
    ) -> None:
        self.steps.append(
            Step(
                direction=self.direction,
                crossing=self.crossing,
                stage=stage,
                component=component,
                ok=not code,
                packet=packet,
                rules=rules,
                code=code,
                drop=drop,
                text=text,
                hidden=self.hidden,
            )
        )
