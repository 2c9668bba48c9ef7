"""What the published tables of finite groups hold: the numbers that are told of them elsewhere."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pandas as pd
import pytest

import repgeo

ROOT = Path(__file__).parents[1]
ABELIAN = ("C5", "C6", "C2xC2")
OTHERS = ("S3", "D4", "Q8", "D5", "A4")
PLANCHEREL, PUBLISHED = "Plancherel regulariser", "published regulariser"

pytestmark = pytest.mark.skipif(
    not (ROOT / "results").is_dir(), reason="a source distribution has no results/"
)


read = functools.cache(repgeo.read)


def rows(task: str, metric: str, *, group: str = "", model: str = "", **parts: str) -> pd.DataFrame:
    """The rows of a metric, of a group and a model, whose other columns hold the given texts."""
    frame = read(ROOT / "results" / task)
    assert set(frame["status"]) == {"ok"}
    frame = frame[frame["metric"] == metric]
    if group:
        frame = frame[frame["dataset"].str.contains(rf"group={re.escape(group)}[,\]]")]
    if model:
        frame = frame[frame["model"] == model]
    for column, text in parts.items():
        frame = frame[frame[column].str.contains(text, regex=False)]
    assert len(frame), (task, metric, group, model, parts)
    return frame


def starts(group: str, model: str, task: str = "harmonics_groups") -> list[str]:
    """The cells of a line of the page of pooled starts."""
    text = (ROOT / "results" / task / "starts.md").read_text(encoding="utf-8")
    (line,) = [row for row in text.splitlines() if row.startswith(f"| {group} | {model} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("group", [*ABELIAN, *OTHERS, "S4"])
def test_plancherel_weights_end_at_the_fourier_transform(group):
    errors = rows("harmonics_groups", "homomorphism_error", group=group, model=PLANCHEREL)["value"]
    assert len(errors) == 5
    assert errors.max() < 0.001
    used = rows("harmonics_groups", "starts", group=group, model=PLANCHEREL)["value"]
    assert (used == 20).all()
    for metric in ("exact", "certified", "isomorphic"):
        assert rows("harmonics_groups", metric, group=group, model=PLANCHEREL)["value"].eq(1).all()


def test_success_of_single_starts():
    told = {
        "S3": "63 of 100 (0.53 to 0.72)",
        "D4": "39 of 100 (0.30 to 0.49)",
        "Q8": "37 of 100 (0.28 to 0.47)",
        "D5": "81 of 100 (0.72 to 0.87)",
        "A4": "96 of 100 (0.90 to 0.98)",
        "S4": "33 of 100 (0.25 to 0.43)",
    }
    for group in ABELIAN:
        assert starts(group, PLANCHEREL)[5].startswith("100 of 100")
    for group, text in told.items():
        assert starts(group, PLANCHEREL)[5] == text
        hits = rows("harmonics_groups", "success", group=group, model=PLANCHEREL)
        assert f"{round(float((hits['value'] * hits['n']).sum()))} of {hits['n'].sum()}" in text


def test_what_failed_starts_on_s4_have_in_common():
    cells = starts("S4", PLANCHEREL)
    assert cells[6].startswith("100 of 100")  # their tables are exact all the same
    assert cells[7].startswith("57 of 67")
    assert cells[8].startswith("62 of 67")
    # Four times as long: what is in its place arrives, what is misplaced stays.
    longer = starts("S4", "2400 updates", "harmonics_s4")
    assert longer[3] == "5 of 5"
    assert longer[5] == "47 of 100 (0.38 to 0.57)"
    assert longer[7].startswith("52 of 53")
    assert longer[8].startswith("53 of 53")
    for metric in ("misplaced_failures", "missing_failures", "success"):
        assert rows("harmonics_s4", metric)["n"].max() <= 20


def test_the_published_regulariser_ends_elsewhere():
    told = {"S3": 0.52, "D4": 0.91, "Q8": 0.91, "D5": 0.37, "A4": 0.85, "S4": 1.00}
    for group, error in told.items():
        found = rows("harmonics_groups", "homomorphism_error", group=group, model=PUBLISHED)
        assert {round(value, 2) for value in found["value"]} == {error}  # in every seed
        assert rows("harmonics_groups", "exact", group=group, model=PUBLISHED)["value"].eq(1).all()
        assert starts(group, PUBLISHED)[5].startswith("0 of 100")
    for group in ABELIAN:
        found = rows("harmonics_groups", "homomorphism_error", group=group, model=PUBLISHED)
        assert found["value"].max() < 1e-6


@pytest.mark.parametrize(
    ("group", "model", "exact", "good"),
    [
        ("C6", PUBLISHED, 15, 3),
        ("C6", PLANCHEREL, 15, 3),
        ("S3", PUBLISHED, 11, 0),
        ("S3", PLANCHEREL, 5, 2),
        ("D4", PUBLISHED, 9, 0),
        ("D4", PLANCHEREL, 5, 0),
    ],
)
def test_the_published_recipe(group, model, exact, good):
    asked = {"group": group, "model": model, "params": '"distance":"published"'}
    found = rows("harmonics_published", "exact_starts", **asked)
    assert found["n"].tolist() == [5, 5, 5]
    assert round(float((found["value"] * found["n"]).sum())) == exact
    errors = rows("harmonics_published", "homomorphism_error", **asked)["value"]
    assert int((errors < 0.05).sum()) == good


def test_controls_of_groups():
    for group in (*ABELIAN, *OTHERS, "S4"):
        untrained = rows("harmonics_groups", "exact_starts", group=group, model="untrained")
        assert (untrained["value"] == 0).all()
        trained = rows("harmonics_groups", "score", group=group, model=PLANCHEREL)
        assert trained["value"].min() > 0.999
        assert (trained["value"] - trained["chance"]).min() > 0.2
    shuffled = rows("harmonics_groups", "exact", model="shuffled")
    right = shuffled[shuffled["value"] == 1]["dataset"]
    assert {name[18:-1] for name in right} == {"C5", "C2xC2"}  # an automorphism by chance


def test_groups_of_which_only_the_order_is_told():
    for model in ("search over dimensions", "commutant"):
        for metric in ("exact", "isomorphic", "dimensions_right"):
            values = rows("harmonics_unknown", metric, model=model)["value"]
            assert len(values) == 30
            assert (values == 1).all()
    errors = rows("harmonics_unknown", "homomorphism_error", model="search over dimensions")
    assert (errors["value"] < 0.05).sum() == 29
    assert round(float(errors["value"].max()), 2) == 1.46
    assert rows("harmonics_unknown", "exact", model="untrained")["value"].max() == 0


def test_noise_on_pairs():
    for noise in ("0.0", "0.1", "0.3"):
        assert rows("harmonics_noise", "exact", dataset=f"noise={noise}]")["value"].eq(1).all()
    told = {
        ("S3", "trained"): 3,
        ("S3", "commutant"): 3,
        ("Q8", "trained"): 2,
        ("Q8", "commutant"): 3,
        ("A4", "trained"): 3,
        ("A4", "commutant"): 0,
    }
    for (group, model), count in told.items():
        found = rows("harmonics_noise", "exact", group=group, model=model, dataset="noise=1.0]")
        assert (len(found), int(found["value"].sum())) == (3, count)


def test_no_certified_table_is_wrong():
    for task in ("planted_noise", "harmonics_groups", "harmonics_unknown", "harmonics_noise"):
        assert rows(task, "certified_wrong")["value"].max() == 0
    certified = rows("planted_noise", "certified_starts", params='"distance":"plancherel"')
    at = certified.groupby("model")["value"]
    assert at.min()["planted[eta=0.1]"] == 1
    assert at.max()["planted[eta=0.3]"] == 0


def test_noise_on_weights():
    ranges = {}
    for distance in ("plancherel", "published"):
        found = rows(
            "planted_noise",
            "exact_starts",
            model="planted[eta=0.4]",
            params=f'"distance":"{distance}"',
        )
        assert (found["n"] == 120).all()
        ranges[distance] = (found["value"].min(), found["value"].max())
    assert ranges["plancherel"] == pytest.approx((0.99, 1.00), abs=0.005)
    assert ranges["published"] == pytest.approx((0.02, 0.70), abs=0.005)


def test_filters_on_patches():
    score = rows("harmonics_rotations", "score", model="trained")
    assert f"{score['value'].mean():.2f}" == "0.94"
    assert f"{score['chance'].mean():.2f}" == "0.14"
    assert (
        f"{rows('harmonics_rotations', 'score', model='untrained')['value'].mean():.2f}" == "0.14"
    )


def test_published_bispectral_rows():
    pure = rows("bispectral_published", "pure", model="translation", params='"purity":0.99')
    assert float(pure["value"].iloc[0]) * 256 == 162
    distinct = rows("bispectral_published", "distinct", model="translation", params='"purity":0.99')
    assert float(distinct["value"].iloc[0]) == 90
    turned = rows("bispectral_published", "pure", model="rotation", probe="circular_harmonics")
    assert round(float(turned["value"].iloc[0]) * 256) == 54
    control = rows("bispectral_published", "pure", model="translation, shuffled")
    assert control["value"].max() == 0


@pytest.mark.parametrize(
    ("task", "group", "accuracy", "score", "chance"),
    [
        ("modular_addition", "C11", 0.76, 0.69, 0.43),
        ("modular_addition", "C23", 1.00, 0.67, 0.26),
        ("group_composition", "D11", 0.98, 0.72, 0.35),
        ("group_composition", "S4", 0.94, 0.79, 0.48),
    ],
)
def test_networks_that_multiply(task, group, accuracy, score, chance):
    found = rows(task, "accuracy", group=group, model="trained")["value"].mean()
    assert round(float(found), 2) == accuracy
    filters = rows(task, "score", group=group, model="trained")
    assert round(float(filters["value"].mean()), 2) == score
    assert round(float(filters["chance"].mean()), 2) == chance
    assert rows(task, "accuracy", group=group, model="exact")["value"].eq(1).all()
    # A control with filters as pure as the exact network's answers wrongly.
    control = rows(task, "score", group=group, model="without inverse")["value"]
    assert control.min() > 1 - 1e-6
    assert rows(task, "accuracy", group=group, model="without inverse")["value"].max() < 0.65
