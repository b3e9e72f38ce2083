"""The reader of log groups: what it sees of real packets, that it says what it missed, that a group has one reader."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Address

import pytest
from sandbox import command, sandboxed, short_directory

from ecsnet.agent.nflog import ACCEPTS, DROPS, BusyError, Logged, LogReader, Missed
from ecsnet.agent.packet import UDP, parse
from ecsnet.testing.waiting import eventually

pytestmark = pytest.mark.network

RULES = """
table inet ecs { chain pre { type filter hook prerouting priority 0; policy accept;
  udp dport 7 log prefix "D test eni-1" group 1 snaplen 96 counter drop
  udp dport 9 log prefix "A sgr-1" group 2 snaplen 96
  udp dport 11 meta mark set 0x10 log prefix "D marked" group 1 snaplen 96
 }
}
"""


def _rules() -> None:
    file = short_directory() / "rules"
    file.write_text(RULES)
    command("nft", "-f", str(file))


def _counted() -> int:
    """Packets to port 7, by the rule's own counter: what is sent too fast may not come as far as the rule."""
    listed = json.loads(command("nft", "-j", "list", "chain", "inet", "ecs", "pre"))["nftables"]
    words = [word for item in listed for word in item.get("rule", {}).get("expr", ())]
    return sum(int(word["counter"]["packets"]) for word in words if "counter" in word)


def _send(port: int, count: int = 1) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        for number in range(count):
            made.sendto(b"%d" % number, ("127.0.0.1", port))


@sandboxed
def test_every_word_about_a_packet_is_read_in_order() -> None:
    _rules()
    reader = LogReader("here")
    assert reader.read() == []
    for port in (7, 9, 11):
        _send(port)
    events: list[Logged] = []

    def all_three() -> bool:
        # A busy kernel hands packets on when it gets to it, which may be after they were sent.
        events.extend(event for event in reader.read() if isinstance(event, Logged))
        return len(events) >= 3

    eventually(all_three, "a word about each packet")
    assert [(event.group, event.prefix, event.mark) for event in events] == [
        (DROPS, "D test eni-1", 0),
        (ACCEPTS, "A sgr-1", 0),
        (DROPS, "D marked", 16),
    ]
    assert [(event.netns, event.in_link, event.out_link) for event in events] == [("here", 1, 0)] * 3
    packet = parse(events[0].payload)
    assert packet is not None
    assert (packet.destination_address, packet.protocol, packet.destination_port) == (IPv4Address("127.0.0.1"), UDP, 7)
    assert events[0].payload[packet.payload :] == b"0"


@sandboxed
def test_what_came_too_fast_is_counted() -> None:
    _rules()
    reader = LogReader("here")
    sent = 20_000
    _send(7, sent)
    seen: list[Logged] = []
    missed: list[Missed] = []

    def all_read() -> bool:
        while events := reader.read():
            seen.extend(event for event in events if isinstance(event, Logged))
            missed.extend(event for event in events if isinstance(event, Missed))
        return len(seen) + sum(event.count or 0 for event in missed) == _counted()

    assert not all_read()
    assert Missed(netns="here", group=None, count=None) in missed
    _send(7)  # its number tells how many were missed before it
    eventually(all_read, "what was read and what was missed are what the rule has counted")


@sandboxed
def test_a_group_has_one_reader() -> None:
    first = LogReader("here", [DROPS])
    LogReader("here", [ACCEPTS])
    with pytest.raises(BusyError):
        LogReader("here", [DROPS])
    first.close()
    LogReader("here", [DROPS])
