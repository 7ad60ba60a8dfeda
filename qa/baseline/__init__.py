"""Which run is the measure for a suite, who approved it, and until when. Kept in the user's git.

    baselines/photos.json                a line for each environment class: the digest of an object;
                                         a line for each waiver and each measured tolerance
    baselines/photos-1a2b3c4d5e6f/       the object: what judging reads of the run, and
        object.json                      what it is, who approved it and why; its digest is the name

An approval changes one line of `photos.json`. The object does not depend on the run it came from:
that may be deleted, moved or measured again, and a colleague's clone needs nothing else. Objects
may lie in MLflow instead; the line then says where. Pictures stay where they were; a report shows
them where they still are.

    find, for_run,         reading: `qa.baseline.lookup`
    at_hand, show, why
    promote, approve,      writing: `qa.baseline.promotion`
    add_tolerance
    ineligible             what may not become a baseline: `qa.baseline.eligibility`
"""

from qa.baseline.approved import Approved, Waiver, expired, utc_today
from qa.baseline.eligibility import ineligible
from qa.baseline.lookup import at_hand, find, for_run, show, why
from qa.baseline.pointers import pointer
from qa.baseline.promotion import add_tolerance, approve, promote

__all__ = [
    "Approved", "Waiver", "add_tolerance", "approve", "at_hand", "expired", "find", "for_run",
    "ineligible", "pointer", "promote", "show", "utc_today", "why",
]  # fmt: skip
