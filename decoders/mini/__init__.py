"""Tiny trained decoders that ship with the package, and their recipes."""
