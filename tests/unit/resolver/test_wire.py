"""Hostile and broken packets; cached and computed replies are the same. dnspython is the oracle."""

from __future__ import annotations

import random
import struct

import dns.exception
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.resolver.data import Served, put_all

HEADER = bytes.fromhex("abcd01000001000000000000")
WEB = b"\x03web\x04prod\x08internal\x00"
A_IN = b"\x00\x01\x00\x01"


def served() -> Served:
    made = Served()
    names = [
        DnsView(name="vpc", netns="r1", addresses=(), generated=(("ec2.internal", ("10.0.0.0/16",)),), public=None)
    ]
    for name, kind, value in (
        ("web.prod.internal", "A", "10.0.1.10"),
        ("a.b.prod.internal", "A", "10.0.1.11"),
        ("*.w.prod.internal", "A", "10.0.1.12"),
        ("c.prod.internal", "CNAME", "web.prod.internal"),
    ):
        names.append(
            DnsRecords(view="vpc", zone="prod.internal", name=name, type=kind, ttl=60, values=(value,), owner="t")
        )
    assert put_all(made, names) == ()
    return made


SERVED = served()


def answer(packet: bytes) -> bytes | None:
    return SERVED.view("vpc").answer(packet)


def test_a_reply_byte_by_byte() -> None:
    assert answer(HEADER + WEB + A_IN) == bytes.fromhex(
        "abcd 8180 0001 0001 0000 0000"
        "03 776562 04 70726f64 08 696e7465726e616c 00 0001 0001"
        "c00c 0001 0001 0000003c 0004 0a00010a"
    )


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"", None),
        (HEADER[:11], None),
        (HEADER[:2] + b"\x81\x00" + HEADER[4:] + WEB + A_IN, None),
        (HEADER, "abcd 8181 0000 0000 0000 0000"),
        (HEADER[:2] + b"\x29\x00" + HEADER[4:] + WEB + A_IN, "abcd a984 0000 0000 0000 0000"),
        (HEADER + WEB + A_IN + b"x", "abcd 8181 0000 0000 0000 0000"),
        (HEADER + b"\xc0\x0c" + A_IN, "abcd 8181 0000 0000 0000 0000"),
        (HEADER + b"\x40" + b"x" * 64 + b"\x00" + A_IN, "abcd 8181 0000 0000 0000 0000"),
        (HEADER + b"\x3f" + b"x" * 63 + b"\x00\x00\x01", "abcd 8181 0000 0000 0000 0000"),
        (HEADER[:4] + b"\x00\x02" + HEADER[6:] + WEB + A_IN + WEB + A_IN, "abcd 8181 0000 0000 0000 0000"),
        (
            HEADER + WEB + b"\x00\x01\x00\x03",
            "abcd 8185 0001 0000 0000 0000 03 776562 04 70726f64 08 696e7465726e616c 00 0001 0003",
        ),
        (
            HEADER + WEB + b"\x00\xfc\x00\x01",
            "abcd 8185 0001 0000 0000 0000 03 776562 04 70726f64 08 696e7465726e616c 00 00fc 0001",
        ),
    ],
)
def test_what_is_not_a_proper_query(packet: bytes, reply: str | None) -> None:
    assert answer(packet) == (None if reply is None else bytes.fromhex(reply))


def test_two_options_records_are_malformed() -> None:
    option = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
    one = HEADER[:10] + b"\x00\x01" + WEB + A_IN + option
    two = HEADER[:10] + b"\x00\x02" + WEB + A_IN + option + option
    good, bad = answer(one), answer(two)
    assert good is not None
    assert bad is not None
    assert good[3] & 15 == 0
    assert bad[3] & 15 == 1


@given(
    labels=st.lists(
        st.sampled_from(["web", "WEB", "a", "B", "b", "w", "c", "x", "prod", "internal", "ec2", "ip-10-0-1-2", "\x00"]),
        max_size=6,
    ),
    kind=st.sampled_from([1, 5, 28, 65, 97, 255]),
    flags=st.sampled_from([0, 0x0100, 0x0110]),
    edns=st.sampled_from(
        [b"", b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00", b"\x00\x00\x29\x02\x00\x00\x01\x00\x00\x00\x00"]
    ),
    ident=st.integers(0, 65535),
)
def test_cached_and_computed_replies_are_equal(
    labels: list[str], kind: int, flags: int, edns: bytes, ident: int
) -> None:
    name = b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\x00"
    packet = struct.pack("!HHHHHH", ident, flags, 1, 0, 0, 1 if edns else 0) + name + struct.pack("!HH", kind, 1) + edns
    view = SERVED.view("vpc")
    computed = view.answer_uncached(packet, udp=True)
    assert view.answer(packet) == computed
    assert view.answer(packet) == computed


def test_no_packet_breaks_it_and_every_reply_is_well_formed() -> None:
    chance = random.Random(20_000)
    seeds = [HEADER + WEB + A_IN, HEADER + b"\x01C\x04prod\x08internal\x00" + A_IN]
    seeds += [dns.message.make_query("q.W.prod.internal", "A", use_edns=0, payload=1400).to_wire()]
    seeds += [dns.message.make_query("ip-10-0-3-4.ec2.internal", "AAAA", want_dnssec=True).to_wire()]
    answered = 0
    for _ in range(20_000):
        packet = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            match chance.randrange(3):
                case 0:
                    packet[chance.randrange(len(packet))] = chance.randrange(256)
                case 1:
                    del packet[chance.randrange(len(packet)) :]
                    packet += b"" if packet else b"\x00"
                case _:
                    at = chance.randrange(len(packet))
                    packet[at:at] = chance.randbytes(chance.randrange(8))
        data = bytes(packet)
        reply = answer(data)
        if reply is None:
            continue
        answered += 1
        parsed = dns.message.from_wire(reply, ignore_trailing=False)
        assert parsed.id == int.from_bytes(data[:2], "big")
        if parsed.rcode() in (0, 3):
            # Whatever we answer as a query, dnspython understands as one.
            try:
                dns.message.from_wire(data)
            except dns.exception.DNSException as error:
                raise AssertionError(f"answered {data.hex()} that dnspython refuses: {error!r}") from error
    assert answered > 10_000
