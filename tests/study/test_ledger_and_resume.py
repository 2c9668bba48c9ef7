"""The study folder: what is finished is not computed again, what is broken is not believed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys

import pytest

import repgeo
from repgeo.errors import LockedError, StorageError
from repgeo.study.ledger import Ledger
from repgeo.study.lock import locked
from repgeo.study.planning import make_plan
from repgeo.study.running import RunOptions, run_task
from repgeo.study.table import to_csv
from repgeo.study.taskfile import read_task

PAIRS = """
[dataset]
name = "./data.py:blobs"
[[models]]
name = "./nets.py:make"
label = "a"
[models.train]
epochs = 1
[[models]]
name = "./nets.py:make"
label = "b"
seed = 1
[[probes]]
name = "./probes.py:Spread"
[[probes]]
name = "./probes.py:Distance"
"""
FAILS = """
[dataset]
name = "./data.py:blobs"
[[models]]
name = "./nets.py:make"
label = "a"
[[models]]
name = "./nets.py:make"
label = "b"
[[probes]]
name = "./probes.py:Raises"
only = "b"
[[probes]]
name = "./probes.py:Spread"
"""
FIRST_RUN = [
    "measure a",
    "measure b",
    "pair a a",
    "pair a b",
    "pair b a",
    "pair b b",
    "prepare a",
    "prepare b",
]


def without_cost(frame) -> str:
    from repgeo.probes.rows import COST_COLUMNS

    return to_csv(frame.drop(columns=list(COST_COLUMNS)))


def test_what_is_finished_is_not_computed_again(toys):
    first = run_task(toys.task(PAIRS), RunOptions(out=toys.out))
    assert sorted(toys.calls()) == FIRST_RUN
    assert first.ran == 9
    second = run_task(toys.folder / "task.toml", RunOptions(out=toys.out))
    assert toys.calls() == []
    assert second.ran == 0
    assert to_csv(first.frame) == to_csv(second.frame)  # the costs are those of the first run


def test_only_what_is_missing_is_computed(toys):
    task = toys.task(PAIRS)
    repgeo.run(task, out=toys.out)
    toys.calls()
    toys.edit("task.toml", 'label = "b"', 'label = "c"')
    frame = repgeo.run(task, out=toys.out)
    assert sorted(toys.calls()) == [
        "measure c",
        "pair a c",
        "pair c a",
        "pair c c",
        "prepare c",
    ]
    assert set(frame["model"]) == {"a", "c"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe",
        b'{"step": "x"}',
        b'{"step": null, "values": null}',
        b"\x00" * 400,
        "truncated",
        "another",
        "status",
    ],
)
def test_a_file_that_is_empty_broken_or_anothers_is_absent(content, toys):
    task = toys.task()
    frame = repgeo.run(task, out=toys.out)
    toys.calls()
    cell, other = (toys.out / "cells" / f"{name}.json" for name in frame["cell"])
    if content == "truncated":
        cell.write_bytes(cell.read_bytes()[:-30])
    elif content == "another":
        cell.write_bytes(other.read_bytes())
    elif content == "status":
        cell.write_text(cell.read_text().replace('"ok"', '"good"'))
    else:
        cell.write_bytes(content)
    again = repgeo.run(task, out=toys.out)
    assert toys.calls() == ["measure a"]
    assert without_cost(again) == without_cost(frame)


def test_results_without_their_tensors_are_absent(toys):
    task = toys.task(PAIRS)
    frame = repgeo.run(task, out=toys.out)
    toys.calls()
    for path in [*toys.out.glob("prepared/*.safetensors"), *toys.out.glob("weights/*/final.*")]:
        path.unlink()
    for path in toys.out.glob("cells/*.json"):
        path.unlink()
    again = repgeo.run(task, out=toys.out)
    assert sorted(toys.calls()) == FIRST_RUN
    assert without_cost(again) == without_cost(frame)


def test_retry_failed_runs_only_what_failed(toys):
    task = toys.task(FAILS)
    frame = repgeo.run(task, out=toys.out)
    assert frame["status"].tolist() == ["ok", "failed", "ok", "ok"]
    assert sorted(toys.calls()) == ["measure a", "measure b", "raises a", "raises b"]
    assert repgeo.run(task, out=toys.out)["status"].tolist() == ["ok", "failed", "ok", "ok"]
    assert toys.calls() == []
    repgeo.run(task, out=toys.out, options=RunOptions(retry_failed=True))
    assert toys.calls() == ["raises b"]


def test_force_runs_what_is_chosen_again(toys):
    task = toys.task(PAIRS)
    repgeo.run(task, out=toys.out)
    toys.calls()
    options = RunOptions(force=True, models=("b",), probes=("spread",))
    frame = repgeo.run(task, out=toys.out, options=options)
    assert toys.calls() == ["measure b"]
    assert len(frame) == 6  # the others are still there
    repgeo.run(task, out=toys.out, options=RunOptions(force=True))
    assert sorted(toys.calls()) == FIRST_RUN


def test_a_choice_of_models_and_probes_runs_only_these(toys):
    task = toys.task(PAIRS)
    frame = repgeo.run(task, out=toys.out, options=RunOptions(models=("b",)))
    assert sorted(toys.calls()) == ["measure b", "pair b b", "prepare b"]
    assert not list(toys.out.glob("weights/*/*"))  # `a` was not trained
    assert len(frame) == 2
    frame = repgeo.run(task, out=toys.out, options=RunOptions(probes=("spread",)))
    assert toys.calls() == ["measure a"]
    assert len(frame) == 3
    assert len(repgeo.run(task, out=toys.out)) == 6


def test_a_dry_run_computes_nothing(toys, main):
    toys.task(PAIRS)
    code, out, _ = main("run", toys.folder / "task.toml", "--out", toys.out, "--dry-run")
    assert code == 0
    assert toys.calls() == []
    assert not toys.out.exists()
    lines = out.splitlines()
    assert lines[0] == f"task: 9 steps, 0 finished in '{toys.out}'"
    assert "  train    1 steps, 1 to run" in lines
    assert "  prepare  2 steps, 2 to run" in lines
    assert "  measure  6 steps, 6 to run" in lines
    assert sum("spread of a, seed 0" in line for line in lines) == 1
    repgeo.run(toys.folder / "task.toml", out=toys.out, options=RunOptions(models=("b",)))
    _, out, _ = main("run", toys.folder / "task.toml", "--out", toys.out, "--dry-run")
    assert out.startswith(f"task: 9 steps, 3 finished in '{toys.out}'")


def test_other_seeds_replace_those_of_the_file(toys):
    task = toys.task()
    assert repgeo.run(task, out=toys.out, seeds=[3, 4])["seed"].tolist() == [3, 3, 4, 4]
    assert repgeo.run(task, out=toys.out)["seed"].tolist() == [0, 0]
    toys.calls()
    repgeo.run(task, out=toys.out, seeds=[4, 0])
    assert toys.calls() == []


# ------------------------------------------------------------------ deaths


def die(task, out, environment) -> None:
    """Run a study in a process that a probe takes down."""
    code = "import sys, repgeo; repgeo.run(sys.argv[1], out=sys.argv[2])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(task), str(out)],
        env=environment(),
        check=False,
        timeout=120,
    )
    assert done.returncode == 17


def test_the_mark_of_a_dead_process_becomes_one_crashed_row(toys, process_environment):
    text = FAILS.replace("Raises", "Dies").replace('only = "b"\n', "")
    text = text.replace('[[models]]\nname = "./nets.py:make"\nlabel = "b"\n', "")
    task = toys.task(text)
    die(task, toys.out, process_environment)
    assert (toys.out / "running.json").exists()
    assert toys.calls() == ["dies a"]
    frame = repgeo.run(task, out=toys.out)
    assert toys.calls() == ["measure a"]  # it is not run again, the rest is
    assert frame["status"].tolist() == ["crashed", "ok"]
    row = frame.iloc[0]
    assert (row["probe"], row["model"], row["error_type"]) == ("dies", "a", "ProcessDied")
    assert row["error"].startswith("dies of a, seed 0: the process ended while this step ran")
    assert not (toys.out / "running.json").exists()
    again = repgeo.run(task, out=toys.out)
    assert to_csv(again) == to_csv(frame)
    assert toys.calls() == []


@pytest.fixture
def marked(toys):
    """A study in whose one missing cell a process died."""
    frame = repgeo.run(toys.task(), out=toys.out)
    toys.calls()
    (toys.out / "cells" / f"{frame['cell'][0]}.json").unlink()
    mark = toys.out / "running.json"
    mark.write_text(json.dumps([frame["cell"][0], 12345]))
    return toys


def test_a_mark_of_a_finished_step_means_nothing(marked):
    frame = repgeo.run(marked.folder / "task.toml", out=marked.out)
    marked.calls()
    (marked.out / "running.json").write_text(json.dumps([frame["cell"][1], 12345]))
    again = repgeo.run(marked.folder / "task.toml", out=marked.out)
    assert to_csv(again) == to_csv(frame)
    assert marked.calls() == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "7", "\x00\x00"])
def test_a_broken_mark_means_nothing(content, marked):
    (marked.out / "running.json").write_text(content)
    frame = repgeo.run(marked.folder / "task.toml", out=marked.out)
    assert frame["status"].tolist() == ["ok", "ok"]
    assert marked.calls() == ["measure a"]


@pytest.mark.parametrize("option", ["force", "retry_failed"])
def test_what_took_a_process_down_is_run_again_in_another_one(option, marked, monkeypatch):
    from repgeo.study import running

    asked = []

    def note(ledger, options, progress, *, protect):
        asked.append(protect)
        return running.InProcessEngine(ledger, progress)

    monkeypatch.setattr(running, "make_engine", note)
    options = RunOptions(**{option: True})
    frame = repgeo.run(marked.folder / "task.toml", out=marked.out, options=options)
    assert frame["status"].tolist() == ["ok", "ok"]
    assert asked == [True]


def test_leftovers_of_a_killed_process_are_swept(toys):
    repgeo.run(toys.task(), out=toys.out)
    leftovers = [
        toys.out / ".table.csv.7.abc.partial",
        toys.out / "cells" / ".x.json.7.abc.partial",
        toys.out / "prepared" / ".x.safetensors.7.abc.partial",
        toys.out / "weights" / "x" / ".final.safetensors.7.abc.partial",
    ]
    leftovers[-1].parent.mkdir()
    for path in leftovers:
        path.write_text("half")
    kept = toys.out / "cells" / "notes.partial"
    kept.write_text("the user's own")
    repgeo.run(toys.folder / "task.toml", out=toys.out)
    assert [path for path in leftovers if path.exists()] == []
    assert kept.exists()


# ------------------------------------------------------------------ the lock


HOLD = """
import sys
from pathlib import Path
from repgeo.study.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_is_told_who_holds_the_folder(toys, main, process_environment):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(toys.out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=process_environment(),
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        code, _, err = main("run", toys.folder / "task.toml", "--out", toys.out)
        holder.stdin.close()
    assert holder.returncode == 0
    assert code == 2
    assert err.count("\n") == 1
    assert f"is in use by process {holder.pid} on " in err
    assert "--out" in err
    assert toys.calls() == []
    code, _, _ = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 0


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def owner(pid: int, host: str | None = None) -> str:
    import platform

    return json.dumps({"pid": pid, "host": host or platform.node(), "time": 0})


@pytest.mark.usefixtures("no_locks")
def test_without_locks_an_exclusive_file_stands_in(tmp_path):
    with locked(tmp_path):
        assert json.loads((tmp_path / "lock.exclusive").read_text())["pid"] == os.getpid()
        with (
            pytest.raises(LockedError, match=rf"process {os.getpid()} on .*no locks.*remove"),
            locked(tmp_path),
        ):
            pass
    assert not (tmp_path / "lock.exclusive").exists()
    with locked(tmp_path):
        pass


@pytest.mark.usefixtures("no_locks")
def test_the_exclusive_file_of_a_dead_process_is_recognised(tmp_path):
    (tmp_path / "lock.exclusive").write_text(owner(dead_pid()))
    with locked(tmp_path):
        assert json.loads((tmp_path / "lock.exclusive").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock.exclusive").exists()


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("content", ["", "[]", "{}", "elsewhere"])
def test_an_exclusive_file_that_may_be_alive_is_respected(content, tmp_path):
    path = tmp_path / "lock.exclusive"
    path.write_text(owner(dead_pid(), "another-host") if content == "elsewhere" else content)
    with pytest.raises(LockedError, match="if that process is gone, remove"), locked(tmp_path):
        pass
    assert path.exists()


def test_the_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018
    with locked(tmp_path):
        pass


# ------------------------------------------------------------------ folders and disks


@pytest.mark.parametrize("option", ["--out", "--weights"])
def test_a_folder_that_cannot_be_made_is_one_line(option, toys, main):
    (toys.folder / "file").write_text("")
    places = {"--out": toys.out, option: toys.folder / "file" / "below"}
    arguments = [word for pair in places.items() for word in pair]
    code, _, err = main("run", toys.folder / "task.toml", *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert "Cannot write to" in err
    assert "Not a directory" in err or "File exists" in err
    assert toys.calls() == []


@pytest.mark.parametrize("place", ["cells", "table.csv", "running.json", "study.json"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(place, toys, main, monkeypatch):
    from pathlib import Path

    task = toys.task(FAILS.replace("Raises", "Curve").replace('only = "b"\n', ""))
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if place in str(self.relative_to(toys.out)):
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return real(self, data)

    def full_in_place(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        if place == "running.json":  # the only file that is written in place
            patch.setattr(os, "pwrite", full_in_place)
        code, _, err = main("run", task, "--out", toys.out)
    assert code == 2
    told = [line for line in err.splitlines() if line.startswith("repgeo: error")]
    assert len(told) == 1
    assert "Traceback" not in err
    assert f"Cannot write '{toys.out}" in told[0]
    assert place in told[0]
    assert "No space left on device" in told[0]
    assert "what is finished is kept" in told[0]
    assert list(toys.out.rglob("*.partial")) == []
    assert not (toys.out / "running.json").exists()
    for path in toys.out.rglob("*.json"):
        json.loads(path.read_text())
    toys.calls()
    frame = repgeo.run(task, out=toys.out)
    assert set(frame["status"]) == {"ok"}
    reference = repgeo.run(task, out=toys.folder / "reference")
    assert without_cost(frame) == without_cost(reference)


LIMITED = """
import resource, signal, sys
from repgeo.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
main(sys.argv[2:])
"""


def test_a_real_limit_on_file_sizes_ends_the_run_and_not_the_study(toys, process_environment):
    task = toys.task(PAIRS.replace('make"\n', 'make"\nwidth = 4000\n'))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "20000", "run", str(task), "--out", str(toys.out)],
        capture_output=True,
        text=True,
        env=process_environment(),
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "Cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert list(toys.out.rglob("*.partial")) == []
    assert list(toys.out.rglob("final.safetensors")) == []
    assert (repgeo.run(task, out=toys.out)["status"] == "ok").all()


def test_a_full_disk_while_weights_are_written_is_no_failed_training(toys, monkeypatch):
    from pathlib import Path

    task = toys.task(PAIRS)
    real = Path.mkdir

    def full(self: Path, *arguments, **options) -> None:
        if self.parent.name == "weights" and not self.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(StorageError, match=r"Cannot write to .*No space left"):
            repgeo.run(task, out=toys.out)
    assert (repgeo.run(task, out=toys.out)["status"] == "ok").all()


def test_arrays_and_tensors_are_read_back_whole(toys):
    import numpy as np
    import torch

    ledger = Ledger(toys.out)
    ledger.open("toys")
    assert ledger.arrays("x") == {}
    assert ledger.tensors("x") is None
    ledger.write_arrays("x", {"0/samples": np.arange(3.0), "0/artifact/z": np.eye(2)})
    assert ledger.arrays("x")["0/artifact/z"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    ledger.write_tensors("x", {"encoder/mean": torch.arange(2)})
    assert ledger.tensors("x")["encoder/mean"].tolist() == [0, 1]
    for epoch in ("final", 10, 2, "init"):
        ledger.write_checkpoint("y", epoch, {"w": torch.zeros(1)})
    assert ledger.checkpoints("y") == ("init", 2, 10, "final")


def test_a_plan_and_its_ledger_agree_on_what_is_finished(toys):
    task = toys.task(PAIRS)
    repgeo.run(task, out=toys.out)
    ledger = Ledger(toys.out)
    plan = make_plan(read_task(task))
    assert all(ledger.outcome(step).ok for step in plan.steps)
    ledger.forget(plan.steps)
    assert all(ledger.outcome(step) is None for step in plan.steps)
