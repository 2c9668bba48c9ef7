"""Ctrl-C and SIGTERM: exit code 3, nothing lost, and in the end the table of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import repgeo
from repgeo.errors import Interrupted
from repgeo.probes.rows import COST_COLUMNS
from repgeo.study.table import to_csv

STOPS = '''
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from repgeo.probes import Metric, Probe, Reading

HERE = Path(__file__).parent


class Stops(Probe):
    """Sends the signals that a file asks for to its own process, once."""

    name: ClassVar = "stops"
    metrics: ClassVar = {"value": Metric()}

    def measure(self, subject, data, context):
        with (HERE / "calls.log").open("a") as stream:
            stream.write(f"begun {subject.label}\\n")
        asked = HERE / "signals"
        if subject.label == "b" and asked.exists():
            numbers = asked.read_text().split()
            asked.unlink()
            for number in numbers:
                signal.raise_signal(int(number))
                time.sleep(0.01)
        yield Reading("value", subject.encode(data.test.x).sum())
'''
MODELS = "".join(f'[[models]]\nname = "./nets.py:make"\nlabel = "{name}"\n' for name in "abc")
TASK = '[dataset]\nname = "./data.py:blobs"\n' + MODELS + '[[probes]]\nname = "./stops.py:Stops"\n'


@pytest.fixture
def stopping(toys):
    (toys.folder / "stops.py").write_text(STOPS)
    toys.task(TASK)
    # A shell lets what it starts in the background ignore SIGINT: then there is nothing to test.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield toys
    signal.signal(signal.SIGINT, inherited)


def without_cost(frame) -> str:
    return to_csv(frame.drop(columns=list(COST_COLUMNS)))


def send(toys, *numbers: signal.Signals) -> None:
    (toys.folder / "signals").write_text(" ".join(str(int(number)) for number in numbers))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_the_step_end(number, stopping):
    task = stopping.folder / "task.toml"
    undisturbed = repgeo.run(task, out=stopping.folder / "undisturbed")
    stopping.calls()
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    send(stopping, number)
    with pytest.raises(Interrupted, match=r"2 steps were finished .* goes on from there"):
        repgeo.run(task, out=stopping.out)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert stopping.calls() == ["begun a", "begun b"]
    partial = repgeo.read(stopping.out)
    assert partial["model"].tolist() == ["a", "b"]
    assert not (stopping.out / "running.json").exists()
    resumed = repgeo.run(task, out=stopping.out)
    assert stopping.calls() == ["begun c"]
    assert without_cost(resumed) == without_cost(undisturbed)
    assert without_cost(repgeo.read(stopping.out)) == without_cost(undisturbed)


def test_the_second_signal_leaves_the_step(stopping):
    task = stopping.folder / "task.toml"
    send(stopping, signal.SIGINT, signal.SIGINT)
    with pytest.raises(Interrupted):
        repgeo.run(task, out=stopping.out)
    assert repgeo.read(stopping.out)["model"].tolist() == ["a"]
    assert not (stopping.out / "running.json").exists()
    stopping.calls()
    frame = repgeo.run(task, out=stopping.out)
    assert stopping.calls() == ["begun b", "begun c"]
    assert frame["status"].tolist() == ["ok"] * 3


def test_the_command_line_says_it_in_a_line_and_exits_with_3(stopping, main):
    send(stopping, signal.SIGINT)
    task = stopping.folder / "task.toml"
    code, out, err = main("run", task, "--out", stopping.out)
    assert code == 3
    assert out == ""
    assert "stopping after what runs now" in err
    assert err.splitlines()[-1].startswith("repgeo: Stopped; 2 steps were finished")
    assert "Traceback" not in err
    code, _, _ = main("run", task, "--out", stopping.out)
    assert code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_task_is_checked(number, stopping, main):
    stopping.edit(
        "data.py",
        "def blobs(seed: int",
        "def slow(seed: int):\n"
        "    import signal\n"
        f"    signal.raise_signal({int(number)})\n"
        "    return blobs(seed)\n\n\n"
        "def blobs(seed: int",
    )
    task = stopping.task(TASK.replace("data.py:blobs", "data.py:slow"))
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main("run", task, "--out", stopping.out) == (3, "", "repgeo: interrupted\n")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not stopping.out.exists()


def test_a_ctrl_c_from_outside(toys, process_environment):
    text = TASK.replace("./stops.py:Stops", "./probes.py:Spread")
    task = toys.task(text + "sleep = 0.4\n")
    command = [sys.executable, "-m", "repgeo", "run", str(task), "--out", str(toys.out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=process_environment()
    ) as process:
        log = toys.folder / "calls.log"
        limit = time.monotonic() + 60
        while not log.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert b"Traceback" not in err
    assert toys.calls() == ["measure a"]
    frame = repgeo.run(task, out=toys.out)
    assert toys.calls() == ["measure b", "measure c"]
    undisturbed = repgeo.run(task, out=toys.folder / "undisturbed")
    assert without_cost(frame) == without_cost(undisturbed)
