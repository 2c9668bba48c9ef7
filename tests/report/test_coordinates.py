"""Values of one coordinate against a baseline, paired; and expectations of the diagonal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from synthetic_study import failed, record

from repgeo.errors import ConfigurationError, InputError
from repgeo.probes.rows import to_frame
from repgeo.report import compare_along
from repgeo.report.coordinates import comparison_lines
from repgeo.report.ledger import ledger

METHODS = {"cosine": 0.0, "robust": 0.25, "absolute": -0.5}
MODELS = ("a", "b", "c")


def stitching(seeds=range(4), methods=METHODS, seed=0) -> list[dict]:
    """Pairs whose values have a part of the seed, a part of the pair, and one of the method."""
    rng = np.random.default_rng(seed)
    rows = []
    for task_seed in seeds:
        shared = rng.standard_normal()
        for a in MODELS:
            for b in MODELS:
                pair = shared + rng.standard_normal() + 10 * (a == b)
                for method, shift in methods.items():
                    value = pair + shift + 0.01 * rng.standard_normal()
                    at = {"method": method}
                    rows.append(record(a, "s", "m", value, task_seed, model_b=b, at=at))
    return rows


def test_methods_are_paired_by_pair_and_seed():
    rows = stitching()
    found = compare_along(to_frame(rows), metric="m", coordinate="method", baseline="cosine")
    assert set(zip(found["value"], found["side"], strict=True)) == {
        (method, side) for method in ("robust", "absolute") for side in ("self", "others")
    }
    values = {(r["model"], r["model_b"], r["seed"], r["at"]): r["value"] for r in rows}
    robust, cosine = '{"method":"robust"}', '{"method":"cosine"}'
    off = [(a, b) for a in MODELS for b in MODELS if a != b]
    means = [
        np.mean([values[a, b, s, robust] - values[a, b, s, cosine] for a, b in off])
        for s in range(4)
    ]
    line = found[(found["value"] == "robust") & (found["side"] == "others")].iloc[0]
    reference = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    assert line["difference"] == pytest.approx(np.mean(means), abs=1e-12)
    assert (line["ci_low"], line["ci_high"]) == pytest.approx((reference.low, reference.high))
    assert (line["n"], line["cells"], line["ci_kind"]) == (4, 6, "t:seeds")
    assert line["mean"] - line["baseline_mean"] == pytest.approx(line["difference"], abs=1e-12)
    # The parts of seeds and pairs (of size one) cancel.
    assert line["ci_high"] - line["ci_low"] < 0.05


def test_settings_are_compared_with_all_else_equal():
    rows = []
    for seed in range(3):
        for center in (False, True):
            for scale in (False, True):
                at = {"method": "factorial", "center": center, "scale": scale}
                value = seed + 1.0 * center + 2.0 * scale + 4.0 * center * scale
                rows.append(record("a", "s", "m", value, seed, model_b="b", at=at))
    found = compare_along(to_frame(rows), metric="m", coordinate="center", baseline=False)
    effects = {row["at"]: row["difference"] for _, row in found.iterrows()}
    assert effects == {
        '{"method":"factorial","scale":false}': 1.0,
        '{"method":"factorial","scale":true}': 5.0,
    }


def test_pairs_without_a_number_are_left_out_and_incomplete_seeds_dropped():
    rows = stitching()
    # No method has a number for (a, b) at seed 2; "absolute" never has one for (a, c).
    rows = [r for r in rows if (r["model"], r["model_b"], r["seed"]) != ("a", "b", 2)]
    rows.append(failed("a", "s", 2, model_b="b"))
    rows = [
        r
        for r in rows
        if (r["model"], r["model_b"], r["at"]) != ("a", "c", '{"method":"absolute"}')
    ]
    found = compare_along(to_frame(rows), metric="m", coordinate="method", baseline="cosine")
    others = found[found["side"] == "others"].set_index("value")
    assert (others.loc["absolute", "cells"], others.loc["absolute", "seeds"]) == (5, "0 1 3")
    assert (others.loc["robust", "cells"], others.loc["robust", "seeds"]) == (6, "0 1 3")


def test_two_seeds_give_no_interval():
    found = compare_along(
        to_frame(stitching(range(2))), metric="m", coordinate="method", baseline="cosine"
    )
    assert found["ci_low"].isna().all()
    text = "\n".join(comparison_lines(found))
    assert "nan" not in text
    assert "robust" in text


def test_lines_are_a_table_that_tells_what_differs():
    found = compare_along(to_frame(stitching()), metric="m", coordinate="method", baseline="cosine")
    lines = comparison_lines(found)
    assert lines[0] == (
        "| side | value | mean | baseline | difference | 95 % | seeds | cells of each |"
    )
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + len(found)


def test_names_that_are_not_there_are_refused():
    frame = to_frame(stitching())
    with pytest.raises(InputError, match="no metric 'n'"):
        compare_along(frame, metric="n", coordinate="method", baseline="cosine")
    with pytest.raises(InputError, match=r"no coordinate 'metod'.*'method'"):
        compare_along(frame, metric="m", coordinate="metod", baseline="cosine")
    with pytest.raises(InputError, match=r"no value 'cosin'.*'cosine'"):
        compare_along(frame, metric="m", coordinate="method", baseline="cosin")
    only = [r for r in stitching() if r["at"] == '{"method":"cosine"}']
    with pytest.raises(InputError, match="nothing to compare"):
        compare_along(to_frame(only), metric="m", coordinate="method", baseline="cosine")


# ------------------------------------------------------------------------- expected of the diagonal


def expectation(value: float, **where) -> dict:
    return {"where": where, "value": value, "tolerance": 1.0, "kind": "reference", "source": "own"}


def test_expectations_name_a_side_of_the_pairs():
    rows = stitching()
    frame = to_frame(rows)
    at = {"method": "cosine"}
    diagonal, rest = (
        np.mean(
            [
                r["value"]
                for r in rows
                if r["at"] == '{"method":"cosine"}' and (r["model"] == r["model_b"]) == own
            ]
        )
        for own in (True, False)
    )
    found = ledger(
        frame,
        [
            expectation(diagonal, metric="m", at=at, side="self"),
            expectation(rest, metric="m", at=at, side="others"),
            expectation(rest, metric="m", at=at),
        ],
    )
    assert [verdict.verdict for verdict in found] == ["agrees"] * 3
    assert found[0].ours.value == pytest.approx(diagonal)
    assert found[1].ours.value == found[2].ours.value == pytest.approx(rest)
    assert found[0].note == "4 seeds, mean over 3 pairs"
    assert found[1].note == "4 seeds, mean over 6 pairs"
    assert not math.isclose(diagonal, rest, abs_tol=5.0)


def test_an_unknown_side_is_refused():
    with pytest.raises(ConfigurationError, match="'others' or 'self', got 'both'"):
        ledger(to_frame(stitching()), [expectation(0.0, metric="m", side="both")])
