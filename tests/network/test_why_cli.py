"""`ecsnet why` as a user runs it: through the API's process, with exit codes for scripts."""

from __future__ import annotations

import json

import pytest

from ecsnet.testing.instance import Instance

pytestmark = [pytest.mark.network]


def test_a_blocked_flow_ends_with_1_and_a_name_that_nothing_has_with_4(instance: Instance) -> None:
    ec2 = instance.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]

    blocked = instance.run("why", interface, "internet", "443/tcp", check=False)
    assert blocked.returncode == 1
    assert "BLOCKED  1 thing is in the way" in blocked.stdout
    assert "nothing holds this interface" in blocked.stdout

    answer = json.loads(instance.run("why", "internet", interface, "80/tcp", "--json", check=False).stdout)
    assert (answer["verdict"], answer["deciding"]) == ("blocked", "D route")

    assert instance.run("why", "nobody", interface, check=False).returncode == 4
    assert instance.run("why", "internet", interface, "web", check=False).returncode == 2
