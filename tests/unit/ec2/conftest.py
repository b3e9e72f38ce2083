"""Fixtures: an account as AWS hands it over, and one in which nothing exists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ec2_account import Ec2

from ecsnet.model.tables import SCHEMA
from ecsnet.services.ec2 import ops
from ecsnet.store.store import Store


@pytest.fixture
def ec2() -> Iterator[Ec2]:
    """An account whose default VPC has been made."""
    store = Store(None, SCHEMA)
    account = Ec2(store=store)
    account.verb(ops.seed_account)
    yield account
    store.close()


@pytest.fixture
def bare() -> Iterator[Ec2]:
    """An account in which nothing exists."""
    store = Store(None, SCHEMA)
    yield Ec2(store=store)
    store.close()
