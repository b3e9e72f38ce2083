"""The control process around the pure core: feeds the agent, records what it saw, answers the command line.

Owns no AWS semantics (services/, controllers/) and touches no kernel object (agent/).
"""
