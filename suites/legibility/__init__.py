"""Whether small text stays literally right: drawn pages, readers, and what they read."""
