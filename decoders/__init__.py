"""Systems under test: one decoder per file or folder. They stand on `qa` and on nothing beside it."""
