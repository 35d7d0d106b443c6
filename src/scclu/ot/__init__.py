"""Optimal transport."""

from .sinkhorn import TransportPlan, transport_target

__all__ = ["TransportPlan", "transport_target"]
