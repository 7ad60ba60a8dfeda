"""What judging a run's stored scores says now, kept nowhere: is its verdict still theirs?"""

from __future__ import annotations

from datetime import date
from typing import Any

from qa.errors import QaError
from qa.store import RunFolder


def rejudged(run: RunFolder, policy: str, today: date) -> dict[str, Any]:
    """The verdict document that `qa judge RUN` would give on this day (UTC).

    Against the suite's promoted run, if there is one, by the run's own use case and gates. QaError
    where record, configuration, samples, pictures or scores are missing, damaged or not enough.
    """
    from qa import baseline
    from qa.config import build
    from qa.gates.use_case import from_config
    from qa.judge import applicable, judge
    from qa.results import load

    try:
        own, candidate = run.config(), load(run.path)
        # A list cut short would otherwise go unseen: the tables name their samples themselves.
        if {*candidate.digests} != {*run.decoded(["sample"])["sample"]}:
            raise ValueError("samples.jsonl and decoded.parquet differ in samples")
        facts, parts = candidate.record["facts"], run.scores_folder.parts()
        measured = [name for name, known in facts.items() if known["of"] != "set"]
        pictures = len(candidate.digests) * len(candidate.seeds)
        short = [name for name in measured if sum(parts.get(name, ())) != pictures]
        if short:
            raise ValueError(f"the scores of {short[0]} are not one for each picture")
        against = baseline.for_run(run)
        gates = [build(node, f"gate {name}") for name, node in own["gate"].items()]
        use = from_config(own["use_case"], candidate.record["use_case"])
        rules = applicable(use, candidate, against.results if against else None)
        return judge(candidate, against, rules, gates=gates, policy=policy, today=today)
    except QaError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}."
        again = "run the same `qa run` command again: nothing is decoded twice"
        raise QaError(f"{run.path} does not hold what can be judged.", why, again) from error
