"""Sends real packets and says, from what was seen, who decided about each. A process of its own inside the world.

craft.py      a probe's packet, with its number where every translation leaves it
recognise.py  the number in any packet that is the probe's or answers it
bpf.py        the kernel's filter that lets only such packets through to a packet socket
points.py     the open sockets, by namespace
engine.py     a batch: send, read, end each probe by evidence or deadline
server.py     the process; part.py starts it from the agent and talks to it
"""
