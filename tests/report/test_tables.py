import csv
import io
import math
import re

import pytest
from page_reading import Page
from synthetic_study import MODELS, digits, failed, record, with_faults

from repgeo.errors import ConfigurationError
from repgeo.probes.intervals import Estimate
from repgeo.probes.rows import to_frame
from repgeo.report import as_text, render, summary_lines
from repgeo.report.aggregate import aggregate
from repgeo.report.rounding import estimate_text, number_text
from repgeo.report.tables import FORMATS, escape_latex

NASTY = "a|b_c%d&e#f$g{h}~^\\<b>"


def nasty_frame():
    rows = [record(NASTY, "pro_be", "me|tric", 0.5 + 0.1 * seed, seed) for seed in range(3)]
    rows += [failed("other", "pro_be", seed, error="no | <i>layer</i> _x_") for seed in range(3)]
    return to_frame(rows)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.94567, None, 0.93345, 0.95789), ("0.946", "± 0.012")),
        (Estimate(0.5, None, 0.4004, 0.5996), ("0.50", "± 0.10")),  # 0.0996 rounds up to 0.10
        (Estimate(1234.5, None, 1114.5, 1354.5), ("1230", "± 120")),
        (Estimate(-31.11, None, -31.87, -30.35), ("-31.11", "± 0.76")),
        (Estimate(2e-7, None, 1e-7, 3e-7), ("2.0e-07", "± 1.0e-07")),
        (Estimate(0.5, None, 0.5, 0.5), ("0.500", "± 0")),
        (Estimate(0.5, None, 0.5 - 1e-12, 0.5 + 1e-12), ("0.5000000", "± 1e-12")),
        (Estimate(-0.0001, None, -0.1, 0.0998), ("0.00", "± 0.10")),
        (Estimate(-math.inf), ("-inf", "")),
        (Estimate(0.99, None, 0.95, 0.998), ("0.990", "[0.950, 0.998]")),
    ],
)
def test_rounding_by_uncertainty(estimate, text):
    shown = estimate_text(estimate)
    assert shown == text


def test_numbers_without_uncertainty():
    assert [number_text(v) for v in (0.0, 450.0, 1234567.8, 0.000012)] == [
        "0",
        "450",
        "1.23e+06",
        "1.20e-05",
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_no_format_shows_nan_or_hides_a_failure(kind):
    text = render(aggregate(with_faults()), kind)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert "failed" in text
    for model in MODELS:
        assert (model.replace("#", r"\#") if kind == "tex" else model) in text


@pytest.mark.parametrize("kind", FORMATS)
def test_minus_infinity_is_shown(kind):
    rows = [
        record("flat", "pullback_volume", "log_volume", -math.inf, s, unit="nats") for s in range(3)
    ]
    text = render(aggregate(to_frame(rows)), kind)
    assert (r"$-\infty$" if kind == "tex" else "-inf") in text


def test_markdown_has_a_table_per_probe_with_arrow_unit_chance_and_coverage():
    text = render(aggregate(with_faults()), "md")
    assert text.count("|:--|") == 5
    assert "| model | accuracy ↑ |" in text
    assert "log_volume [nats]" in text
    assert "relative_error ↓<br>" in text
    assert "| chance | 0.1 |" in text
    assert "(2/3)" in text
    assert "2 of 3 seeds (0, 1); seed 2: cnn failed" in text
    assert (
        "Not compared: resnet failed (LayerError: no layer 'net.9') in equivariance_error" in text
    )
    assert "Student-t over seeds" in text


def test_markdown_cells_are_escaped():
    text = render(aggregate(nasty_frame()), "md")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {3}
    assert "<b>" not in text
    assert r"a\|b_c" in text
    assert r"\_x\_" in text


def test_latex_is_escaped_and_balanced():
    text = render(aggregate(nasty_frame()), "tex")
    assert escape_latex(NASTY) in text
    bare = re.sub(r"\\[_%&#${}]", "", text.replace(r"\\", ""))
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    body = bare[bare.index(r"\midrule") : bare.index(r"\bottomrule")]
    lines = [line for line in body.splitlines()[1:] if line.strip()]
    columns = re.search(r"\\begin{tabular}{([lr]+)}", text)[1]
    assert {line.count("&") for line in lines} == {len(columns) - 1}
    assert bare.isascii() or set(re.findall(r"[^\x00-\x7f]", bare)) <= set()


def test_latex_groups_columns_by_probe():
    text = render(aggregate(digits()), "tex")
    assert r"\multicolumn{6}{c}{equivariance\_error}" in text
    assert r"\cmidrule(lr){4-9}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert "\\" + rule in text


def test_csv_is_tidy_at_full_precision_and_empty_where_failed():
    rows = list(csv.DictReader(io.StringIO(render(aggregate(with_faults()), "csv"))))
    failed_rows = [row for row in rows if row["status"] == "failed"]
    assert len(failed_rows) == 6
    assert {row["value"] for row in failed_rows} == {""}
    one = next(row for row in rows if row["model"] == "mlp" and row["probe"] == "pullback_volume")
    table = aggregate(with_faults())
    column = next(
        i for i, head in enumerate(table.columns) if head.get("probe") == "pullback_volume"
    )
    assert float(one["value"]) == table.entries[0, column].estimate.value


def test_html_fragment_is_well_formed_and_escaped():
    page = Page(render(aggregate(nasty_frame()), "html"))
    assert page.unclosed == []
    assert "b" not in page.tags
    assert "i" not in page.tags
    assert NASTY in page.text


def test_text_stays_within_the_width():
    text = as_text(aggregate(with_faults()), width=100)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("equivariance_error\n") == 2  # six columns in two blocks
    for model in MODELS:
        assert f"\n{model} " in text
    assert "nan" not in text.lower()


def test_metrics_as_rows_carry_their_unit_and_chance():
    text = render(aggregate(digits(), rows=("metric",), columns=("model",)), "md")
    assert "| log_volume [nats] |" in text
    assert "| chance |" in text.splitlines()[0]
    assert "accuracy, relative_stitching, method=relative, others ↑" in text


def test_an_entry_that_no_cell_belongs_to_is_a_dash():
    rows = [record("mlp", "a", "x", 0.1, 0), record("cnn", "b", "y", 0.1, 0)]
    text = render(aggregate(to_frame(rows)), "md")
    assert "| cnn | - |" in text
    assert "-: not measured." in text


def test_a_single_seed_names_the_interval_of_its_samples():
    text = render(aggregate(digits(seeds=(4,))), "md")
    assert "Values are of the seed 4 alone." in text
    assert "Wilson over samples" in text
    assert "No entry is marked as best" in text


def test_summary_counts_cells_and_lists_failures():
    text = summary_lines(with_faults())
    first, *rest = text.splitlines()
    assert first == "567 cells: 546 ok, 4 failed, 17 blocked"
    assert len(rest) == 21
    assert "failed  resnet  equivariance_error  seed 0  LayerError: no layer 'net.9'" in rest
    assert any(
        line.startswith("blocked  mlp -> mlp#2  relative_stitching  seed 1") for line in rest
    )


def test_unknown_format_is_refused():
    with pytest.raises(ConfigurationError, match=r"'markdown'.*csv, html, md, tex"):
        render(aggregate(digits()), "markdown")
