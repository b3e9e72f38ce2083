"""`make soak`: many random networks, a fresh one every hundred changes; prints a line per network and a tally.

python tests/network/soak.py [--changes N] [--probes N] [--seed N]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "compile"), str(TESTS)]

from api_lab import ApiLab  # noqa: E402
from differential import Tally, ask  # noqa: E402
from random_network import QUOTAS, RandomNetwork  # noqa: E402

from ecsnet.testing.world import throw_away_world  # noqa: E402

PER_NETWORK = 100


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare kernel and reach on random networks.")
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--probes", type=int, default=200, help="after each change")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    total, began = Tally(), time.monotonic()
    print(f"seed {options.seed}", flush=True)
    with throw_away_world() as net:
        while total.changes < options.changes:
            seed = options.seed + total.changes
            if not _one(net, seed, min(PER_NETWORK, options.changes - total.changes), options.probes, total):
                return 1
            print(f"{time.monotonic() - began:7.0f} s  {total}", flush=True)
    return 0


def _one(net: object, seed: int, changes: int, probes: int, total: Tally) -> bool:
    """One network; False after the first disagreement, which is printed with what led to it."""
    lab = ApiLab(net, QUOTAS)  # type: ignore[arg-type]
    network = RandomNetwork(lab, random.Random(seed))
    history = []
    for _ in range(changes):
        history.append(network.change())
        total.changes += 1
        ask(lab, network, probes, total)
        if total.disagreements:
            print(f"network {seed}, change {len(history)}:", *total.disagreements[:3], *history, sep="\n", flush=True)
            return False
    network.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
