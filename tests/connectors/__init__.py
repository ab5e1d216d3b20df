"""Connectors: one contract for all, and each one against its own real inputs."""
