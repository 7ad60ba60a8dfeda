"""The decoder under test as an MLflow `LoggedModel`: its runs and numbers by weights.

One for each decoder, weights and settings in an experiment, without a file: weights stay where they
are. MLflow's *Models* page then shows every run that measured it, with the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qa.files import digest

KEY = "qa.model"
GONE = 404
"""What a server says that is older than MLflow 3 and knows no models of this kind."""


def logged_model(client: Any, experiment: str, decoder: Mapping[str, str]) -> str | None:
    """Id of the decoder's model, made if there is none; None where the server has none at all.

    `decoder` has decoder, digest, licence and space. MlflowException as the client raises it.
    """
    from mlflow.exceptions import MlflowException

    key = digest({"decoder": decoder["decoder"], "digest": decoder["digest"]})[:32]
    try:
        found = client.search_logged_models(
            [experiment],
            filter_string=f"tags.`{KEY}` = '{key}'",
            order_by=[{"field_name": "creation_timestamp", "ascending": True}],
            max_results=1,
        )
    except MlflowException as error:
        if error.get_http_status_code() == GONE:
            return None
        raise
    tags = {KEY: key, "qa.licence": decoder["licence"], "qa.weights": decoder["digest"]}
    if found:
        model = found[0]
        if any(model.tags.get(name) != value for name, value in tags.items()):
            client.set_logged_model_tags(model.model_id, tags)
    else:
        model = client.create_logged_model(
            experiment, name=name_of(decoder), tags=tags, params=dict(decoder), model_type="decoder"
        )
    if str(model.status) != "READY":  # also one whose export was interrupted
        client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def name_of(decoder: Mapping[str, str]) -> str:
    """`vae_mini-1a2b3c4d`: MLflow allows several models of one name, people do not."""
    kept = re.sub(r"[^\w\- ]", "_", decoder["decoder"])[:200]
    return f"{kept}-{re.sub(r'[^0-9A-Za-z]', '_', decoder['digest'])[:8]}"
