"""Task sizes: what `cpu` and `memory` may say, and which pairs Fargate offers (API RegisterTaskDefinition, `cpu`)."""

from __future__ import annotations

import re

from ecsnet.services.ecs import errors

_GB = 1024

_PAIRS: dict[int, tuple[int, ...]] = {
    256: (512, 1 * _GB, 2 * _GB),
    512: tuple(n * _GB for n in range(1, 5)),
    1024: tuple(n * _GB for n in range(2, 9)),
    2048: tuple(n * _GB for n in range(4, 17)),
    4096: tuple(n * _GB for n in range(8, 31)),
    8192: tuple(n * _GB for n in range(16, 61, 4)),
    16384: tuple(n * _GB for n in range(32, 121, 8)),
}

_CPU = re.compile(r"(?:(?P<units>\d+)|(?P<vcpu>\d*\.?\d+)\s*vcpu)\Z", re.IGNORECASE)
_MEMORY = re.compile(r"(?:(?P<mib>\d+)|(?P<gb>\d*\.?\d+)\s*gb)\Z", re.IGNORECASE)


def cpu_units(text: str) -> int:
    """CPU units of "256", "0.25 vCPU" or ".25vcpu". Raises ClientException."""
    match = _CPU.match(text.strip())
    if match is None:
        raise errors.client("Invalid 'cpu' setting for task.")
    return int(match["units"]) if match["units"] else int(float(match["vcpu"]) * 1024)


def memory_mib(text: str) -> int:
    """MiB of "512", "1GB" or "0.5 gb". Raises ClientException."""
    match = _MEMORY.match(text.strip())
    if match is None:
        raise errors.client("Invalid 'memory' setting for task.")
    return int(match["mib"]) if match["mib"] else int(float(match["gb"]) * 1024)


def check_fargate(cpu: int | None, memory: int | None) -> None:
    """Raises ClientException unless Fargate offers this pair of CPU units and MiB."""
    for name, value in (("cpu", cpu), ("memory", memory)):
        if value is None:
            raise errors.client(f"Fargate requires that '{name}' be defined at the task level.")
    assert cpu is not None
    if memory not in _PAIRS.get(cpu, ()):
        raise errors.client(
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS "
            "documentation for the valid values."
        )
