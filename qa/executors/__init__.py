"""Who runs the units, where, and in what order."""
