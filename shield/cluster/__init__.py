"""Cluster: nodes that share without a broker; protocol code without I/O, and its carriers."""
