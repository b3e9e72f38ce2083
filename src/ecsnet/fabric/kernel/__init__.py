"""Logical objects to the objects of one Linux host. Pure: the same value always gives the same host objects.

Every host object has exactly one logical owner, so names are computed from ids (`naming`), never allocated.
Must not import `compile`, `agent`, `services` or `aws`.
"""
