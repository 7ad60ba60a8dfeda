"""Weights and prompt files: one table, verified by hash, looked up offline first."""

from qa.assets.catalog import Asset, table
from qa.assets.resolver import (
    Status,
    Store,
    fetch,
    find,
    known_hash,
    offline,
    resolve,
    store,
    verify,
    without_network,
)

__all__ = [
    "Asset", "Status", "Store", "fetch", "find", "known_hash", "offline", "resolve", "store",
    "table", "verify", "without_network",
]  # fmt: skip
