"""Prefix lists through the API: a changed entry is in force when its call has been answered."""

from __future__ import annotations

import pytest
from test_through_the_api import address_of, place_of, run_task, task_definition

from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance

pytestmark = [pytest.mark.network]

__all__ = ["task_definition"]


def test_an_entry_lets_in_and_shuts_out_at_once(instance: Instance, task_definition: str) -> None:
    ec2 = instance.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.70.1.0/24")["Subnet"]["SubnetId"]
    listed = ec2.create_managed_prefix_list(PrefixListName="clients", MaxEntries=3, AddressFamily="IPv4")["PrefixList"]
    key = listed["PrefixListId"]
    client_group, server_group = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("clients", "servers")
    )
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "PrefixListIds": [{"PrefixListId": key}]}
    ec2.authorize_security_group_ingress(GroupId=server_group, IpPermissions=[rule])
    client, server = (run_task(instance, task_definition, subnet, [group]) for group in (client_group, server_group))
    url = f"http://{address_of(server)}/"

    def silent() -> bool:
        with pytest.raises(CliError) as caught:
            instance.curl(url, place=place_of(client), timeout=0.5)
        return caught.value.code is Exit.TIMED_OUT

    assert silent()
    entry = {"Cidr": f"{address_of(client)}/32", "Description": "the client"}
    for version in (1, 3):
        ec2.modify_managed_prefix_list(PrefixListId=key, CurrentVersion=version, AddEntries=[entry])
        assert instance.curl(url, place=place_of(client)).status == 200
        ec2.modify_managed_prefix_list(
            PrefixListId=key, CurrentVersion=version + 1, RemoveEntries=[{"Cidr": entry["Cidr"]}]
        )
        assert silent()
    ec2.restore_managed_prefix_list_version(PrefixListId=key, PreviousVersion=2, CurrentVersion=5)
    assert instance.curl(url, place=place_of(client)).status == 200
    with pytest.raises(ec2.exceptions.ClientError, match="DependencyViolation"):
        ec2.delete_managed_prefix_list(PrefixListId=key)
