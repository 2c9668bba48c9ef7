import math

import numpy as np
import pandas as pd
import pytest
from synthetic_study import MODELS, digits, failed, record, with_faults, with_interval

from repgeo.errors import ConfigurationError, InputError
from repgeo.probes.rows import to_frame
from repgeo.report.aggregate import aggregate
from repgeo.report.overviews import overviews
from repgeo.report.tables import render


def frame_of(values, probe="accuracy", metric="accuracy", **more):
    """Model -> the values at seeds 0, 1, ...; None is a failed cell."""
    rows = []
    for model, numbers in values.items():
        for seed, value in enumerate(numbers):
            if value is None:
                rows.append(failed(model, probe, seed))
            else:
                rows.append(record(model, probe, metric, value, seed, **more))
    return to_frame(rows)


def entry_of(table, model, column=0):
    row = [head.get("model") for head in table.rows].index(model)
    return table.entries[row, column]


def column_where(table, **wanted):
    found = [
        i
        for i, head in enumerate(table.columns)
        if all(head.get(name) == value for name, value in wanted.items())
    ]
    assert len(found) == 1
    return found[0]


def test_mean_and_student_t_interval_over_three_seeds():
    entry = entry_of(aggregate(frame_of({"mlp": [1.0, 2.0, 3.0]})), "mlp")
    # t(0.975, 2) = 4.30265, standard error 1 / sqrt(3)
    assert entry.estimate.value == 2.0
    assert entry.estimate.ci_high - 2.0 == pytest.approx(4.302652729911275 / math.sqrt(3), rel=1e-9)
    assert entry.estimate.ci_kind == "t:seeds"
    assert entry.coverage == 1.0


def test_a_failed_seed_of_one_model_is_left_out_for_all():
    table = aggregate(frame_of({"mlp": [0.1, 0.2, 0.9], "cnn": [0.3, 0.4, None]}))
    mlp, cnn = entry_of(table, "mlp"), entry_of(table, "cnn")
    assert mlp.estimate.value == pytest.approx(0.15)
    assert cnn.estimate.value == pytest.approx(0.35)
    assert mlp.seeds == cnn.seeds == (0, 1)
    assert mlp.coverage == cnn.coverage == pytest.approx(2 / 3)
    assert mlp.estimate.ci_kind == ""
    assert table.groups[0].gaps == ((2, "cnn", "failed"),)


def test_a_missing_cell_counts_like_a_failed_one():
    frame = frame_of({"mlp": [0.1, 0.2, 0.9], "cnn": [0.3, 0.4, 0.5]})
    frame = frame.drop(index=frame.index[-1])
    table = aggregate(frame)
    assert entry_of(table, "mlp").seeds == (0, 1)
    assert table.groups[0].gaps == ((2, "cnn", "missing"),)


def test_a_model_without_any_number_does_not_empty_the_comparison():
    table = aggregate(frame_of({"mlp": [0.1, 0.2, 0.3], "cnn": [None, None, None]}))
    assert entry_of(table, "mlp").coverage == 1.0
    cnn = entry_of(table, "cnn")
    assert (cnn.status, cnn.estimate) == ("failed", None)
    assert cnn.reason == "LayerError: no layer 'net.9'"


def test_no_common_seed_gives_no_number_and_says_so():
    table = aggregate(frame_of({"mlp": [0.1, None], "cnn": [None, 0.5]}))
    for model in ("mlp", "cnn"):
        assert entry_of(table, model).status == "incomplete"
        assert entry_of(table, model).estimate is None


def test_unlike_at_are_never_averaged():
    rows = [
        record("mlp", "equivariance_error", "error", value, seed, at={"turn": turn})
        for seed in range(3)
        for turn, value in ((90, 0.0), (180, 1.0))
    ]
    table = aggregate(to_frame(rows))
    assert [head.get("at") for head in table.columns] == ['{"turn":90}', '{"turn":180}']
    assert [entry_of(table, "mlp", c).estimate.value for c in (0, 1)] == [0.0, 1.0]


@pytest.mark.parametrize(
    "dimension", ["task", "dataset", "probe", "params", "layer", "layer_b", "at", "metric"]
)
def test_every_dimension_that_varies_splits_the_column(dimension):
    rows = [
        record("mlp", "probe", "metric", value, seed) | {dimension: text}
        for seed in range(3)
        for text, value in (('{"k":1}', 0.0), ('{"k":2}', 1.0))
    ]
    table = aggregate(to_frame(rows))
    assert len(table.columns) == 2
    assert sorted(entry.estimate.value for entry in table.entries.values()) == [0.0, 1.0]


def test_the_same_metric_name_of_two_probes_stays_apart():
    table = aggregate(digits())
    columns = [head for head in table.columns if head.get("metric") == "accuracy"]
    assert {head.get("probe") for head in columns} == {"accuracy", "relative_stitching"}


def pair(a, b, value, seed, **more):
    return record(a, "similarity", "cka", value, seed, model_b=b, **more)


def test_the_diagonal_is_apart_and_not_in_the_mean_over_others():
    rows = [
        pair(a, b, 1.0 if a == b else 0.1 * (ord(b) - ord("a")), seed)
        for seed in range(3)
        for a in "abc"
        for b in "abc"
    ]
    table = aggregate(to_frame(rows))
    others, own = column_where(table, side="others"), column_where(table, side="self")
    assert entry_of(table, "a", others).estimate.value == pytest.approx((0.1 + 0.2) / 2)
    assert entry_of(table, "b", others).estimate.value == pytest.approx((0.0 + 0.2) / 2)
    assert entry_of(table, "a", own).estimate.value == 1.0
    assert entry_of(table, "a", others).partners == ("b", "c")


def test_pairs_first_average_within_a_seed():
    # The interval over seeds is that of the per-seed means, not of the pairs thrown together.
    values = {0: (0.0, 1.0), 1: (0.2, 0.8), 2: (0.4, 0.6)}
    rows = []
    for seed, (b, c) in values.items():
        rows += [pair("a", "b", b, seed), pair("a", "c", c, seed)]
    entry = aggregate(to_frame(rows)).entries[0, 0]
    assert entry.estimate.value == pytest.approx(0.5)
    assert entry.estimate.stderr == pytest.approx(0.0, abs=1e-15)


def test_one_failed_pair_takes_the_seed_from_all():
    rows = [pair(a, b, 0.5 + seed, seed) for seed in range(3) for a in "abc" for b in "abc"]
    rows = [r for r in rows if (r["model"], r["model_b"], r["seed"]) != ("a", "b", 1)]
    rows.append(failed("a", "similarity", 1, model_b="b"))
    table = aggregate(to_frame(rows))
    others, own = column_where(table, side="others"), column_where(table, side="self")
    for model in "abc":
        assert entry_of(table, model, others).seeds == (0, 2)
        assert entry_of(table, model, others).estimate.value == pytest.approx(1.5)
        assert entry_of(table, model, own).seeds == (0, 1, 2)
    assert table.groups[others].gaps == ((1, "a", "failed with b"),)


def test_a_second_model_without_any_number_is_left_out_for_all():
    rows = []
    for seed in range(3):
        for a in "abx":
            for b in "abx":
                dead = "x" in (a, b)
                rows.append(
                    failed(a, "similarity", seed, "blocked", model_b=b)
                    if dead
                    else pair(a, b, 0.25, seed)
                )
    table = aggregate(to_frame(rows))
    others = column_where(table, side="others")
    assert entry_of(table, "a", others).coverage == 1.0
    assert entry_of(table, "x", others).status == "blocked"
    assert table.groups[others].dropped == ("x",)
    assert not table.groups[others].uneven


def test_averages_over_unlike_partners_are_not_ranked():
    rows = [
        pair(a, b, value, seed, direction="higher")
        for seed in range(3)
        for a, b, value in (("a", "b", 0.9), ("b", "a", 0.8), ("c", "d", 0.1), ("d", "c", 0.1))
    ]
    table = aggregate(to_frame(rows))
    assert table.groups[0].uneven
    assert not any(entry.mark for entry in table.entries.values())


def test_second_models_as_columns_are_single_pairs():
    table = aggregate(
        to_frame([pair("a", b, v, 0) for b, v in (("a", 1.0), ("b", 0.2))]), columns=("model_b",)
    )
    assert [table.entries[0, c].estimate.value for c in (0, 1)] == [1.0, 0.2]


def test_a_single_seed_keeps_its_own_named_interval():
    row = with_interval(record("mlp", "accuracy", "accuracy", 0.9, 0), 0.03, "wilson:samples")
    estimate = aggregate(to_frame([row])).entries[0, 0].estimate
    assert estimate.ci_kind == "wilson:samples"
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((0.87, 0.93))


def test_intervals_of_cells_are_not_used_over_several_seeds():
    rows = [
        with_interval(record("mlp", "accuracy", "accuracy", 0.9, seed), 0.03, "wilson:samples")
        for seed in range(2)
    ]
    assert aggregate(to_frame(rows)).entries[0, 0].estimate.ci_kind == ""


def test_minus_infinity_is_a_value():
    table = aggregate(frame_of({"flat": [-math.inf, -1.0, -2.0], "full": [-1.0, -2.0, -3.0]}))
    flat = entry_of(table, "flat")
    assert flat.status == "ok"
    assert flat.estimate.value == -math.inf
    assert flat.estimate.ci_kind == ""
    assert entry_of(table, "full").estimate.value == -2.0


def test_opposite_infinities_are_undefined_not_nan():
    entry = entry_of(aggregate(frame_of({"mlp": [-math.inf, math.inf, 0.0]})), "mlp")
    assert (entry.status, entry.estimate) == ("undefined", None)


def test_a_nan_in_the_table_is_not_a_number():
    frame = frame_of({"mlp": [0.1, 0.2, 0.3], "cnn": [0.1, math.nan, 0.3]})
    assert entry_of(aggregate(frame), "mlp").seeds == (0, 2)


def test_best_and_tied_need_three_seeds_and_a_direction():
    values = {"a": [0.9, 0.8, 0.7], "b": [0.8, 0.9, 0.6], "c": [0.1, 0.0, 0.1]}
    table = aggregate(frame_of(values))
    assert [entry_of(table, m).mark for m in "abc"] == ["best", "tied", ""]
    assert [entry_of(aggregate(frame_of(values, direction="lower")), m).mark for m in "abc"] == [
        "",
        "",
        "best",
    ]
    for unmarked in (
        frame_of(values, direction="none"),
        frame_of({model: numbers[:2] for model, numbers in values.items()}),
    ):
        assert not any(entry.mark for entry in aggregate(unmarked).entries.values())


def test_chance_unit_and_direction_are_carried():
    frame = frame_of({"mlp": [0.1, 0.2, 0.3]}, chance=0.1, unit="nats", direction="lower")
    entry = aggregate(frame).entries[0, 0]
    assert (entry.chance, entry.unit, entry.direction) == ((0.1, 0.1), "nats", "lower")


def test_a_probe_that_failed_everywhere_has_its_column():
    frame = to_frame([failed(model, "curvature", 0, "timeout") for model in ("mlp", "cnn")])
    table = aggregate(frame)
    assert [head.get("probe") for head in table.columns] == ["curvature"]
    assert {entry.status for entry in table.entries.values()} == {"timeout"}


def test_a_failed_cell_stands_for_all_the_numbers_it_lacks():
    table = aggregate(with_faults())
    columns = [c for c, h in enumerate(table.columns) if h.get("probe") == "equivariance_error"]
    assert len(columns) == 6
    assert {entry_of(table, "resnet", c).status for c in columns} == {"failed"}


def test_the_order_of_rows_does_not_matter():
    frame = with_faults()
    shuffled = frame.sample(frac=1.0, random_state=1)
    key = ["model", "probe", "metric", "at", "side"]
    one, two = (aggregate(f).to_frame().sort_values(key) for f in (frame, shuffled))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))


def test_against_an_obvious_reference():
    frame = digits()
    table = aggregate(frame)
    others = column_where(
        table, probe="relative_stitching", at='{"method":"relative"}', side="others"
    )
    for model in MODELS:
        rows = frame[
            (frame.probe == "relative_stitching")
            & (frame["at"] == '{"method":"relative"}')
            & (frame.model == model)
            & (frame.model_b != model)
        ]
        per_seed = [rows[rows.seed == seed]["value"].mean() for seed in range(3)]
        assert entry_of(table, model, others).estimate.value == pytest.approx(np.mean(per_seed))


def test_metrics_in_rows_split_the_rows():
    table = aggregate(digits(), rows=("metric",), columns=("model",))
    assert [head.get("model") for head in table.columns] == list(MODELS)
    assert len(table.rows) == len(aggregate(digits()).columns)
    wide, tall = aggregate(digits()), table
    values = {e.estimate.value for e in wide.entries.values()}
    assert {e.estimate.value for e in tall.entries.values()} == values
    assert [e.mark for e in wide.entries.values()].count("best") == [
        e.mark for e in tall.entries.values()
    ].count("best")


def test_seeds_can_be_columns():
    table = aggregate(frame_of({"mlp": [0.1, 0.2]}), columns=("metric", "seed"))
    assert [table.entries[0, c].estimate.value for c in (0, 1)] == [0.1, 0.2]


def test_the_model_is_never_averaged_over():
    table = aggregate(frame_of({"mlp": [0.0], "cnn": [1.0]}), rows=("layer",))
    assert table.row_names == ("model", "layer")


def test_an_empty_table_is_refused():
    with pytest.raises(InputError, match="no rows"):
        aggregate(to_frame([]))


def test_unknown_and_doubled_dimensions_are_refused():
    frame = frame_of({"mlp": [0.1]})
    with pytest.raises(ConfigurationError, match=r"'modle'.*Did you mean 'model'"):
        aggregate(frame, rows=("modle",))
    with pytest.raises(ConfigurationError, match="named twice"):
        aggregate(frame, rows=("model",), columns=("model",))


def test_two_values_for_one_number_are_refused():
    frame = pd.concat([frame_of({"mlp": [0.1]}), frame_of({"mlp": [0.2]})], ignore_index=True)
    with pytest.raises(InputError, match="two values for one number"):
        aggregate(frame)


def test_a_table_without_its_columns_is_refused():
    with pytest.raises(InputError, match=r"lacks the columns.*seed"):
        aggregate(frame_of({"mlp": [0.1]}).drop(columns="seed"))


def test_the_frame_is_left_as_it_was():
    frame = with_faults()
    before = frame.copy(deep=True)
    aggregate(frame)
    pd.testing.assert_frame_equal(frame, before)


def walked(models, rules, steps):
    return [
        record(
            model,
            "walk",
            "drift",
            100 * place + step,
            0,
            at={"step": step},
            params=f'{{"rule":"{rule}","size":2}}',
            cell=f"{model}{rule}",
        )
        for model in models
        for place, rule in enumerate(rules)
        for step in steps
    ]


def test_overviews_lay_many_places_out_as_rows():
    plain = [record(model, "accuracy", "accuracy", 0.5, 0) for model in "ab"]
    few = to_frame(plain + walked("ab", ["x", "y"], range(6)))
    assert [len(table.columns) for table in overviews(few)] == [13]
    many = to_frame(plain + walked("ab", ["x", "y"], range(1, 8)))
    first, second = overviews(many)
    assert len(first.columns) == len(second.columns) == 1
    assert second.row_names == ("model", "params", "at")
    assert len(second.rows) == 2 * 2 * 7
    lines = render(second, "md").splitlines()
    (line,) = [line for line in lines if line.startswith("| b | rule=y | step=7 |")]
    assert line.split("|")[4].split()[0] == "107"
    endless = to_frame(plain + walked("ab", ["x"], range(1, 202)))
    assert [table.columns[0].get("probe") for table in overviews(endless)] == ["accuracy"]


def test_overviews_leave_curves_out_where_there_are_too_many_places():
    plain = [record(model, "walk", "drift", 1.0, 0, cell=f"{model}plain") for model in "ab"]
    long = to_frame(plain + walked("ab", ["x"], range(1, 202)))
    (table,) = overviews(long)
    assert [head.get("model") for head in table.rows] == ["a", "b"]


def test_overviews_of_several_datasets_say_which_each_is_of():
    walks = walked("ab", ["x", "y"], range(1, 8))
    several = [
        row | {"dataset": f"{name}", "cell": name} for name in ("one", "two") for row in walks
    ]
    tables = overviews(to_frame(several))
    assert [render(table, "md").splitlines()[0] for table in tables] == [
        "**one · walk**",
        "**two · walk**",
    ]
