"""Copies of finished runs in a tracking store. The run folder stays the truth."""

from qa.tracking.exporter import MLflow, NoTracking

__all__ = ["MLflow", "NoTracking"]
