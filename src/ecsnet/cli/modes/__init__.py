"""`ecsnet modes`: the network modes side by side, measured and observed on this machine.

`command` (the command) → `private` (an ecsnet of its own) → `lab` (instances, services, through the AWS API) →
`observe`, `measure` (what is seen; the programs `service` and `load` are the traffic) → `report` (the figures) →
`figures`, `rows` (cells, reasons), `advice` → `text`, `document`, `chart` (how it is shown).
"""
