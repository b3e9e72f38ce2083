"""Requests to parameters, one module per wire protocol.

Each module compiles a shape once into closures; a call is then a walk over what was sent, never over the model.
Unknown members are ignored: newer SDKs send ones that an older model lacks.
"""
