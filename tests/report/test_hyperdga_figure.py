"""The figure of HyperDGA: geodesics, disks, bars, and what it leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib", reason="figures need the extra 'plots'")

from repgeo.errors import InputError
from repgeo.probes.rows import to_frame
from repgeo.report.figures import draw_probe
from repgeo.report.figures.hyperdga import _panels, geodesics, size

POINTS = np.array([[0.0, 0.0], [0.6, 0.0], [0.0, 0.6], [-0.6, 0.0]])
STORED = {
    "0/artifact/points": POINTS,
    "0/artifact/second": np.array([False, True, True, True]),
    "0/artifact/edges": np.array([[0, 1], [0, 2], [0, 3], [1, 2]]),
    "0/artifact/flat": np.array(False),
}


def study(*models: str, pairs: int = 1) -> pd.DataFrame:
    cell = {"probe": "hyperdga", "metric": "score", "status": "ok", "seed": 0, "unit": ""}
    return to_frame(
        cell
        | {
            "model": model,
            "at": f'{{"pair":"{pair} - x"}}',
            "value": 0.25,
            "chance": 0.5,
            "cell": f"{model}{pair}",
        }
        for model in models
        for pair in range(pairs)
    )


def test_geodesics_meet_the_boundary_at_right_angles() -> None:
    # the circle through p and q that is orthogonal to the unit circle has |centre|^2 = 1 + r^2
    line = geodesics(np.array([[0.8, 0.0], [0.0, 0.8]]), np.array([[0, 1]]), steps=20)[0]
    a, b, c = line[0], line[10], line[20]
    system = 2 * np.array([b - a, c - a])
    centre = np.linalg.solve(system, [b @ b - a @ a, c @ c - a @ a])
    radius = np.linalg.norm(centre - a)
    assert np.abs(np.linalg.norm(line - centre, axis=1) - radius).max() < 1e-12
    assert centre @ centre == pytest.approx(1 + radius**2, abs=1e-12)


def test_segments_through_the_centre_and_in_the_plane_are_straight() -> None:
    ends = np.array([[0.5, 0.0], [-0.7, 0.0]])
    assert np.abs(geodesics(ends, np.array([[0, 1]]))[0][:, 1]).max() == 0
    flat = geodesics(POINTS, np.array([[1, 2]]), steps=2, flat=True)[0]
    assert np.abs(flat[1] - [0.3, 0.3]).max() < 1e-15


def test_disks_are_drawn_and_twins_left_out(tmp_path: Path) -> None:
    frame = study("net", "net (untrained)", pairs=9)
    panels = _panels(frame, lambda cell: STORED)
    assert len(panels) == 6
    assert all("untrained" not in panel.title for panel in panels)
    assert "pair=0 - x" in panels[0].title
    assert "pair=8 - x" in panels[-1].title
    path = draw_probe("hyperdga", frame, lambda cell: STORED, tmp_path / "disks.png")
    assert path.stat().st_size > 10_000
    assert len(_panels(study("net (untrained)"), lambda cell: STORED)) == 1


def test_codes_out_of_the_plane_give_bars(tmp_path: Path) -> None:
    frame = study("a", "b", pairs=2)
    assert size(frame, lambda cell: {}) == (6.4, 0.4 * 4 + 1.4)
    assert draw_probe("hyperdga", frame, lambda cell: {}, tmp_path / "bars.png").exists()
    without = frame.assign(metric="z")
    with pytest.raises(InputError, match="no score"):
        draw_probe("hyperdga", without, lambda cell: {}, tmp_path / "none.png")
