"""Whatever happens to a cell is exactly one row, and nobody else's affair."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from engine_study import alive, deadly, run, wait_for, write_study

import repgeo

# mode -> status, error type, words of the message
DEATHS = {
    "raise": ("failed", "ValueError", "a fault of the cell"),
    "hang": ("timeout", "Timeout", "time limit of 4 s"),
    "hang_in_c": ("timeout", "Timeout", "time limit of 4 s"),
    "exit": ("crashed", "ProcessDied", "exit code 7"),
    "exit_zero": ("crashed", "ProcessDied", "exit code 0"),
    "system_exit": ("failed", "SystemExit", "5"),
    "interrupt": ("failed", "KeyboardInterrupt", "no message"),
    "sigkill": ("crashed", "ProcessDied", "killed by SIGKILL"),
    "segfault": ("crashed", "ProcessDied", "killed by SIGSEGV"),
    "memory": ("crashed", "OutOfMemory", "can't allocate memory"),
    "unpicklable": ("failed", "Local", "kept as text"),
    "closes": ("crashed", "ProcessDied", ""),
    "nan": ("failed", "NonFiniteError", "NaN"),
    "nothing": ("failed", "EmptyMeasurementError", "no reading"),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deaths")
    return write_study(folder, deadly(["good", "loud", *DEATHS], count=2))


def test_each_death_is_exactly_one_row_and_only_the_dead_run_again(study: Path, main) -> None:
    folder, count = study.parent / "out", study.parent / "count"
    healed = study.parent / "healed"
    count.write_text("")

    code, _, err = main("run", study, "--out", folder, "-j", "2", "--timeout", "4")

    assert code == 1, err
    frame = repgeo.read(folder)
    assert len(frame) == 2 * (len(DEATHS) + 2)
    assert frame["cell"].is_unique
    for row in frame.itertuples():
        mode = row.params.partition('"mode":"')[2].partition('"')[0]
        if mode in DEATHS:
            status, kind, words = DEATHS[mode]
            assert (row.status, row.error_type) == (status, kind), (mode, row.error)
            assert words in row.error
            assert "deadly of identity, seed 0" in row.error  # the message names the cell
        else:
            assert row.status == "ok", (mode, row.error)
            assert row.value > 0
    # Each cell ran once: no retries, and no innocent was run again.
    ran = Counter(count.read_text().split())
    assert set(ran.values()) == {1}
    assert set(ran) == set(frame["cell"])
    assert err.count("timeout: Timeout") == 4  # two modes, two numbers: failures are shown live

    # Only those that did not end well run again; healed, they succeed (two modes never can).
    healed.touch()
    count.write_text("")
    code, _, err = main("run", study, "--out", folder, "-j", "2", "--retry-failed")
    again = Counter(count.read_text().split())
    dead = frame.loc[frame["status"] != "ok", "cell"]
    assert set(again) == set(dead)
    assert set(again.values()) == {1}
    assert code == 1
    after = repgeo.read(folder).set_index("cell")
    left = after[after["status"] != "ok"]
    assert sorted(left["error_type"]) == ["EmptyMeasurementError"] * 2 + ["NonFiniteError"] * 2


def test_the_log_of_a_hang_tells_where_it_was(tmp_path: Path, main) -> None:
    task = write_study(tmp_path, deadly(["hang_in_c"]))
    code, _, err = main("run", task, "--out", tmp_path / "out", "--timeout", "2")
    assert code == 1, err
    log = next((tmp_path / "out" / "cells").glob("*.json")).read_text()
    assert "in misbehave" in log
    assert "nets.py" in log


def test_children_of_a_cell_die_with_it(tmp_path: Path, main) -> None:
    task = write_study(tmp_path, deadly(["children"]))
    child = tmp_path / "child"
    code, _, err = main("run", task, "--out", tmp_path / "out", "--timeout", "2")
    assert code == 1, err
    pid = int(child.read_text())
    wait_for(lambda: not alive(pid), timeout=5)


def test_a_crash_of_this_process_leaves_a_mark_that_becomes_one_row(tmp_path: Path) -> None:
    task = write_study(tmp_path, deadly(["good", "sigkill", "sleep"]))
    out, healed = tmp_path / "out", tmp_path / "healed"
    code, _, _ = run("run", task, "--out", out)
    assert code == -9  # -j 1 runs in process: the cell took the driver with it

    code, _, err = run("run", task, "--out", out)
    assert code == 1, err
    frame = repgeo.read(out)
    assert sorted(frame["status"]) == ["crashed", "ok", "ok"]
    assert "--retry-failed" in frame.loc[frame["status"] == "crashed", "error"].item()

    # Run again, it gets a process of its own, and this time only that one dies.
    code, _, err = run("run", task, "--out", out, "--retry-failed")
    assert code == 1, err
    assert "killed by SIGKILL" in repgeo.read(out)["error"].str.cat()
    healed.touch()
    assert run("run", task, "--out", out, "--retry-failed")[0] == 0


def test_a_memory_limit_stops_a_cell_and_not_the_study(tmp_path: Path, main) -> None:
    (tmp_path / "greedy.py").write_text(
        "import torch\nfrom typing import ClassVar\n"
        "from repgeo.probes import Metric, Probe, Reading\n"
        "class Greedy(Probe):\n"
        "    name: ClassVar[str] = 'greedy'\n"
        "    metrics: ClassVar[dict] = {'sum': Metric()}\n"
        "    gib: float = 0.0\n"
        "    def measure(self, subject, data, context):\n"
        "        yield Reading('sum', torch.ones(int(self.gib * 2**28)).sum())\n"
    )
    task = write_study(
        tmp_path, '[[probes]]\nname = "./greedy.py:Greedy"\n[probes.grid]\ngib = [0.01, 3, 0.02]\n'
    )
    code, _, err = main("run", task, "--out", tmp_path / "out", "-j", "2", "--memory", "1")
    assert code == 1, err
    frame = repgeo.read(tmp_path / "out")
    assert list(frame["status"]) == ["ok", "crashed", "ok"]
    assert frame["error_type"].iloc[1] == "OutOfMemory"
