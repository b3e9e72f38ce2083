"""Random networks, random changes: kernel and `reach` agree on every verdict and on who decided."""

from __future__ import annotations

import random

import pytest
from api_lab import ApiLab
from differential import Tally, ask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_network import QUOTAS, RandomNetwork

from ecsnet.testing.world import throw_away_world

pytestmark = [pytest.mark.network, pytest.mark.slow]

NETWORKS = 6
CHANGES = 50
PROBES = 200


@pytest.mark.timeout(600)
def test_kernel_and_reach_agree_on_random_networks() -> None:
    tally = Tally()
    with throw_away_world() as net:

        @settings(
            max_examples=NETWORKS,
            deadline=None,
            derandomize=True,  # the same networks every time; `make soak` makes new ones
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink takes hours; a failing seed is printed
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        @given(st.integers(0, 1 << 30))
        def run(seed: int) -> None:
            lab = ApiLab(net, QUOTAS)
            network = RandomNetwork(lab, random.Random(seed))
            history = []
            for _ in range(CHANGES):
                history.append(network.change())
                tally.changes += 1
                ask(lab, network, PROBES, tally)
                assert not tally.disagreements, "\n".join((*tally.disagreements[:3], *history))
            network.close()

        run()
    print(tally)
    assert tally.changes >= NETWORKS * CHANGES
