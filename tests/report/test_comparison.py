import math

import numpy as np
import pytest
from scipy import stats
from synthetic_study import failed, record

from repgeo.errors import InputError
from repgeo.probes.rows import to_frame
from repgeo.report import compare, paired_differences
from repgeo.report.comparison import model_comparison_lines
from repgeo.report.pairing import standings


def test_paired_differences_is_the_one_sample_t_test():
    rng = np.random.default_rng(0)
    noise = 10 * rng.standard_normal(6)
    a = {seed: noise[seed] + 1 + 0.1 * rng.standard_normal() for seed in range(6)}
    b = {seed: noise[seed] for seed in range(6)}
    found = paired_differences(a, b)
    reference = stats.ttest_rel(list(a.values()), list(b.values())).confidence_interval(0.95)
    assert (found.ci_low, found.ci_high) == pytest.approx((reference.low, reference.high), rel=1e-9)
    assert found.n == 6


def test_only_common_seeds_are_paired():
    found = paired_differences({0: 1.0, 5: 3.0}, {5: 1.0, 9: 100.0})
    assert (found.value, found.n, found.ci_kind) == (2.0, 1, "")


def test_no_common_seed_is_refused():
    with pytest.raises(InputError, match=r"\[0\].*\[1\]"):
        paired_differences({0: 1.0}, {1: 1.0})


def test_infinities_have_a_difference_but_no_interval():
    found = paired_differences({0: -math.inf, 1: 1.0, 2: 1.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert (found.value, found.ci_kind) == (-math.inf, "")
    assert paired_differences({0: -math.inf}, {0: -math.inf}).value == 0.0


def test_standings_with_infinities():
    values = {"good": dict.fromkeys(range(3), 0.1), "diverged": dict.fromkeys(range(3), math.inf)}
    assert standings(values, "lower") == {"good": "best"}
    once = {"good": dict.fromkeys(range(3), 0.1), "once": {0: math.inf, 1: 0.0, 2: 0.0}}
    assert standings(once, "lower") == {}


def test_standings_mark_nothing_where_all_are_tied():
    same = {name: {0: 0.5, 1: 0.6, 2: 0.7} for name in "ab"}
    assert standings(same, "higher") == {}


def study():
    rows = []
    for seed, noise in enumerate((0.0, 5.0, -3.0)):
        for model, shift in (("mlp", 2.0), ("twin", 0.0), ("cnn", 1.0)):
            rows.append(record(model, "accuracy", "accuracy", noise + shift, seed))
    return rows


def test_compare_cancels_what_the_seeds_share():
    frame = compare(to_frame(study()), metric="accuracy", baseline="twin").set_index("model")
    assert frame.loc["mlp", "difference"] == pytest.approx(2.0)
    assert frame.loc["mlp", "ci_high"] - frame.loc["mlp", "ci_low"] == pytest.approx(0, abs=1e-12)
    assert list(frame.index) == ["mlp", "cnn"]


def test_compare_pairs_each_model_with_its_own_seeds_and_names_them():
    rows = [r for r in study() if (r["model"], r["seed"]) != ("cnn", 1)]
    rows.append(failed("cnn", "accuracy", 1))
    frame = compare(to_frame(rows), metric="accuracy", baseline="twin").set_index("model")
    assert frame.loc["mlp", "seeds"] == "0 1 2"
    assert frame.loc["cnn", "seeds"] == "0 2"


def test_compare_names_a_model_that_failed():
    rows = [r for r in study() if r["model"] != "cnn"]
    rows += [failed("cnn", "accuracy", seed, "crashed") for seed in range(3)]
    frame = compare(to_frame(rows), metric="accuracy", baseline="twin").set_index("model")
    assert (frame.loc["cnn", "status"], frame.loc["cnn", "n"]) == ("crashed", 0)
    assert math.isnan(frame.loc["cnn", "difference"])


def test_each_model_may_have_its_own_baseline():
    frame = compare(to_frame(study()), metric="accuracy", baseline={"mlp": "cnn"})
    assert frame["difference"].tolist() == pytest.approx([1.0])


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"no model 'twim'\. Did you mean 'twin'"):
        compare(to_frame(study()), metric="accuracy", baseline="twim")
    with pytest.raises(InputError, match="no metric"):
        compare(to_frame(study()), metric="cka", baseline="twin")


def test_lines_of_models_against_one():
    lines = model_comparison_lines(compare(to_frame(study()), metric="accuracy", baseline="twin"))
    assert lines == [
        "| model | difference | 95 % | seeds |",
        "|:--|--:|--:|--:|",
        "| mlp | +2.0000 | +2.0000 to +2.0000 | 3 |",
        "| cnn | +1.0000 | +1.0000 to +1.0000 | 3 |",
    ]
