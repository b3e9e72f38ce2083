"""Long streams cross every kind of link whole, inside the VPC in packets of more than 64 KiB."""

from __future__ import annotations

import os
import re
import sys

import pytest
import rows
from test_gateways import CLIENT, nat_gateway, public_vpc
from test_peering import two
from vpc_lab import Lab, Task

pytestmark = pytest.mark.network

BYTES = 48 << 20

SEND = """
import hashlib, random, socket, sys
data = random.Random(7).randbytes(1 << 20)
found = hashlib.sha256()
with socket.create_connection((sys.argv[1], 80), timeout=60) as made:
    for _ in range(int(sys.argv[2]) >> 20):
        made.sendall(data)
        found.update(data)
    made.shutdown(socket.SHUT_WR)
    made.recv(1)
print(found.hexdigest())
"""

RECEIVE = """
import hashlib, socket, sys
found = hashlib.sha256()
with socket.create_server((sys.argv[1], 80)) as listener:
    print("listening", flush=True)
    made, _ = listener.accept()
    made.settimeout(60)
    while part := made.recv(1 << 20):
        found.update(part)
    made.close()
print(found.hexdigest(), flush=True)
"""

LONGEST = """
import select, socket, sys
made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
made.bind((sys.argv[1], 3))
print("watching", flush=True)
longest, byte = 0, bytearray(1)
while True:
    ready, _, _ = select.select([made, sys.stdin], [], [])
    if made in ready:
        longest = max(longest, made.recv_into(byte, 1, socket.MSG_TRUNC))
    else:
        break
print(longest, flush=True)
"""


def stream(lab: Lab, sender: str, device: str, receiver: str, bound: str, target: str) -> int:
    """Send BYTES to port 80 of `target`, which is `bound` of the receiver; the longest frame on the sender's device."""
    with (
        lab.net.start(receiver, sys.executable, "-c", RECEIVE, bound) as taking,
        lab.net.start(sender, sys.executable, "-c", LONGEST, device) as watching,
    ):
        for process, word in ((taking, "listening"), (watching, "watching")):
            assert process.stdout is not None
            assert process.stdout.readline().strip() == word
        sent = lab.net.run(sender, sys.executable, "-c", SEND, target, str(BYTES))
        assert sent.returncode == 0, sent.stderr
        arrived, _ = taking.communicate(timeout=60)
        assert arrived.strip() == sent.stdout.strip()
        longest, _ = watching.communicate(timeout=60)
        return int(longest)


def big_tcp() -> bool:
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return (int(major), int(minor)) >= (6, 3)


def test_inside_the_vpc(lab: Lab) -> None:
    lab.vpc()
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    one, other = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2)
    longest = stream(lab, one.netns, "eth0", other.netns, other.address, other.address)
    assert (longest > 1 << 16) is big_tcp(), longest


def test_between_peers(lab: Lab) -> None:
    one, other = two(lab)
    longest = stream(lab, one.netns, "eth0", other.netns, other.address, other.address)
    assert (longest > 1 << 16) is big_tcp(), longest


@pytest.mark.parametrize("through", ["internet gateway", "nat gateway"])
def test_to_the_internet(lab: Lab, through: str) -> None:
    public_vpc(lab)
    nat_gateway(lab)
    public = "198.18.0.10" if through == "internet gateway" else None
    task = lab.task("10.0.1.10" if public else "10.0.2.10", 1, subnet=1 if public else 2, public=public)
    stream(lab, task.netns, "eth0", "internet", CLIENT, CLIENT)


def test_from_the_internet(lab: Lab) -> None:
    public_vpc(lab)
    web: Task = lab.task("10.0.1.10", 2, public="198.18.0.10")
    stream(lab, "internet", "g000100000000", web.netns, web.address, "198.18.0.10")
