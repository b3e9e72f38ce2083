"""What every benchmark shares: medians and p99, the machine it ran on, and the result file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, p99, smallest and largest of a sample, in the sample's own unit."""
    return {
        "count": len(values),
        "p50": round(statistics.median(values), 4),
        "p99": round(percentile(values, 0.99), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    return {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}


def write(name: str, result: dict[str, Any]) -> None:
    """Keep a benchmark's result in bench/results/<name>.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {"measured": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no resident memory")
