"""Statistics of two sets of feature rows. Pure NumPy and SciPy: no picture, no network, no run."""
