import math
import re

import pandas as pd
import pytest
from page_reading import Page
from synthetic_study import MODELS, digits, digits_rows, failed, record, with_faults

from repgeo.errors import ConfigurationError, InputError
from repgeo.probes.rows import to_frame
from repgeo.report import leaderboard_html
from repgeo.report.ledger import ledger

STITCHING = {"probe": "relative_stitching", "metric": "accuracy", "at": {"method": "relative"}}


def expectation(where, value, tolerance=0.05):
    return {
        "where": where,
        "value": value,
        "tolerance": tolerance,
        "kind": "reference",
        "source": "own measurement",
    }


def test_the_page_is_one_offline_file_and_well_formed():
    text = leaderboard_html(with_faults(), title="Digits")
    page = Page(text)
    assert page.unclosed == []
    assert not re.search(r"https?://|@import|url\(|<link|src=", text)
    assert page.tags.count("h1") == 1


def test_every_model_probe_and_metric_is_there():
    page = Page(leaderboard_html(with_faults(), title="Digits"))
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    for word in (*MODELS, "pullback_volume", "log_volume [nats]", "relative_error ↓", "cka ↑"):
        assert word in text
    for word in ("transform=rot90", "method=absolute", "others", "self", "chance"):
        assert word in page.text
    assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)


def test_every_sortable_head_has_a_button_and_its_column():
    text = leaderboard_html(digits(), title="Digits")
    page = Page(text)
    assert set(page.having("th", "aria-sort")) == {"none"}
    heads = page.having("th", "data-column")
    assert len(heads) == page.tags.count("button")
    tables = re.findall(r'<table class="sortable">.*?</table>', text, re.DOTALL)
    for table in tables:
        columns = [int(c) for c in re.findall(r'data-column="(\d+)"', table)]
        body = table[table.index("<tbody>") : table.index("</tbody>")]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL):
            assert len(re.findall(r"<t[dh][ >]", row)) == len(columns)
        assert sorted(columns) == list(range(len(columns)))


def test_sort_keys_are_full_numbers_and_failures_have_none():
    text = leaderboard_html(with_faults(), title="Digits")
    keys = Page(text).having("td", "data-sort")
    assert keys.count("") == 6
    assert all(math.isfinite(float(key)) for key in keys if key)
    rows = [record("m", "volume", "log", -math.inf, seed) for seed in range(3)]
    assert Page(leaderboard_html(to_frame(rows), title="")).having("td", "data-sort") == ["-inf"]


def test_failures_are_visible_with_their_reason():
    text = leaderboard_html(with_faults(), title="Digits")
    page = Page(text)
    assert "Failures (21)" in page.text
    assert "LayerError: no layer 'net.9'" in page.having("td", "title")
    assert page.tags.count("summary") == 6
    assert "None: every cell gave its numbers." in leaderboard_html(digits(), title="Digits")


def test_names_and_errors_are_escaped():
    rows = [record("<b>bold</b>", "p&q", "m<i>", 0.1, 0)]
    rows.append(failed("x", "p&q", 0, error="<script>alert(1)</script>"))
    rows.append(record("x", "pair", "m", 0.2, 0, model_b="<u>"))
    page = Page(leaderboard_html(to_frame(rows), title="<title>"))
    assert page.unclosed == []
    assert not {"i"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert "<b>bold</b>" in page.text
    assert "<script>alert(1)</script>" in page.text


def test_pairs_have_a_heat_table_per_number():
    text = leaderboard_html(digits(), title="Digits")
    blocks = re.findall(r'<section class="matrix">.*?</section>', text, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert len(re.findall(r"<td", block)) == len(MODELS) ** 2
        assert len(re.findall(r'<td class="self"', block)) == len(MODELS)
    heats = [float(h) for h in re.findall(r"--heat:([\d.]+)", text)]
    assert min(heats) == 0.0
    assert max(heats) == 1.0


def test_second_models_stand_in_the_order_of_the_first():
    names = {"a": "abc", "b": "ba", "c": "ca"}  # the pairs (b, c) and (c, b) are not measured
    frame = to_frame(
        record(a, "pair", "m", 0.5, 0, model_b=b) for a in "abc" for b in reversed(names[a])
    )
    text = leaderboard_html(frame, title="Pairs")
    heads = re.findall(r'<th scope="col"><span>(.)</span>', text)
    assert heads == ["a", "b", "c"]


def test_datasets_have_tables_of_their_own():
    frame = pd.concat([digits(), digits().assign(dataset="mnist")], ignore_index=True)
    page = Page(leaderboard_html(frame, title="Two"))
    assert "Models on digits" in page.text
    assert "Models on mnist" in page.text


def test_the_same_table_gives_the_same_page():
    one, two = (leaderboard_html(with_faults(), title="Digits") for _ in range(2))
    assert one == two


def test_an_empty_table_is_refused():
    with pytest.raises(InputError, match="no rows"):
        leaderboard_html(to_frame([]), title="Digits")


def test_ledger_agrees_and_differs():
    values = [("mlp", 0, 0.9), ("mlp", 1, 1.0), ("mlp", 2, 0.95)]
    frame = to_frame([record(m, "accuracy", "accuracy", v, s) for m, s, v in values])
    where = {"probe": "accuracy", "model": "mlp"}
    found = ledger(frame, [expectation(where, 0.90), expectation(where, 0.89)])
    assert [line.verdict for line in found] == ["agrees", "differs"]
    assert found[0].ours.value == pytest.approx(0.95)
    assert found[0].ours.ci_kind == "t:seeds"


def test_ledger_never_averages_unlike_things():
    found = ledger(digits(), [expectation({"probe": "equivariance_error"}, 0.5)])[0]
    assert (found.verdict, found.ours) == ("ambiguous", None)
    assert "at varies" in found.note


def test_ledger_leaves_the_diagonal_out_unless_named():
    frame = to_frame(
        record(a, "stitch", "accuracy", 1.0 if a == b else 0.5, s, model_b=b)
        for s in range(3)
        for a in "ab"
        for b in "ab"
    )
    assert ledger(frame, [expectation({"probe": "stitch"}, 0.5, 0.0)])[0].verdict == "agrees"
    own = expectation({"probe": "stitch", "model": "a", "model_b": "a"}, 1.0, 0.0)
    assert ledger(frame, [own])[0].verdict == "agrees"


def test_ledger_uses_complete_seeds_only():
    rows = [record(m, "p", "m", v, s) for m, v in (("a", 0.0), ("b", 1.0)) for s in range(3)]
    rows = [row for row in rows if (row["model"], row["seed"]) != ("b", 2)]
    rows.append(failed("b", "p", 2))
    found = ledger(to_frame(rows), [expectation({"probe": "p"}, 0.5, 0.0)])[0]
    assert found.ours.value == 0.5
    assert found.note == "2 of 3 seeds, mean over 2 models"


def test_ledger_says_what_is_not_measured():
    frame = with_faults()
    lines = [
        expectation({"probe": "curvature"}, 0.5),
        expectation(
            {
                "probe": "equivariance_error",
                "model": "resnet",
                "at": {"of": "codes", "transform": "flip"},
            },
            0.5,
        ),
    ]
    found = ledger(frame, lines)
    assert [line.verdict for line in found] == ["not measured", "not measured"]
    assert "LayerError" in found[1].note


def test_ledger_refuses_unknown_columns():
    with pytest.raises(ConfigurationError, match=r"'modell'.*Did you mean 'model'"):
        ledger(digits(), [expectation({"modell": "mlp"}, 0.5)])


def test_the_page_prints_the_ledger():
    rows = [row for row in digits_rows() if "#" in row["model"] and "#" in row.get("model_b", "#")]
    page = Page(
        leaderboard_html(to_frame(rows), title="Digits", expected=[expectation(STITCHING, 0.85)])
    )
    assert "Expected numbers" in page.text
    assert "agrees" in page.text
    assert "0.85 ± 0.05" in page.text
