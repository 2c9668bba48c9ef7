"""One thread in every step, also for libraries that a step is the first to load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info

import repgeo
from repgeo.study.threads import one_thread

PROBE = '''
from typing import ClassVar

import torch

from repgeo.probes import Metric, Probe, Reading


class Threads(Probe):
    """The most threads that any library uses, one of them loaded here."""

    name: ClassVar = "threads"
    metrics: ClassVar = {"threads": Metric()}

    def measure(self, subject, data, context):
        import scipy.linalg  # brings a BLAS of its own
        from threadpoolctl import threadpool_info

        most = max([torch.get_num_threads(), *(x["num_threads"] for x in threadpool_info())])
        yield Reading("threads", float(most))
'''

LATE = """
import os
os.environ.pop("OMP_NUM_THREADS", None)
import numpy, torch
from threadpoolctl import threadpool_info, threadpool_limits
from repgeo.study.threads import one_thread

def threads():
    return {library["filepath"]: library["num_threads"] for library in threadpool_info()}

torch.set_num_threads(3)
threadpool_limits(2)
before = threads()
with one_thread():
    import scipy.linalg
    new = threads().keys() - before.keys()
    print(len(new) > 0, set(threads().values()), torch.get_num_threads())
print({threads()[name] for name in new}, torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"))
"""


def test_everything_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = torch.get_num_threads(), [x["num_threads"] for x in threadpool_info()]
    with one_thread():
        assert torch.get_num_threads() == 1
        assert {x["num_threads"] for x in threadpool_info()} == {1}
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert (torch.get_num_threads(), [x["num_threads"] for x in threadpool_info()]) == before
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_library_that_is_loaded_within():
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True {1} 1", "{2} 3 None"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_steps_have_one_thread(toys, jobs, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (toys.folder / "threads.py").write_text(PROBE)
    task = toys.task(
        '[dataset]\nname = "./data.py:blobs"\n[[models]]\nname = "./nets.py:make"\n'
        '[[probes]]\nname = "./threads.py:Threads"\n'
    )
    frame = repgeo.run(task, out=toys.out, jobs=jobs)
    assert frame["status"].tolist() == ["ok"], frame["error"].tolist()
    assert frame["value"].tolist() == [1.0]
