"""What a first, small comparison says about the gate to come: its spread, and its size."""

from qa.pilot.needs import Need, Pilot, Size, plan
from qa.pilot.use_case import use_case

__all__ = ["Need", "Pilot", "Size", "plan", "use_case"]
