"""TLS security policies (DescribeSSLPolicies); an unknown policy is answered SSLPolicyNotFound."""

from __future__ import annotations

from ecsnet.model.tls import SSL_POLICIES
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read
from ecsnet.services.elbv2.paging import page


def describe_ssl_policies(call: Call, request: Request) -> Reply:
    names = request.get("Names") or tuple(SSL_POLICIES)
    for name in names:
        if name not in SSL_POLICIES:
            raise AwsError("SSLPolicyNotFound", f"SSL policy '{name}' not found")
    chosen, more = page(request, tuple(names), lambda name: name)
    return {
        "SslPolicies": [
            {
                "Name": name,
                "SslProtocols": list(SSL_POLICIES[name].protocols),
                "Ciphers": [
                    {"Name": cipher, "Priority": number}
                    for number, cipher in enumerate(SSL_POLICIES[name].ciphers, start=1)
                ],
                "SupportedLoadBalancerTypes": ["application"],
            }
            for name in chosen
        ],
        **more,
    }


OPERATIONS: tuple[Operation, ...] = (read("DescribeSSLPolicies", describe_ssl_policies),)
