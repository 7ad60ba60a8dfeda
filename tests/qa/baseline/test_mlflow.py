"""A baseline in a real MLflow store, from promotion to the judge of another machine."""

import shutil

from approvals import CPU, TODAY, make_run, make_verdict, row
from tracked import client_of

from qa import baseline


def test_from_promotion_to_another_machine(workdir, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = f"sqlite:///{workdir}/team.db"

    def promote(name, psnr, verdict=None):
        run = make_run(workdir / name, (psnr,) * 3, verdict=verdict)
        baseline.promote(run, by="Ann", reason=name, store=f"mlflow:{uri}", today=TODAY)
        return baseline.find("photos").content

    first = promote("first", 30.0)
    promote("second", 29.9, make_verdict("PASS-DRIFT", row("PASS-DRIFT"), against=first))
    for gone in ("first", "second", "cache"):
        shutil.rmtree(workdir / gone)
    found = baseline.find("photos", environment=CPU)
    assert found.results.by_picture("psnr").tolist() == [29.9] * 3
    assert found.anchor.by_picture("psnr").tolist() == [30.0] * 3
    assert (found.drift, found.by, found.why) == ({"psnr": 0.1}, "Ann", "second")
    assert [f.name for f in (workdir / "baselines").iterdir()] == ["photos.json"]
    client = client_of(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    (approved,) = client.search_runs(experiments, filter_string="tags.approved = 'true'")
    assert approved.data.tags["qa.baseline.content"] == found.content
