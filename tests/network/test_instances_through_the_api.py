"""Instances as an AWS client sees them, and their packets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ecsnet.cli.dial import Place, dial
from ecsnet.cli.errors import CliError, Exit
from ecsnet.testing.instance import Instance

pytestmark = [pytest.mark.network]

WAIT = {"Delay": 1, "MaxAttempts": 120}


def namespace(key: str) -> str:
    return "i" + key.removeprefix("i-")[:12]


def place(key: str) -> Place:
    return Place(netns=namespace(key), nameserver="169.254.169.253")


@contextmanager
def answering(instance: Instance, key: str, address: str, port: int = 80) -> Iterator[None]:
    """A server inside an instance that accepts connections and closes them."""
    with instance.inside(namespace(key)):
        server = socket.create_server((address, port))

    def serve() -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def reaches(instance: Instance, key: str, address: str, port: int = 80) -> bool:
    """Whether a connection comes about, for which a busy machine gets time. Raises CliError when it does not."""
    dial(instance.home, place(key), address, port, timeout=20.0).close()
    return True


def silent(instance: Instance, key: str, address: str, port: int = 80) -> bool:
    """Whether a connection attempt gets no answer."""
    with pytest.raises(CliError) as caught:
        dial(instance.home, place(key), address, port, timeout=1.0)
    return caught.value.code is Exit.TIMED_OUT


def run(instance: Instance, **more: Any) -> dict[str, Any]:
    ec2 = instance.client("ec2")
    made = ec2.run_instances(ImageId="ami-1", InstanceType="m5.large", MinCount=1, MaxCount=1, **more)
    key = made["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[key], WaiterConfig=WAIT)
    shown: dict[str, Any] = ec2.describe_instances(InstanceIds=[key])["Reservations"][0]["Instances"][0]
    return shown


def test_launch_stop_start_and_terminate(instance: Instance) -> None:
    ec2 = instance.client("ec2")
    group = ec2.create_security_group(GroupName="open", Description="x")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0")
    one, other = (run(instance, SecurityGroupIds=[group]) for _ in range(2))
    key, address = one["InstanceId"], one["PrivateIpAddress"]
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[key], WaiterConfig=WAIT)
    with answering(instance, key, address):
        assert reaches(instance, other["InstanceId"], address)
        assert silent(instance, other["InstanceId"], address, 81)
    ec2.stop_instances(InstanceIds=[key])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[key], WaiterConfig=WAIT)
    assert namespace(key) not in instance.namespaces()
    assert silent(instance, other["InstanceId"], address)
    ec2.start_instances(InstanceIds=[key])
    ec2.get_waiter("instance_running").wait(InstanceIds=[key], WaiterConfig=WAIT)
    with answering(instance, key, address):
        assert reaches(instance, other["InstanceId"], address)
    shown = json.loads(instance.run("map", "--json").stdout)
    users = [eni["used_by"] for vpc in shown for subnet in vpc["subnets"] for eni in subnet["interfaces"]]
    assert f"instance {key}" in users
    ec2.terminate_instances(InstanceIds=[key, other["InstanceId"]])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[key, other["InstanceId"]], WaiterConfig=WAIT)
    assert not {namespace(key), namespace(other["InstanceId"])} & instance.namespaces()
    assert ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [group]}])["NetworkInterfaces"] == []
    ec2.delete_security_group(GroupId=group)


def test_an_interface_moves_from_one_instance_to_another(instance: Instance) -> None:
    ec2 = instance.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.60.1.0/24")["Subnet"]["SubnetId"]
    client, first, second = (run(instance, SubnetId=subnet)["InstanceId"] for _ in range(3))
    eni = ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress="10.60.1.50")["NetworkInterface"]
    moving = eni["NetworkInterfaceId"]

    def attach(key: str) -> str:
        reply = ec2.attach_network_interface(InstanceId=key, NetworkInterfaceId=moving, DeviceIndex=1)
        return str(reply["AttachmentId"])

    attachment = attach(first)
    with answering(instance, first, "10.60.1.50"):
        assert reaches(instance, client, "10.60.1.50")
    ec2.detach_network_interface(AttachmentId=attachment)
    assert silent(instance, client, "10.60.1.50")
    attach(second)
    with answering(instance, second, "10.60.1.50"):
        assert reaches(instance, client, "10.60.1.50")
    (shown,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[moving])["NetworkInterfaces"]
    assert (shown["Status"], shown["Attachment"]["InstanceId"]) == ("in-use", second)
