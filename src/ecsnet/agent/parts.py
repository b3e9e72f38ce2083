"""Which drivers the agent runs: one line per part. Order does not matter here; `order.py` decides who goes first."""

from __future__ import annotations

from ecsnet.agent.driver import PartFactory
from ecsnet.agent.drivers.envoy import envoy
from ecsnet.agent.drivers.instance_metadata import instance_metadata
from ecsnet.agent.drivers.metadata import metadata
from ecsnet.agent.drivers.resolver import resolver
from ecsnet.agent.runtimes.part import workloads

PARTS: tuple[PartFactory, ...] = (workloads, metadata, instance_metadata, resolver, envoy)
