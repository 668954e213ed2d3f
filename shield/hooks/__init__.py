"""Hooks: programs and web servers of the operator that are told what happens."""
