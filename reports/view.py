"""What a report says of a run, whatever its form: HTML, Markdown, JUnit and JSON show this.

    verdict.json, record.json, signoff.json, what lies beside the run
    and the baseline's run folder, if at hand                          ──►  View

Numbers are the verdict's own: a form rounds what it shows and computes nothing. The power of a gate
is the one number that is added; it is a function of the row's interval and margin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qa import cost as costs
from qa import signature, signoff
from qa.outcomes import counts, label
from qa.stats.planning import power_from
from qa.store import RunFolder
from reports import evidence, reviews, wording
from reports.limits import limits
from reports.scope import NOWHERE, Scope, scope
from reports.slices import Block, split

SCHEMA = "decoder-qa/report/1"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """Whether it may be shipped, by the gates, and what somebody signed."""

    proposed: str
    """SHIP, SHIP WITH WAIVERS or HOLD."""
    why: str
    signature: signoff.Signature | None
    """The newest one, whether or not it still holds."""

    @property
    def said(self) -> str:
        """What was signed, or, without a signature that holds, what the gates propose.

        Whoever held a run had a reason: it stays held until somebody signs again.
        """
        if self.signature is not None and (self.signed or self.signature.decision == signoff.HOLD):
            return self.signature.decision
        return self.proposed

    @property
    def signed(self) -> bool:
        """Whether somebody signed this very verdict."""
        return self.signature is not None and self.signature.holds


@dataclass(frozen=True)
class Requirement:
    """One gate: what was asked, what was found, how sure it is."""

    id: str
    gate: Row
    power: float | None
    """Chance to find a true harm of the whole margin; None where the row has no such interval."""


@dataclass(frozen=True)
class Open:
    """A gate that is not settled, and what it would take."""

    name: str
    why: str
    have: int
    needs: int | None
    """Pictures in all; None where no number would do."""
    seconds: float | None
    """Of decoding the pictures that lack, at all seeds, as fast as here; None if not known."""


@dataclass(frozen=True)
class View:
    """Everything that every form of the report draws on."""

    name: str
    verdict: Row
    record: Row
    stamp: str
    """SHA-256 of verdict.json."""
    decision: Decision
    requirements: tuple[Requirement, ...]
    """Every gate but slices, the worst first."""
    family: tuple[Row, ...]
    """Rows whose p was adjusted (Holm), gate by gate, by that p."""
    alpha: float
    """One-sided level that an adjusted p is compared with."""
    open: tuple[Open, ...]
    slices: tuple[Block, ...]
    scope: Scope
    reproducibility: evidence.Reproducibility
    cost: tuple[Row, ...]
    lost: tuple[tuple[str, int], ...]
    """Reason → how many pictures failed for it, the most frequent first."""
    limits: tuple[str, ...]
    reviews: tuple[reviews.Told, ...] = ()

    @property
    def gates(self) -> list[Row]:
        """The rows of the requirements."""
        return [requirement.gate for requirement in self.requirements]

    def document(self) -> dict[str, Any]:
        """The verdict document with, under `report`, what this view adds to it."""
        signature = self.decision.signature
        added = {
            "schema": SCHEMA,
            "decision": self.decision.said if self.decision.signed else None,
            "proposed": self.decision.proposed,
            "why": self.decision.why,
            "signature": None if signature is None else signature.document(),
            "verdict_sha256": self.stamp,
            "requirements": [
                {"id": one.id, "gate": label(one.gate), "power": one.power}
                for one in self.requirements
            ],
            "open": [asdict(one) for one in self.open],
            "scope": asdict(self.scope),
            "reproducibility": asdict(self.reproducibility),
            "cost": list(self.cost),
            "failures_by_reason": dict(self.lost),
            "limits": list(self.limits),
            "reviews": [one.document() for one in self.reviews],
        }
        return {**self.verdict, "report": added}


def view(run: RunFolder, baseline: RunFolder | None = None) -> View:
    """The view of a run that was judged; `baseline` is the run folder that it was compared with.

    QaError where verdict.json, record.json or signoff.json cannot be read.
    """
    return of(
        run.verdict(),
        run.record(),
        name=run.name,
        stamp=signature.digests(run)[0],
        signature=signoff.signed(run),
        scope=scope(run, baseline),
        reproducibility=evidence.reproducibility(run),
        cost=costs.rows(run.decoded(costs.COLUMNS)) if run.decoded_file.is_file() else (),
        reviewed=reviews.told(run),
    )


def of(
    verdict: Row,
    record: Row,
    *,
    name: str = "",
    stamp: str = "",
    signature: signoff.Signature | None = None,
    scope: Scope = NOWHERE,
    reproducibility: evidence.Reproducibility = evidence.UNKNOWN,
    cost: Sequence[Row] = (),
    reviewed: Sequence[reviews.Told] = (),
) -> View:
    """The view of documents, without what only a run folder has."""
    others, blocks = split(verdict["gates"])
    ids = {id(gate): f"R{place}" for place, gate in enumerate(others, 1)}
    confidence = float(verdict.get("confidence") or 0.9)
    gates = wording.by_severity(others)
    return View(
        name,
        verdict,
        record,
        stamp,
        Decision(*signoff.proposed(verdict, record), signature),
        tuple(Requirement(ids[id(gate)], gate, power(gate, confidence)) for gate in gates),
        tuple(sorted((g for g in others if g.get("p_holm") is not None), key=_by_p)),
        (1 - confidence) / 2,
        tuple(_open(gate, verdict, cost) for gate in gates if _is_open(gate)),
        tuple(blocks),
        scope,
        reproducibility,
        tuple(cost),
        tuple(_reasons(verdict["failures"])),
        limits(verdict, record, reviews.people(reviewed, verdict)),
        tuple(reviewed),
    )


def power(gate: Row, confidence: float) -> float | None:
    """Of a gate that passes below its margin; equivalence and rates are planned otherwise."""
    low, high, margin = (gate.get(key) for key in ("low", "high", "margin"))
    if gate.get("gate", "regression") not in ("regression", "anchor"):
        return None
    if not margin or low is None or high is None or not high > low or gate["count"] < 2:
        return None
    return power_from(low, high, margin, int(gate["count"]), confidence)


def _is_open(gate: Row) -> bool:
    if gate.get("gate") == "preference":
        return False  # more answers settle it, not more pictures; its review says how many
    return gate["state"] == "INCONCLUSIVE" and (counts(gate) or bool(gate.get("needs")))


def _open(gate: Row, verdict: Row, cost: Sequence[Row]) -> Open:
    each = next((r["value"] for r in cost if r["metric"] == "seconds_median"), None)
    needs, have = gate.get("needs"), int(gate.get("count") or 0)
    seconds = None
    if each is not None and needs:
        seconds = max(0, needs - have) * int(verdict["candidate"].get("seeds") or 1) * float(each)
    return Open(label(gate), str(gate.get("why") or ""), have, needs, seconds)


def _by_p(gate: Row) -> tuple[str, float, str]:
    return str(gate.get("gate") or ""), float(gate["p_holm"]), str(gate["metric"])


def _reasons(failures: Sequence[Row]) -> list[tuple[str, int]]:
    """By the head of a reason, up to its first colon: what follows differs from case to case."""
    heads = (str(row.get("why") or "no picture").partition(":")[0].strip() for row in failures)
    return Counter(heads).most_common()
