"""The user's own Dask cluster: real scheduler, real workers, on loopback."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_processes import cluster
from engine_study import (
    alive,
    deadly,
    finish,
    lasting,
    session_of,
    start,
    wait_for,
    write_study,
)

import repgeo
from repgeo.errors import ConfigurationError, MissingExtraError
from repgeo.study.cluster_engine import ClusterEngine
from repgeo.study.running import RunOptions
from repgeo.study.sandbox import Setting

DEATHS = ["raise", "hang", "hang_in_c", "exit", "sigkill", "segfault", "memory", "nan", "nothing"]
ALSO_GOOD = """
[[probes]]
name = "./nets.py:Deadly"
[probes.grid]
number = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
"""


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory):
    with cluster(tmp_path_factory.mktemp("dask")) as (address, workers):
        yield address, workers


def listening(pid: int) -> list[str]:
    """Addresses on which a process listens, from the kernel's table."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = descriptor.readlink().name
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].rpartition(":")[0])
    return found


def test_nothing_listens_outside_loopback(dask) -> None:
    _, workers = dask
    for process in workers:
        addresses = listening(process.pid)
        assert addresses
        assert set(addresses) <= {"0100007F", "00000000000000000000000001000000"}


def test_deaths_on_a_cluster_are_rows_and_workers_live(dask, tmp_path: Path, main) -> None:
    address, workers = dask
    modes = ["good", *DEATHS]
    task = write_study(tmp_path, deadly(modes) + ALSO_GOOD)
    count = tmp_path / "count"
    count.write_text("")
    out = tmp_path / "out"
    code, _, err = main("run", task, "--out", out, "--scheduler", address, "--timeout", "3")
    assert code == 1, err
    frame = repgeo.read(out)
    statuses = Counter(frame["status"])
    assert statuses == {"ok": 12, "failed": 3, "timeout": 2, "crashed": 4}
    assert set(Counter(count.read_text().split()).values()) == {1}
    assert all(process.poll() is None for process in workers)


def test_no_sandbox_is_left_on_the_workers(dask, tmp_path: Path) -> None:
    address, workers = dask
    task = write_study(tmp_path, deadly(["sleep"], count=100))
    before = {pid for process in workers for pid in session_of(process.pid)}
    process = start("run", task, "--out", tmp_path / "out", "--scheduler", address)
    wait_for(lambda: len(list((tmp_path / "out" / "cells").glob("*.json"))) > 3, 60)
    process.terminate()
    code, _, err = finish(process, 60)
    assert code == 3, err

    def ours() -> list[int]:
        found = {pid for worker in workers for pid in session_of(worker.pid)} - before
        return [pid for pid in found if alive(pid) and "spawn_main" in _command(pid)]

    wait_for(lambda: not ours(), 20)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_lost_worker_loses_nothing(tmp_path: Path) -> None:
    task = write_study(tmp_path, deadly(["sleep"], count=60))
    out = tmp_path / "out"
    place = tmp_path / "dask"
    place.mkdir()
    with cluster(place) as (address, workers):
        process = start("run", task, "--out", out, "--scheduler", address)
        wait_for(lambda: len(list((out / "cells").glob("*.json"))) > 10, 90)
        workers[0].kill()
        code, _, err = finish(process, 120)
    assert code == 0, err
    frame = repgeo.read(out)
    assert len(frame) == 60
    assert set(frame["status"]) == {"ok"}
    assert frame["cell"].is_unique


@pytest.mark.slow
def test_the_digits_give_the_same_bytes_on_every_engine(dask, tmp_path: Path) -> None:
    address, _ = dask
    small = RunOptions(
        seeds=(0,),
        models=("mlp", "cnn*"),
        overrides=(
            "models.mlp.train.epochs=1",
            "models.cnn.train.epochs=1",
            "models.mlp.replicas=2",
        ),
    )
    ways = {
        "one": small,
        "two": replace(small, jobs=2),
        "shuffled": replace(small, shuffle=7),
        "cluster": replace(small, scheduler=address),
    }
    tables = {}
    for name, options in ways.items():
        frame = repgeo.run("digits", out=tmp_path / name, options=options)
        assert set(frame["status"]) == {"ok"}
        tables[name] = lasting(tmp_path / name)
    assert len(tables["one"].splitlines()) > 40
    assert len(set(tables.values())) == 1


def test_no_scheduler_is_one_clear_line(tmp_path: Path, main, monkeypatch) -> None:
    monkeypatch.setattr("repgeo.study.cluster_engine._ANSWER", 1)
    task = write_study(tmp_path, deadly(["good"]))
    code, _, err = main("run", task, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9")
    assert code == 2
    assert "No Dask scheduler answers at 'tcp://127.0.0.1:9'" in err
    assert "Traceback" not in err


def test_without_dask_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'repgeo\[cluster\]'"):
        ClusterEngine(Setting(tmp_path, tmp_path), "tcp://127.0.0.1:9")


def test_a_folder_that_workers_do_not_see_is_refused(dask, tmp_path: Path) -> None:
    address, _ = dask
    # A folder that only this process sees: a worker asks for a path that is not there.
    hidden = Setting(tmp_path, tmp_path)
    engine = ClusterEngine.__new__(ClusterEngine)
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        engine._client, engine._run, engine._setting = client, "x", hidden
        original = client.run
        client.run = lambda f, path, content: original(f, path + ".elsewhere", content)
        with pytest.raises(ConfigurationError, match="does not see the study folder"):
            engine._check_workers()


def test_jobs_and_scheduler_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="either jobs or scheduler"):
        RunOptions(jobs=2, scheduler="tcp://127.0.0.1:1")
