from __future__ import annotations

from collections.abc import Iterator

import pytest
from gatewayharness import Elsewhere, Gateway, serve

from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway on a free loopback port, with an empty store."""
    made = Gateway(store=Store(None, SCHEMA), elsewhere=Elsewhere())
    made.port, stop = serve(made.app())
    try:
        yield made
    finally:
        stop()
        made.store.close()
