"""Model to logical: small pure fragments, each keyed by one stored row, memoised by `engine`.

Owns the meaning of AWS networking rows. Promises that the incremental result equals the full one after every commit.
Must not import `hostplan`, `fabric`, `agent`, `services` or `aws`.
"""
