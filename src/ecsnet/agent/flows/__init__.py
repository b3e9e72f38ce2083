"""The flow reader: a process of the world that tells control which flows its routers admitted and denied.

A process of its own, not a thread of the agent: at thousands of events a second it is busy in Python, and a thread of
the agent would hold the interpreter while a packet filter waits to be changed. It reads nothing but netlink sockets and
changes nothing, so it may be killed at any moment.
"""
