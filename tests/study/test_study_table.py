"""The table of a study: columns, exact round trips, the same bytes for any order of execution."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import repgeo
from repgeo.errors import StorageError
from repgeo.probes.rows import COLUMNS, COST_COLUMNS, to_frame
from repgeo.study.ledger import Ledger
from repgeo.study.planning import make_plan
from repgeo.study.running import RunOptions
from repgeo.study.table import make_table, read, to_csv, write_table
from repgeo.study.taskfile import read_task

#: As the design fixes them.
NAMES = [
    "task",
    "dataset",
    "model",
    "model_b",
    "layer",
    "layer_b",
    "probe",
    "params",
    "metric",
    "at",
    "value",
    "unit",
    "direction",
    "chance",
    "stderr",
    "ci_low",
    "ci_high",
    "ci_kind",
    "n",
    "seed",
    "status",
    "error_type",
    "error",
    "dtype",
    "cell",
    "version",
    "duration_s",
    "peak_mb",
    "started_at",
    "host",
    "device",
]

TASK = """
[task]
seeds = [0, 1]
[dataset]
name = "./data.py:blobs"
[[models]]
name = "./nets.py:make"
label = "a"
[models.train]
epochs = 1
[[models]]
name = "./nets.py:make"
label = "b, \\"quoted\\" NA"
dtype = "float64"
[[probes]]
name = "./probes.py:Curve"
[[probes]]
name = "./probes.py:Distance"
[[probes]]
name = "./probes.py:Raises"
only = "a"
"""


@pytest.fixture
def frame(toys):
    return repgeo.run(toys.task(TASK), out=toys.out, options=RunOptions(parquet=True))


def test_columns_and_types(frame):
    assert list(frame.columns) == NAMES == list(COLUMNS)
    numbers = {"value", "chance", "stderr", "ci_low", "ci_high", "duration_s", "peak_mb"}
    for name in NAMES:
        wanted = "float64" if name in numbers else "Int64" if name in ("n", "seed") else "string"
        assert str(frame[name].dtype).startswith(wanted), name
    assert tuple(NAMES[-5:]) == COST_COLUMNS


def test_what_the_rows_say(frame):
    curve = frame[(frame["probe"] == "curve") & (frame["model"] == "a") & (frame["seed"] == 0)]
    assert curve["metric"].tolist() == ["height"] * 3 + ["top"]
    assert curve["at"].tolist() == ['{"step":1}', '{"step":2}', '{"step":3}', ""]
    assert curve["unit"].tolist() == ["nats"] * 3 + [""]
    assert curve["n"].tolist()[:3] == [20] * 3
    assert curve["ci_kind"].str.len().gt(0).tolist() == [True] * 3 + [False]
    heights = curve["value"].tolist()
    assert heights[0] == pytest.approx(2 * heights[1], rel=1e-12)
    assert heights[3] == math.inf
    low, high = curve["ci_low"].iloc[0], curve["ci_high"].iloc[0]
    assert low < heights[0] < high
    assert curve["cell"].nunique() == 1
    pair = frame[frame["probe"] == "distance"]
    assert pair["direction"].unique().tolist() == ["none"]
    assert pair["layer_b"].unique().tolist() == ["encoder"]
    assert len(pair) == 2 * 2 * 2
    dtypes = frame.groupby("model")["dtype"].unique()
    assert dtypes["a"].tolist() == ["float32"]
    assert dtypes['b, "quoted" NA'].tolist() == ["float64"]


def test_a_table_is_read_back_exactly(frame, toys):
    assert_frame_equal(read(toys.out), frame, check_exact=True)
    assert_frame_equal(repgeo.read(toys.out / "table.csv"), frame, check_exact=True)


def test_csv_and_parquet_hold_the_same(frame, toys):
    assert_frame_equal(read(toys.out / "table.parquet"), frame, check_exact=True)
    assert not list(toys.out.rglob("*.partial"))


def test_extreme_numbers_and_texts_are_read_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(500) * 10.0 ** rng.integers(-300, 300, 500)
    special = [math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2]
    rows = [{"value": float(value), "seed": 2**62 + 1} for value in [*numbers, *special]]
    texts = ["", "NA", "nan", "None", " a ", 'say "x", y', "two\nlines", "a\r\nb", "ä→🙂", "1.0"]
    rows += [{"model": text, "value": math.nan} for text in texts]
    given = to_frame(rows)
    write_table(given, tmp_path, parquet=True)
    for name in ("table.csv", "table.parquet"):
        found = read(tmp_path / name)
        assert_frame_equal(found, given, check_exact=True)
        np.testing.assert_array_equal(
            np.signbit(found["value"].to_numpy()), np.signbit(given["value"].to_numpy())
        )


def test_an_empty_table_is_read_back(tmp_path):
    write_table(to_frame([]), tmp_path, parquet=True)
    for name in ("table.csv", "table.parquet"):
        assert_frame_equal(read(tmp_path / name), to_frame([]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no table"),
        ("", "is not a table of repgeo"),
        ("a,b\n1,2\n", "it lacks"),
        (",".join(NAMES) + "\n" + "x," * (len(NAMES) - 1) + "x\n", "is not a table of repgeo"),
        ("\x00\x01", "is not a table of repgeo"),
    ],
)
def test_what_is_no_table_is_refused(content, words, tmp_path):
    if content is not None:
        (tmp_path / "table.csv").write_text(content)
    with pytest.raises(StorageError, match=words):
        read(tmp_path)


def test_a_published_table_without_costs_is_read(frame, tmp_path):
    lasting = frame.drop(columns=list(COST_COLUMNS))
    write_table(lasting, tmp_path)
    assert_frame_equal(read(tmp_path), lasting, check_exact=True)


def test_one_row_per_death(frame):
    dead = frame[frame["status"] != "ok"]
    assert len(dead) == 2  # one model, two seeds
    assert dead["cell"].nunique() == 2
    assert dead["metric"].tolist() == ["", ""]


def test_the_order_of_execution_is_not_seen(toys):
    task = toys.task(TASK)
    reference = repgeo.run(task, out=toys.folder / "reference")
    mixed = toys.folder / "mixed"
    for models, probes in (
        (("b*",), ("raises",)),
        ((), ("distance",)),
        (("a",), ()),
        (("b*",), ("curve",)),
    ):
        repgeo.run(task, out=mixed, options=RunOptions(models=models, probes=probes))
    frame = repgeo.run(task, out=mixed)
    lasting = [name for name in NAMES if name not in COST_COLUMNS]
    assert to_csv(frame[lasting]) == to_csv(reference[lasting])


def test_the_table_does_not_depend_on_the_order_of_the_outcomes(frame, toys):
    plan = make_plan(read_task(toys.folder / "task.toml"))
    ledger = Ledger(toys.out)
    outcomes = {step.id: ledger.outcome(step) for step in reversed(plan.steps)}
    assert to_csv(make_table(plan, outcomes)) == to_csv(frame)


def test_costs_are_told(frame, toys):
    assert (frame["duration_s"] >= 0).all()
    assert (frame["peak_mb"] > 1).all()
    assert pd.to_datetime(frame["started_at"]).notna().all()
    assert frame["device"].unique().tolist() == ["cpu"]


def test_samples_lie_beside_the_cell(frame, toys):
    row = frame[(frame["probe"] == "curve") & (frame["metric"] == "height")].iloc[0]
    arrays = Ledger(toys.out).arrays(row["cell"])
    assert arrays["0/samples"].shape == (20,)
    assert arrays["0/ids"].tolist() == list(range(1000, 1020))
    assert arrays["0/samples"].mean() == pytest.approx(row["value"], rel=1e-12)
    assert arrays["3/artifact/codes"].shape == (20, 3)


def test_steps_without_an_outcome_have_no_row(frame, toys):
    plan = make_plan(read_task(toys.folder / "task.toml"))
    assert make_table(plan, {}).empty
    training = next(step for step in plan.steps if step.kind == "train")
    outcome = dataclasses.replace(Ledger(toys.out).outcome(training), status="timeout")
    rows = make_table(plan, {training.id: outcome})
    needing = [cell for cell in plan.cells if training.id in cell.needs]
    assert rows["status"].tolist() == ["timeout"] + ["blocked"] * len(needing)
