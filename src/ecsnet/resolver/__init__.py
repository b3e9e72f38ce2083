"""The DNS server of all VPCs and of the internet namespace: one process, one thread, no forwarder.

Owns nothing that matters: what it answers comes from the agent (`feed`) and from the snapshot file of the last feed.
Must not import the packages of control or agent; it shares `hostplan.names` with them.
"""
