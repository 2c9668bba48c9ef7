"""What the README says of stitching, hyperbolic spaces and algebra is what the tables hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import repgeo

ROOT = Path(__file__).parents[1]
TEXT = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())

pytestmark = pytest.mark.skipif(
    not (ROOT / "results").is_dir(), reason="a source distribution has no results/"
)


def rows(task: str, metric: str, **parts: str) -> pd.DataFrame:
    """The rows of a metric whose other columns hold the given texts."""
    frame = repgeo.read(ROOT / "results" / task)
    frame = frame[frame["metric"] == metric]
    for column, text in parts.items():
        frame = frame[frame[column].str.contains(text, regex=False)]
    assert len(frame), (task, metric, parts)
    return frame


def assert_told(*sentences: str) -> None:
    assert [sentence for sentence in sentences if sentence not in TEXT] == []


def between_models(method: str) -> float:
    """Mean accuracy of the five networks of a split with one another's heads."""
    frame = rows(
        "stitching_digits",
        "accuracy",
        probe="relative_stitching",
        params='"head":"layer_norm"',
        at=f'{{"method":"{method}"}}',
    )
    frame = frame[frame["model"].str.startswith("mlp#") & frame["model_b"].str.startswith("mlp#")]
    frame = frame[frame["model"] != frame["model_b"]]
    assert len(frame) == 60  # 20 ordered pairs, three seeds
    return float(frame["value"].mean())


def test_stitching_of_digit_classifiers() -> None:
    found = {name: between_models(name) for name in ("absolute", "cosine", "robust", "orthogonal")}
    assert_told(
        f"{found['absolute']:.3f} as they are, {found['cosine']:.3f} by cosines to 64 anchors, "
        f"{found['robust']:.3f} by the robust ones, {found['orthogonal']:.3f} after a rigid motion"
    )


def test_the_intertwined_twin() -> None:
    def mean(method: str) -> float:
        frame = rows(
            "stitching_intertwiner",
            "accuracy",
            probe="relative_stitching",
            model="octaves=3",
            at=f'{{"method":"{method}"}}',
        )
        across = frame[frame["layer"] != frame["layer_b"]]
        return float(across["value"].mean())

    assert_told(
        f"{mean('absolute'):.2f} as they are, {mean('cosine'):.2f} by cosines, "
        f"{mean('robust'):.2f} by the robust ones"
    )


def test_which_measure_sees_what() -> None:
    def value(metric: str, model: str) -> float:
        frame = rows("similarity_grounded", metric)
        sides = frame[["model", "model_b"]]
        chosen = sides.apply(lambda pair: tuple(pair) == (model, "data"), axis=1)
        return float(frame.loc[chosen, "value"].mean())

    repeated = "one repeated 64x"
    assert_told(
        f"a direction repeated 64 times lowers CKA to {value('cka', repeated):.2f}, "
        f"canonical correlations stay at {value('mean_cca', repeated):.2f}"
    )


def test_densification_and_stitching() -> None:
    text = (ROOT / "results/densification_stitching/tests.md").read_text(encoding="utf-8")
    against_plain = text.split("# Against plain")[1]
    robust = against_plain.split('{"method":"robust"}')[1]
    line = next(row for row in robust.splitlines() if row.startswith("| lambda 0.1, beta 0.5"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert_told(f"by {cells[2]} (p = {cells[4]})")


def test_cells_in_the_disk() -> None:
    scores = rows("hyperdga_cells", "score", dataset="paul")
    assert [f"{value:.4f}" for value in scores["value"]] == ["0.7125", "0.9913", "0.9943"]
    assert_told("0.7125, 0.9913 and 0.9943")


def test_words_in_the_disk() -> None:
    trained = rows("hyperdga_wordnet", "z")
    untrained = trained[trained["model"].str.contains("untrained")]["value"]
    trained = trained[trained["model"] == "disk"].groupby("at")["value"].mean()
    assert_told(
        f"{trained.min():.0f} to {trained.max():.0f} standard deviations from chance after "
        f"training, {untrained.mean():.1f} before"
    )


def order(task: str, model: str) -> dict[str, list[float]]:
    frame = rows(task, "order", model=model)
    names = frame["at"].str.extract(r'"score":"(\w+)"')[0]
    return {str(name): part["value"].tolist() for name, part in frame.groupby(names)}


def test_noise_on_a_tree() -> None:
    found = order("hyperdga_noise", "hyperbolic")
    told = {name: f"{sum(found[name]) / len(found[name]):.2f}" for name in found}
    assert_told(
        f"{told['hyperdga']} for HyperDGA, {told['chamfer']} for Chamfer, "
        f"{told['hausdorff']} for Hausdorff, {told['transport']} for transport"
    )


def test_training_of_autoencoders() -> None:
    found = order("hyperdga_vae", "geometry=hyperbolic")
    told = {name: f"{sum(found[name]) / len(found[name]):.2f}" for name in found}
    assert_told(
        f"{told['hyperdga']} for HyperDGA, {told['chamfer']} for Chamfer and "
        f"{told['transport']} for transport"
    )


def test_dimensions_of_architectures() -> None:
    counts = {}
    for task in ("neuromanifold_cnn", "neuromanifold_attention"):
        agree = rows(task, "agrees")
        exceptions = set(agree.loc[agree["value"] != 1, "model"])
        assert all(name.startswith("mlp with a defect") for name in exceptions)
        counts[task] = agree["model"].nunique()
    lost = rows("neuromanifold_precision", "numerical_rank", at="float32")
    worst = lost[lost["model"] == "lightning, l=3 d=4 a=4"]["value"].mean()
    assert_told(
        f"{counts['neuromanifold_cnn']} convolutional and monomial and "
        f"{counts['neuromanifold_attention']} attention architectures",
        f"{worst:.0f} in place of 61",
    )
    assert rows("fibres", "unexplained_dimension")["value"].max() == 0
