"""Explains from the stored AWS resources alone whether a packet arrives, and who stops it.

It shares no code with `compile`, `fabric` or the agent and must not import them: only so can it contradict what they
made of the same resources. Written for reading; the kernel is the other judge (tests compare the two).
"""
