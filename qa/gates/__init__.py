"""Where a run is judged: see `qa.judge`."""
