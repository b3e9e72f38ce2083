"""Listeners and rules: forms of conditions and actions, priorities, limits, errors."""

from __future__ import annotations

from typing import Any

import pytest
from elb_cloud import FIXED, Elb


@pytest.fixture
def listener(cloud: Elb) -> str:
    return cloud.listener(cloud.balancer()["LoadBalancerArn"], cloud.group())


def create(cloud: Elb, listener: str, priority: int, conditions: list[Any], action: Any = FIXED) -> Any:
    request = {"ListenerArn": listener, "Priority": priority, "Conditions": conditions, "Actions": [action]}
    return cloud.elbv2("CreateRule", **request)["Rules"][0]


PATH = {"Field": "path-pattern", "Values": ["/a"]}


def test_listeners(cloud: Elb) -> None:
    balancer, group = cloud.balancer()["LoadBalancerArn"], cloud.group()
    arn = cloud.listener(balancer, group)
    assert cloud.listener(balancer, group) == arn, "the same listener again"
    request = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80, "DefaultActions": [FIXED]}
    assert cloud.fails("CreateListener", **request) == (
        "DuplicateListener: A listener with the specified port already exists."
    )
    assert cloud.fails("CreateListener", **request | {"Protocol": "TCP", "Port": 81}).endswith(
        "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'"
    )
    assert cloud.fails("CreateListener", **request | {"Protocol": "HTTPS", "Port": 443}).startswith(
        "InvalidConfigurationRequest: You must provide a list containing exactly one certificate"
    )
    assert cloud.fails("DescribeListeners").endswith("You must specify either listener ARNs or a load balancer ARN")
    changed = cloud.elbv2("ModifyListener", ListenerArn=arn, Port=8080)["Listeners"][0]
    assert (changed["Port"], changed["DefaultActions"][0]["TargetGroupArn"]) == (8080, group)
    cloud.elbv2("DeleteListener", ListenerArn=arn)
    assert cloud.fails("DeleteListener", ListenerArn=arn).startswith("ListenerNotFound")


def test_https_listeners_and_their_certificates(cloud: Elb) -> None:
    balancer = cloud.balancer()["LoadBalancerArn"]
    first, second = (f"arn:aws:acm:us-east-1:111122223333:certificate/{n}{n}{n}" for n in "ab")
    request = {"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": [FIXED]}
    made = cloud.elbv2("CreateListener", **request, Certificates=[{"CertificateArn": first}])["Listeners"][0]
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert made["Certificates"] == [{"CertificateArn": first}]
    arn = made["ListenerArn"]
    bad = request | {"Port": 444, "Certificates": [{"CertificateArn": "x"}]}
    assert cloud.fails("CreateListener", **bad).startswith("CertificateNotFound")
    bad = request | {"Port": 444, "Certificates": [{"CertificateArn": first}], "SslPolicy": "none"}
    assert cloud.fails("CreateListener", **bad).startswith("SSLPolicyNotFound")
    cloud.elbv2("AddListenerCertificates", ListenerArn=arn, Certificates=[{"CertificateArn": second}])
    listed = cloud.elbv2("DescribeListenerCertificates", ListenerArn=arn)["Certificates"]
    assert [(item["CertificateArn"], item["IsDefault"]) for item in listed] == [(first, True), (second, False)]
    assert cloud.fails(
        "RemoveListenerCertificates", ListenerArn=arn, Certificates=[{"CertificateArn": first}]
    ).startswith("OperationNotPermitted")
    cloud.elbv2("ModifyListener", ListenerArn=arn, Protocol="HTTP")
    (now,) = cloud.elbv2("DescribeListeners", ListenerArns=[arn])["Listeners"]
    assert "Certificates" not in now
    assert "SslPolicy" not in now


def test_both_forms_of_a_path_condition_are_answered_in_both(cloud: Elb, listener: str) -> None:
    for priority, given in enumerate(
        (PATH, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"]}}), start=1
    ):
        made = create(cloud, listener, priority, [given])
        assert made["Conditions"] == [
            {"Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/a"]}}
        ]
        assert (made["Priority"], made["IsDefault"]) == (str(priority), False)


def test_every_condition_comes_back(cloud: Elb, listener: str) -> None:
    given: list[Any] = [
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.test"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1"]}},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PURGE"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "v"}]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
    ]
    made = create(cloud, listener, 1, given)
    shown = [
        {name: value for name, value in item.items() if name != "Values"} if item["Field"] == "host-header" else item
        for item in made["Conditions"]
    ]
    assert shown == given


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ({"Field": "colour"}, "Condition field 'colour' must be one of '[path-pattern,host-header,http-header,"),
        ({"Field": "path-pattern"}, "A condition value must be specified"),
        ({"Field": "path-pattern", "Values": ["/a", "/b"]}, "The 'path-pattern' field contains too many values"),
        ({"Field": "path-pattern", "Values": ["/" + "a" * 128]}, "The 'path-pattern' value is too long"),
        ({"Field": "path-pattern", "Values": ["/a b"]}, "The 'path-pattern' value '/a b' contains"),
        ({"Field": "path-pattern", "Values": ["/a(b"]}, "The 'path-pattern' value '/a(b' contains"),
        (PATH | {"PathPatternConfig": {"Values": ["/b"]}}, "You cannot provide both Values and 'PathPatternConfig'"),
        ({"Field": "http-header", "Values": ["a"]}, "The 'Values' field is not compatible with 'http-header'"),
        ({"Field": "http-header"}, "A 'HttpHeaderConfig' must be specified with 'http-header'"),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["a"]}},
            "The 'HttpHeaderName' value 'Host' is not allowed",
        ),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "a" * 41, "Values": ["a"]}},
            "The 'HttpHeaderName' value is too long; the limit is '40'",
        ),
        (
            {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}},
            "The 'http-request-method' value is invalid",
        ),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": []}}, "A 'source-ip' value must be specified"),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}, "The 'source-ip' value '10.0.0.1'"),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a"}]}},
            "A 'Value' must be specified in 'QueryStringKeyValuePair'",
        ),
    ],
)
def test_bad_conditions(cloud: Elb, listener: str, condition: Any, error: str) -> None:
    request = {"ListenerArn": listener, "Priority": 1, "Conditions": [condition], "Actions": [FIXED]}
    assert cloud.fails("CreateRule", **request).startswith(f"ValidationError: {error}")


def test_limits_per_rule(cloud: Elb, listener: str) -> None:
    def refused(*conditions: Any) -> str:
        request = {"ListenerArn": listener, "Priority": 1, "Conditions": list(conditions), "Actions": [FIXED]}
        return cloud.fails("CreateRule", **request)

    assert refused(PATH, PATH).endswith("A rule can only have one 'path-pattern' condition")
    many = {"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{n}" for n in range(6)]}}
    assert refused(many).endswith("A rule can only have '5' condition values")
    wild = {"Field": "path-pattern", "Values": ["/*/*/*/*/*/*"]}
    assert refused(wild).endswith("A rule can only have '5' wildcards")
    regex = {"Field": "path-pattern", "RegexValues": ["^/a"]}
    assert refused(regex).startswith("NotImplemented")


def test_priorities(cloud: Elb, listener: str) -> None:
    first, second = create(cloud, listener, 1, [PATH]), create(cloud, listener, 2, [PATH])
    request = {"ListenerArn": listener, "Priority": 2, "Conditions": [PATH], "Actions": [FIXED]}
    assert cloud.fails("CreateRule", **request) == "PriorityInUse: The specified priority is in use."
    assert cloud.fails("CreateRule", **request | {"Priority": 50001}).startswith("ValidationError")
    swap = [{"RuleArn": first["RuleArn"], "Priority": 2}, {"RuleArn": second["RuleArn"], "Priority": 1}]
    cloud.elbv2("SetRulePriorities", RulePriorities=swap)
    listed = cloud.elbv2("DescribeRules", ListenerArn=listener)["Rules"]
    assert [(rule["RuleArn"], rule["Priority"]) for rule in listed[:2]] == [
        (second["RuleArn"], "1"),
        (first["RuleArn"], "2"),
    ]
    clash = [{"RuleArn": first["RuleArn"], "Priority": 1}]
    assert cloud.fails("SetRulePriorities", RulePriorities=clash).startswith("PriorityInUse")
    twice = [{"RuleArn": first["RuleArn"], "Priority": 7}, {"RuleArn": second["RuleArn"], "Priority": 7}]
    assert cloud.fails("SetRulePriorities", RulePriorities=twice) == (
        "ValidationError: Priority '7' was provided multiple times"
    )


def test_the_default_rule(cloud: Elb, listener: str) -> None:
    (default,) = cloud.elbv2("DescribeRules", ListenerArn=listener)["Rules"]
    assert (default["Priority"], default["IsDefault"], default["Conditions"]) == ("default", True, [])
    arn = default["RuleArn"]
    assert cloud.elbv2("DescribeRules", RuleArns=[arn])["Rules"] == [default]
    assert cloud.fails("DeleteRule", RuleArn=arn).startswith("OperationNotPermitted")
    assert cloud.fails("DeleteRule", RuleArn=arn + "0").startswith("RuleNotFound")


def test_modify_and_delete(cloud: Elb, listener: str) -> None:
    arn = create(cloud, listener, 1, [PATH])["RuleArn"]
    assert cloud.fails("ModifyRule", RuleArn=arn).endswith("Either conditions or actions must be specified")
    changed = cloud.elbv2("ModifyRule", RuleArn=arn, Conditions=[PATH | {"Values": ["/b"]}])["Rules"][0]
    assert changed["Conditions"][0]["Values"] == ["/b"]
    assert changed["Actions"][0]["Type"] == "fixed-response"
    cloud.elbv2("DeleteRule", RuleArn=arn)
    assert len(cloud.elbv2("DescribeRules", ListenerArn=listener)["Rules"]) == 1


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ({"Type": "dance"}, "ValidationError: Action type 'dance'"),
        ({"Type": "authenticate-oidc"}, "NotImplemented"),
        ({"Type": "forward"}, "ValidationError: A target group ARN must be specified"),
        ({"Type": "forward", "TargetGroupArn": "arn:x"}, "TargetGroupNotFound: Target group 'arn:x' not found"),
        ({"Type": "fixed-response"}, "ValidationError: A fixed-response action must have"),
        ({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "302"}}, "ValidationError"),
        (
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "image/png"}},
            "InvalidLoadBalancerAction: The ContentType must be one of:'text/html', 'application/json'",
        ),
        (
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "x" * 1025}},
            "ValidationError",
        ),
        ({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}, "InvalidLoadBalancerAction"),
        ({"Type": "redirect", "RedirectConfig": {"StatusCode": "200", "Port": "1"}}, "ValidationError"),
        ({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Port": "x"}}, "ValidationError"),
        ({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "x"}}, "ValidationError"),
        (
            {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "a\r\nSet-Cookie: x"}},
            "ValidationError: The redirect value",
        ),
    ],
)
def test_bad_actions(cloud: Elb, listener: str, action: Any, error: str) -> None:
    request = {"ListenerArn": listener, "Priority": 1, "Conditions": [PATH], "Actions": [action]}
    assert cloud.fails("CreateRule", **request).startswith(error)


def test_actions_come_back(cloud: Elb, listener: str) -> None:
    one, two = cloud.group("g1"), cloud.group("g2")
    groups = [{"TargetGroupArn": one, "Weight": 10}, {"TargetGroupArn": two, "Weight": 0}]
    sticky = {"Enabled": True, "DurationSeconds": 60}
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky}}
    (shown,) = create(cloud, listener, 1, [PATH], action)["Actions"]
    assert shown == action
    single = {"Type": "forward", "TargetGroupArn": one}
    (shown,) = create(cloud, listener, 2, [PATH], single)["Actions"]
    assert shown["TargetGroupArn"] == one
    assert shown["ForwardConfig"]["TargetGroups"] == [{"TargetGroupArn": one, "Weight": 1}]
    redirect = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"}}
    (shown,) = create(cloud, listener, 3, [PATH], redirect)["Actions"]
    assert shown["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }


def test_balancer_attributes(cloud: Elb) -> None:
    arn = cloud.balancer()["LoadBalancerArn"]

    def modify(key: str, value: str) -> str:
        return cloud.fails(
            "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}]
        )

    assert modify("idle_timeout.timeout_seconds", "0").startswith("ValidationError")
    assert modify("x", "0") == "InvalidConfigurationRequest: Key x not valid"
    assert modify("load_balancing.cross_zone.enabled", "false").startswith("ValidationError")
    assert modify("access_logs.s3.enabled", "true").startswith("NotImplemented")
    values = [
        {"Key": "idle_timeout.timeout_seconds", "Value": "10"},
        {"Key": "access_logs.s3.enabled", "Value": "false"},
    ]
    cloud.elbv2("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=values)
    listed = cloud.elbv2("DescribeLoadBalancerAttributes", LoadBalancerArn=arn)["Attributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "10"} in listed
    assert {"Key": "deletion_protection.enabled", "Value": "false"} in listed


def test_ssl_policies(cloud: Elb) -> None:
    name = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    (policy,) = cloud.elbv2("DescribeSSLPolicies", Names=[name])["SslPolicies"]
    assert policy["SslProtocols"] == ["TLSv1.2", "TLSv1.3"]
    assert policy["Ciphers"][0] == {"Name": "TLS_AES_128_GCM_SHA256", "Priority": 1}
    assert cloud.fails("DescribeSSLPolicies", Names=["x"]).startswith("SSLPolicyNotFound")
