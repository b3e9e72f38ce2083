"""What a view answers, read back by dnspython."""

from __future__ import annotations

import collections

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from ecsnet.hostplan.names import DnsRecords, DnsView
from ecsnet.resolver.data import Served, put_all


def records(
    name: str, kind: str, *values: str, view: str = "vpc", zone: str = "prod.internal", **more: object
) -> DnsRecords:
    base = {"ttl": 60, "owner": "test", **more}
    return DnsRecords(view=view, zone=zone, name=name, type=kind, values=values, **base)  # type: ignore[arg-type]


def served(*items: DnsView | DnsRecords) -> Served:
    made = Served()
    assert put_all(made, items) == ()
    return made


VPC = DnsView(
    name="vpc",
    netns="r1",
    addresses=("10.0.0.2",),
    generated=(("ec2.internal", ("10.0.0.0/20", "10.9.0.0/24")),),
    public="internet",
)


def ask(
    made: Served, name: str, kind: str = "A", *, view: str = "vpc", udp: bool = True, **more: object
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]
    packet = query.to_wire()
    reply = made.view(view).answer(packet) if udp else made.view(view).answer_uncached(packet, udp=False)
    assert reply is not None
    parsed = dns.message.from_wire(reply)
    assert query.is_response(parsed)
    return parsed


def values(message: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in message.answer for item in rrset]


def negative(message: dns.message.Message) -> tuple[str, int]:
    """The rcode of an answer without records but with the SOA, and the SOA's TTL."""
    assert message.answer == []
    (soa,) = message.authority
    assert soa.rdtype == dns.rdatatype.SOA
    return dns.rcode.to_text(message.rcode()), soa.ttl


def test_answers_a_name_in_the_askers_spelling_with_its_ttl() -> None:
    made = served(VPC, records("web.prod.internal", "A", "10.0.1.10", ttl=60))
    reply = ask(made, "Web.PROD.internal")
    assert values(reply) == ["10.0.1.10"]
    assert reply.answer[0].ttl == 60
    assert str(reply.question[0].name) == "Web.PROD.internal."
    assert str(reply.answer[0].name) == "Web.PROD.internal."
    assert reply.flags & dns.flags.RA
    assert not reply.flags & dns.flags.AA


def test_absent_names_and_absent_types_are_told_apart() -> None:
    made = served(VPC, records("a.b.prod.internal", "A", "10.0.1.10"))
    assert negative(ask(made, "x.prod.internal")) == ("NXDOMAIN", 5)
    assert negative(ask(made, "a.b.prod.internal", "AAAA")) == ("NOERROR", 5)
    assert negative(ask(made, "b.prod.internal")) == ("NOERROR", 5)
    assert negative(ask(made, "prod.internal")) == ("NOERROR", 5)
    assert negative(ask(made, "example.com")) == ("NXDOMAIN", 5)


def test_an_update_is_seen_at_once_through_the_cache() -> None:
    made = served(VPC, records("web.prod.internal", "A", "10.0.1.10"))
    assert values(ask(made, "web.prod.internal")) == ["10.0.1.10"]
    made.put(records("web.prod.internal", "A", "10.0.1.11"))
    assert values(ask(made, "web.prod.internal")) == ["10.0.1.11"]
    assert negative(ask(made, "api.prod.internal"))[0] == "NXDOMAIN"
    made.put(records("api.prod.internal", "A", "10.0.1.12"))
    assert values(ask(made, "api.prod.internal")) == ["10.0.1.12"]
    made.remove("dns:vpc/web.prod.internal/A")
    assert negative(ask(made, "web.prod.internal"))[0] == "NXDOMAIN"
    made.remove("dns:vpc/api.prod.internal/A")
    assert negative(ask(made, "api.prod.internal"))[0] == "NXDOMAIN"


def test_the_longest_zone_decides_alone_and_shadows_public_names() -> None:
    made = served(
        VPC,
        records("www.example.com", "A", "198.18.0.1", view="internet", zone="example.com"),
        records("api.example.com", "A", "198.18.0.2", view="internet", zone="example.com"),
    )
    assert values(ask(made, "www.example.com")) == ["198.18.0.1"]
    made.put(records("api.example.com", "A", "10.0.1.1", zone="example.com"))
    assert values(ask(made, "api.example.com")) == ["10.0.1.1"]
    assert negative(ask(made, "www.example.com"))[0] == "NXDOMAIN"
    assert values(ask(made, "www.example.com", view="internet")) == ["198.18.0.1"]
    made.remove("dns:vpc/api.example.com/A")
    assert values(ask(made, "api.example.com")) == ["198.18.0.2"]


def test_wildcards_answer_below_the_closest_existing_name_only() -> None:
    made = served(VPC, records("*.prod.internal", "A", "10.0.0.9"), records("x.y.prod.internal", "A", "10.0.0.8"))
    assert values(ask(made, "q.q.prod.internal")) == ["10.0.0.9"]
    assert negative(ask(made, "z.y.prod.internal"))[0] == "NXDOMAIN"
    assert negative(ask(made, "q.prod.internal", "AAAA"))[0] == "NOERROR"


def test_follows_aliases_across_zones_and_ends_loops() -> None:
    made = served(
        VPC,
        records("app.prod.internal", "CNAME", "lb.eu-west-1.elb.amazonaws.com"),
        records(
            "lb.eu-west-1.elb.amazonaws.com", "A", "198.18.0.5", view="internet", zone="eu-west-1.elb.amazonaws.com"
        ),
        records("dead.prod.internal", "CNAME", "nowhere.example.org"),
        records("one.prod.internal", "CNAME", "two.prod.internal"),
        records("two.prod.internal", "CNAME", "one.prod.internal"),
    )
    reply = ask(made, "APP.prod.internal")
    assert [(str(r.name), r.rdtype) for r in reply.answer] == [
        ("APP.prod.internal.", dns.rdatatype.CNAME),
        ("lb.eu-west-1.elb.amazonaws.com.", dns.rdatatype.A),
    ]
    assert values(ask(made, "app.prod.internal", "CNAME")) == ["lb.eu-west-1.elb.amazonaws.com."]
    dead = ask(made, "dead.prod.internal")
    assert (values(dead), dns.rcode.to_text(dead.rcode())) == (["nowhere.example.org."], "NXDOMAIN")
    assert len(dead.authority) == 1
    assert len(values(ask(made, "one.prod.internal"))) <= 9


def test_rotates_and_limits_the_records_of_a_set() -> None:
    everybody = [f"10.0.3.{n}" for n in range(40)]
    made = served(VPC, records("many.prod.internal", "A", *everybody, count=8))
    seen = collections.Counter(value for _ in range(1000) for value in values(ask(made, "many.prod.internal")))
    assert set(seen) == set(everybody)
    assert sum(seen.values()) == 8 * 1000
    made.put(records("many.prod.internal", "A", *everybody[:3]))
    firsts = collections.Counter(values(ask(made, "many.prod.internal"))[0] for _ in range(600))
    assert set(firsts) == set(everybody[:3])


def test_what_does_not_fit_is_cut_to_nothing_and_comes_whole_by_tcp() -> None:
    everybody = [f"10.0.3.{n}" for n in range(100)]
    made = served(VPC, records("many.prod.internal", "A", *everybody))
    short = ask(made, "many.prod.internal")
    assert short.flags & dns.flags.TC
    assert short.answer == []
    assert sorted(values(ask(made, "many.prod.internal", udp=False))) == sorted(everybody)
    some = served(VPC, records("some.prod.internal", "A", *everybody[:50]))
    assert ask(some, "some.prod.internal").flags & dns.flags.TC
    assert len(values(ask(some, "some.prod.internal", use_edns=0, payload=4096))) == 50


def test_edns_is_answered_in_kind() -> None:
    made = served(VPC, records("web.prod.internal", "A", "10.0.1.10"))
    reply = ask(made, "web.prod.internal", use_edns=0, payload=4096, want_dnssec=True)
    assert (reply.edns, reply.payload) == (0, 1232)
    assert reply.ednsflags & dns.flags.DO
    assert ask(made, "web.prod.internal").edns == -1
    reply = ask(made, "web.prod.internal", use_edns=1)
    assert reply.rcode() == dns.rcode.BADVERS


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ip-10-0-1-25.ec2.internal", "10.0.1.25"),
        ("IP-10-9-0-255.ec2.internal", "10.9.0.255"),
        ("ip-10-0-16-1.ec2.internal", None),
        ("ip-10-9-1-1.ec2.internal", None),
        ("ip-10-0-01-25.ec2.internal", None),
        ("ip-10-0-1-256.ec2.internal", None),
        ("ip-10-0-1.ec2.internal", None),
        ("x.ip-10-0-1-25.ec2.internal", None),
        ("ip-10-0-1-25.eu-west-1.compute.internal", None),
    ],
)
def test_address_names_only_inside_the_networks(name: str, address: str | None) -> None:
    reply = ask(served(VPC), name)
    if address is None:
        assert negative(reply)[0] == "NXDOMAIN"
    else:
        assert values(reply) == [address]


def test_reverse_names_only_inside_the_networks() -> None:
    made = served(VPC)
    assert values(ask(made, "25.1.0.10.in-addr.arpa", "PTR")) == ["ip-10-0-1-25.ec2.internal."]
    assert values(ask(made, "7.0.9.10.in-addr.arpa", "PTR")) == ["ip-10-9-0-7.ec2.internal."]
    assert negative(ask(made, "1.16.0.10.in-addr.arpa", "PTR"))[0] == "NXDOMAIN"
    assert negative(ask(made, "1.1.1.1.in-addr.arpa", "PTR"))[0] == "NXDOMAIN"
    assert negative(ask(made, "1.0.10.in-addr.arpa", "PTR"))[0] == "NOERROR"
    assert negative(ask(made, "x.1.0.10.in-addr.arpa", "PTR"))[0] == "NXDOMAIN"


def test_two_views_with_the_same_names_keep_apart() -> None:
    other = DnsView(name="other", netns="r2", addresses=("10.0.0.2",), public="internet")
    made = served(
        VPC,
        other,
        records("db.prod.internal", "A", "10.0.0.10"),
        records("db.prod.internal", "A", "10.0.0.20", view="other"),
    )
    assert values(ask(made, "db.prod.internal")) == ["10.0.0.10"]
    assert values(ask(made, "db.prod.internal", view="other")) == ["10.0.0.20"]
    assert negative(ask(made, "ip-10-0-1-25.ec2.internal", view="other"))[0] == "NXDOMAIN"


def test_names_and_data_that_cannot_be_served_are_named() -> None:
    failures = put_all(
        Served(),
        [
            records("web.elsewhere", "A", "10.0.0.1"),
            records("web.prod.internal", "A", "10.0.0"),
            records("web.prod.internal", "SPF", "x"),
            records("web.prod.internal", "SRV", "1 2 host"),
            records(f"{'x' * 64}.prod.internal", "A", "10.0.0.1"),
        ],
    )
    assert [failure.text.split(":")[0] for failure in failures] == [
        "the name 'web.elsewhere' is not in the zone 'prod.internal'",
        "'10.0.0' is not the data of a record of type A",
        "record type SPF is not served; A, NS, CNAME, PTR, MX, TXT, AAAA, SRV are",
        "'1 2 host' is not the data of a record of type SRV",
        f"the name '{'x' * 64}.prod.internal' has a label of 64 bytes; 1 to 63 are allowed",
    ]


def test_other_types_of_data() -> None:
    made = served(
        VPC,
        records("s.prod.internal", "SRV", "1 10 8080 web.prod.internal", "2 10 8081 web.prod.internal"),
        records("t.prod.internal", "TXT", '"one \\"quoted\\"" "two"', "plain"),
        records("m.prod.internal", "MX", "10 mail.prod.internal"),
        records("v6.prod.internal", "AAAA", "fd00::1"),
        records("n.prod.internal", "NS", "ns.prod.internal"),
    )
    assert sorted(values(ask(made, "s.prod.internal", "SRV")))[0] == "1 10 8080 web.prod.internal."
    assert sorted(values(ask(made, "t.prod.internal", "TXT"))) == ['"one \\"quoted\\"" "two"', '"plain"']
    assert values(ask(made, "m.prod.internal", "MX")) == ["10 mail.prod.internal."]
    assert values(ask(made, "v6.prod.internal", "AAAA")) == ["fd00::1"]
    assert values(ask(made, "n.prod.internal", "NS")) == ["ns.prod.internal."]
    assert len(values(ask(made, "s.prod.internal", "ANY"))) == 2


def test_a_view_that_goes_takes_its_computed_names_along() -> None:
    made = served(VPC, records("web.prod.internal", "A", "10.0.1.10"))
    made.remove(VPC.key)
    assert negative(ask(made, "ip-10-0-1-25.ec2.internal"))[0] == "NXDOMAIN"
    made.remove("dns:vpc/web.prod.internal/A")
    assert "vpc" not in made.views
