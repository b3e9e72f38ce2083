"""`make bench`: every benchmark, one after the other; ours and the comparison in the same run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("api", "network", "tasks", "probe", "vpc")
"""Then `readme`, which measures nothing, writes their figures into the README."""


def main() -> None:
    """Run each benchmark in a process of its own, so that none inherits another's memory."""
    folder = Path(__file__).resolve().parent
    for name in (*BENCHMARKS, "readme"):
        print(f"── {name} " + "─" * (70 - len(name)), flush=True)
        subprocess.run([sys.executable, str(folder / f"{name}.py")], check=True)


if __name__ == "__main__":
    main()
