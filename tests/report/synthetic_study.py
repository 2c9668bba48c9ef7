"""Tables like a small study's, made by the framework's own row builder, with faults on demand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from repgeo.identity import canonical_json
from repgeo.probes.rows import to_frame

TRAINED = ("mlp", "cnn", "resnet")
REPLICAS = ("mlp#0", "mlp#1", "mlp#2")
MODELS = (*TRAINED, *(f"{name}-untrained" for name in TRAINED), *REPLICAS)
TURNS = ("rot90", "flip", "shift")


def record(model: str, probe: str, metric: str, value: float | None, seed: int, **more) -> dict:
    """One row of a finished cell."""
    at = more.pop("at", None)
    row = {
        "task": "digits",
        "dataset": "digits",
        "model": model,
        "layer": "encoder",
        "probe": probe,
        "metric": metric,
        "at": canonical_json(at) if at else "",
        "value": value,
        "direction": "higher",
        "seed": seed,
        "status": "ok",
        "version": "0.1.0",
        "cell": f"{probe}/{model}/{more.get('model_b', '')}/{seed}",
    }
    return row | more


def failed(model: str, probe: str, seed: int, status: str = "failed", **more) -> dict:
    """The one row of a cell that gave no number."""
    row = record(model, probe, "", None, seed, direction="", status=status)
    return row | {"error_type": "LayerError", "error": "no layer 'net.9'"} | more


def with_interval(row: dict, half: float, kind: str) -> dict:
    """The row with a symmetric interval."""
    low, high = row["value"] - half, row["value"] + half
    return row | {"ci_low": low, "ci_high": high, "ci_kind": kind, "n": 450}


def digits_rows(seeds: Iterable[int] = (0, 1, 2)) -> list[dict]:
    """A study of nine models with five probes of both arities."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in seeds:
        for model in MODELS:
            rows += unary_rows(model, seed, rng)
        for a in MODELS:
            for b in MODELS:
                rows += pair_rows(a, b, seed, rng)
    return rows


def unary_rows(model: str, seed: int, rng: np.random.Generator) -> list[dict]:
    """Accuracy, log-volume and equivariance errors of one model."""
    trained = "untrained" not in model
    base = 0.95 if trained else 0.12
    accuracy = record(
        model, "accuracy", "accuracy", base + 0.01 * rng.standard_normal(), seed, chance=0.1
    )
    volume = record(
        model,
        "pullback_volume",
        "log_volume",
        (-12.0 if trained else -31.0) + rng.standard_normal(),
        seed,
        unit="nats",
        direction="none",
    )
    rows = [
        with_interval(accuracy, 0.02, "wilson:samples"),
        with_interval(volume, 0.4, "t:samples"),
    ]
    for of in ("codes", "logits"):
        for turn in TURNS:
            value = 0.4 + 0.1 * rng.random() if trained else 0.9
            rows.append(
                record(
                    model,
                    "equivariance_error",
                    "relative_error",
                    value,
                    seed,
                    direction="lower",
                    at={"of": of, "transform": turn},
                )
            )
    return rows


def pair_rows(a: str, b: str, seed: int, rng: np.random.Generator) -> list[dict]:
    """Stitching with two methods, and similarity, of one ordered pair."""
    shared = {"model_b": b, "layer_b": "encoder"}
    rows = []
    both = "untrained" not in a and "untrained" not in b
    for method, off in (("relative", 0.85), ("absolute", 0.15)):
        value = 0.95 if a == b else off
        value = value + 0.02 * rng.standard_normal() if both else 0.15 + 0.02 * rng.random()
        rows.append(
            record(
                a,
                "relative_stitching",
                "accuracy",
                value,
                seed,
                at={"method": method},
                params='{"anchors":64}',
                chance=0.1,
                **shared,
            )
        )
    cka = 1.0 if a == b else 0.6 + 0.1 * rng.random()
    rows.append(record(a, "similarity", "cka", cka, seed, **shared))
    return rows


def digits(seeds: Iterable[int] = (0, 1, 2)) -> pd.DataFrame:
    """The study as a table."""
    return to_frame(digits_rows(seeds))


def with_faults() -> pd.DataFrame:
    """The study with a model that failed everywhere, one at one seed, and a blocked training."""
    rows = digits_rows()

    def dead(row: dict) -> bool:
        resnet = row["model"] == "resnet" and row["probe"] == "equivariance_error"
        late = row["model"] == "cnn" and row["probe"] == "accuracy" and row["seed"] == 2
        names = (row["model"], row.get("model_b"))
        blocked = "mlp#2" in names and row["probe"] == "relative_stitching" and row["seed"] == 1
        return resnet or late or blocked

    kept = [row for row in rows if not dead(row)]
    seen = set()
    for row in rows:
        key = (row["model"], row.get("model_b", ""), row["probe"], row["seed"])
        if dead(row) and key not in seen:
            seen.add(key)
            status = "blocked" if row["probe"] == "relative_stitching" else "failed"
            more = {n: row[n] for n in ("model_b", "layer_b", "params") if n in row}
            kept.append(failed(row["model"], row["probe"], row["seed"], status, **more))
    return to_frame(kept)
