"""Read a run folder, write a file that people look at."""
