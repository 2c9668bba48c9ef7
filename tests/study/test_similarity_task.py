"""The task of known transformations, at a size of seconds."""

from __future__ import annotations

import tomllib

import pytest

import repgeo
from repgeo.study.locating import task_files


@pytest.mark.slow
def test_known_transformations_at_a_size_of_seconds(tmp_path) -> None:
    with task_files()["similarity_grounded"].open("rb") as stream:
        table = tomllib.load(stream)
    table["task"]["seeds"] = [0]
    table["expected"] = []
    (probe,) = table["probes"]
    probe.update(topology_samples=12, shuffles=1)
    frame = repgeo.run(table, out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    assert set(frame["metric"]) == set(probe["measures"])
    assert len(frame) == len(probe["pairs"]) * len(probe["measures"])
    assert {(row.model, row.model_b) for row in frame.itertuples()} == set(
        map(tuple, probe["pairs"])
    )
    found = frame.pivot_table(index="model", columns="metric", values="value")
    same = found.loc["as it is"]
    # What each measure declares not to see gives what the data themselves do.
    for name in ("rotation", "scaling by 3"):
        assert found.loc[name].to_numpy() == pytest.approx(same.to_numpy(), abs=1e-8)
    unmoved = ["cka", "procrustes", "rsa", "distance_correlation", "topology_divergence"]
    assert found.loc["translation", unmoved].to_list() == pytest.approx(same[unmoved], abs=1e-8)
    assert found.loc["translation", "mutual_knn"] < 0.97
    for name in ("linear, e^±3", "half dropped", "one repeated 64x"):
        assert found.loc[name, ["mean_cca", "pwcca"]].to_list() == pytest.approx([1, 1], abs=1e-8)
        assert found.loc[name, "cka"] < 0.95
    noisy = found.loc[["as it is", "noise 0.05", "noise 0.3", "noise 1", "independent"]]
    assert noisy["cka"].is_monotonic_decreasing
    assert noisy["procrustes"].is_monotonic_increasing
