"""One file a metric family; each names the library that owns its definition."""
