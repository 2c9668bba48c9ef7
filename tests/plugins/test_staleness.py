"""`repgeo table DIR --check`: results of older code, told by its fingerprint."""

from __future__ import annotations

import pytest

import repgeo
from repgeo import registry

MEASURES = '''
from typing import ClassVar

from aging.sums import total
from repgeo.probes import Metric, Probe, Reading


class Total(Probe):
    """Sum of the codes."""

    name: ClassVar = "total"
    version: ClassVar = 1
    metrics: ClassVar = {"total": Metric()}
    layer: str = "encoder"

    def measure(self, subject, data, context):
        yield Reading("total", total(subject.encode(data.test.x)))
'''
SUMS = """
def total(codes):
    return codes.sum()
"""
TASK = """
[dataset]
name = "./data.py:blobs"
[[models]]
name = "./nets.py:make"
[models.train]
epochs = 1
[[probes]]
name = "aging.measures:Total"
[[probes]]
name = "accuracy"
"""


@pytest.fixture
def aging(tmp_path):
    package = tmp_path / "site" / "aging"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "measures.py").write_text(MEASURES)
    (package / "sums.py").write_text(SUMS)
    return package


def test_cells_of_older_code_are_stale_until_they_run_again(aging, toys, command):
    site, task = aging.parent, toys.task(TASK)

    done = command("run", task, "--out", toys.out, "--weights", toys.folder / "store", path=[site])
    assert done.returncode == 0, done.stderr
    # What the probe imports of its own package counts as well.
    (aging / "sums.py").write_text(SUMS.replace("codes.sum()", "2 * codes.sum()"))
    done = command("table", toys.out, "--check", path=[site])
    assert (done.returncode, done.stdout) == (
        1,
        "stale: total of make, seed 0\n1 stale cells\n",
    ), done.stderr
    before = repgeo.read(toys.out)
    # A new version has another identity: it is computed, with the new code.
    (aging / "measures.py").write_text(MEASURES.replace("ClassVar = 1", "ClassVar = 2"))
    done = command("run", task, "--out", toys.out, "--weights", toys.folder / "store", path=[site])
    assert done.returncode == 0, done.stderr
    assert "task: 1 steps to run, 2 finished before" in done.stderr
    after = repgeo.read(toys.out)
    assert after["value"][0] == 2 * before["value"][0]
    assert after["cell"][0] != before["cell"][0]
    assert after["cell"][1] == before["cell"][1]


def test_what_is_given_by_file_is_new_rather_than_stale(toys, main):
    text = TASK.replace("aging.measures:Total", "./probes.py:Spread")
    task = toys.task(text)
    repgeo.run(task, out=toys.out)
    assert main("table", toys.out, "--check") == (0, "0 stale cells\n", "")
    toys.calls()
    toys.edit("probes.py", "import torch\n", "import torch  # a comment\n")
    assert main("table", toys.out, "--check") == (0, "0 stale cells\n", "")
    repgeo.run(task, out=toys.out)
    assert toys.calls() == ["measure make"]


def test_a_folder_without_a_study_cannot_be_checked(tmp_path, main):
    code, _, err = main("table", tmp_path, "--check")
    assert code == 2
    assert "There is no study in" in err


def test_published_results_cannot_be_checked(toys, main, tmp_path):
    repgeo.run(toys.folder / "task.toml", out=toys.out)
    main("publish", toys.out, "--out", tmp_path / "results")
    code, _, err = main("table", tmp_path / "results" / "task", "--check")
    assert code == 2
    assert err.count("\n") == 1


def test_a_fingerprint_covers_what_a_module_imports_of_its_package(aging, monkeypatch):
    monkeypatch.syspath_prepend(aging.parent)
    found = registry.load("probes", "aging.measures:Total")
    first = found.fingerprint()
    assert first == found.fingerprint()
    registry._source_digest.cache_clear()
    (aging / "sums.py").write_text(SUMS + "\n")
    assert found.fingerprint() != first
    registry._source_digest.cache_clear()
