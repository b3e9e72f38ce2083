"""What moves resources through their states: pure steps over a write transaction, driven by what changed.

A step reads rows (wishes and observations), writes rows and says when it must be called again although nothing
changes. It promises to be idempotent and to depend on nothing but the store, so that a restarted process goes on where
the last one stopped. Must not import the agent, the fabric or the HTTP front.
"""
