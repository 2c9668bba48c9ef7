"""Stopping a study at any moment, and going on: nothing lost, nothing computed twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from engine_study import (
    alive,
    deadly,
    finish,
    lasting,
    run,
    session_of,
    start,
    wait_for,
    write_study,
)

MODELS = """
[[models]]
name = "mlp"
hidden = [8]
replicas = 3
[models.train]
epochs = 2
batch_size = 32
"""
SIMILARITY = '[[probes]]\nname = "similarity"\n'


def recorded(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "cells").glob("*.json")}


def test_killed_ten_times_the_table_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    probes = deadly(["sleep"], count=16) + SIMILARITY
    task = write_study(tmp_path, probes, models=MODELS, seeds="[0, 1]")
    whole, broken, count = tmp_path / "whole", tmp_path / "broken", tmp_path / "count"
    assert run("run", task, "--out", whole, "-j", "2")[0] == 0

    moments = random.Random(0)
    kills = twice = 0
    for _ in range(10):
        before = recorded(broken)
        count.write_text("")
        process = start("run", task, "--out", broken, "-j", "2")
        # The moment is counted from the first new record: start-up must not eat the kills.
        wait_for(lambda p=process, b=before: recorded(broken) - b or p.poll() is not None, 60)
        time.sleep(moments.uniform(0, 0.25))
        sandboxes = session_of(process.pid)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        wait_for(lambda pids=sandboxes: not any(map(alive, pids)), timeout=10)
        twice += len(set(count.read_text().split()) & before)
        assert (broken / "lock").is_file()  # a dead driver's, which the next one takes over
    assert kills == 10
    assert twice == 0  # no step that was recorded before ran again

    count.write_text("")
    before = recorded(broken)
    code, _, err = run("run", task, "--out", broken, "-j", "2")
    assert code == 0, err
    assert not set(count.read_text().split()) & before
    assert lasting(broken) == lasting(whole)
    assert not list(broken.rglob("*.partial"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_signal_stops_resumably_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    task = write_study(tmp_path, deadly(["sleep"], count=60) + deadly(["children"]))
    if jobs == 1:  # in this process a sleeping cell would be waited for
        task = write_study(tmp_path, deadly(["sleep"], count=60))
    out = tmp_path / "out"
    process = start("run", task, "--out", out, "-j", str(jobs))
    wait_for(lambda: len(recorded(out)) > 3 or process.poll() is not None, 60)
    descendants = session_of(process.pid)
    process.send_signal(number)
    code, _, err = finish(process, timeout=30)
    assert code == 3, err
    assert "The same command goes on from there" in err
    wait_for(lambda: not any(map(alive, descendants)), timeout=10)
    assert 3 < len(recorded(out)) < 60


def test_two_drivers_on_one_folder(tmp_path: Path) -> None:
    task = write_study(tmp_path, deadly(["sleep"], count=60))
    out = tmp_path / "out"
    processes = [start("run", task, "--out", out) for _ in range(2)]
    ends = [finish(process) for process in processes]
    codes = Counter(code for code, _, _ in ends)
    assert codes == {0: 1, 2: 1}, ends
    told = next(err for code, _, err in ends if code == 2)
    assert "is in use by process" in told
    assert "Traceback" not in told


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    task = write_study(tmp_path, deadly(["good"], count=4))
    runs = tmp_path / "runs.txt"
    script = tmp_path / "script.py"
    script.write_text(
        "import repgeo\n"
        f"open({str(runs)!r}, 'a').write('run\\n')\n"
        f"frame = repgeo.run({str(task)!r}, out={str(tmp_path / 'out')!r}, jobs=2)\n"
        "print(len(frame), set(frame['status']))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4 {'ok'}"
    assert runs.read_text() == "run\n"
    assert (tmp_path / "out" / "table.csv").is_file()
