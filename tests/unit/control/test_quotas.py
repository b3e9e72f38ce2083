"""Quotas that a user sets at the start."""

from __future__ import annotations

import pytest

from ecsnet.control.quotas import read


def test_quotas_are_read() -> None:
    assert read([]) == {}
    assert read(["rules_per_group=100", "groups_per_interface=10", "targets-per-target-group=5"]) == {
        "rules_per_group": 100,
        "groups_per_interface": 10,
        "targets-per-target-group": 5,
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["rules_per_group"], "name=number"),
        (["rules_per_group=-1"], "name=number"),
        (["rules_per_group=٣"], "name=number"),
        (["rules=1"], "no such quota"),
        (["groups_per_interface=17"], "16 at most"),
        (["entries_per_acl=41"], "40 at most"),
        (["rules_per_group=201"], "1000 at most, not 201 times 5"),
        (["rules_per_group=63", "groups_per_interface=16"], "1000 at most, not 63 times 16"),
    ],
)
def test_what_aws_does_not_grant(options: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(options)
