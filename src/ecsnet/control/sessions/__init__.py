"""Sessions of ExecuteCommand: what AWS's message gateway and the agent in a container are together, over a WebSocket.

`message` (the bytes of one message) → `channel` (order, acknowledgement, retransmission) → `terminal` (the command
under a pseudo-terminal) → `gateway` (who may connect, and a session from its beginning to its end).
"""
