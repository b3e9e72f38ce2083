"""Bytes to a typed call and back: the HTTP front that every AWS SDK talks to.

Owns the wire protocols, identity (account, region), errors and request ids. Driven by botocore's service models; knows
no VPC and imports no service: the services are handed to it.
"""
