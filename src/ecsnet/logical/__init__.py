"""Language 1: what the cloud means (routers, ports, filters, balancers, zones). Leaf value types, no behaviour."""
