"""Pictures compared two at a time, blind, by people or by models (docs/review.md).

    RUN/reviews/<name>/
      plan.json                  what was registered before the first answer (plan.py)
      answers/<kind>-<rater>.jsonl   what was answered, a line each, never changed (answers.py)

    plan, answers  ──►  tally (tally.py): win rate, ties, agreement, what each rater is worth

Which pairs a plan has is decided in `qa.pairing`; here nothing is known of scores.
"""
