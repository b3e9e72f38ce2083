"""Flows in the user's nouns: flow logs and the live view.

The flow reader (`ecsnet.agent.flows`) says what routers admitted and denied; here that becomes records of interfaces
(`records`), lines of a log's format (`lines`), and deliveries (`deliver`). `service` keeps the reader running while a
flow log exists or somebody looks on, and not otherwise.
"""
