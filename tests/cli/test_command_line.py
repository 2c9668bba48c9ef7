"""The command line: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import repgeo
from repgeo.catalogue import BUILT_IN, KINDS

HEAVY = ("torch", "numpy", "pandas", "scipy", "sklearn", "gudhi", "e3nn", "dask", "distributed")

MODULES = """
import contextlib, io, sys
{act}
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
COMMAND = """
from repgeo.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments!r})
"""


@pytest.mark.parametrize(
    "arguments", [None, ["list"], ["list", "probes"], ["--help"], ["run", "--help"], ["--version"]]
)
def test_what_must_be_light_imports_nothing_heavy(arguments, process_environment):
    act = "import repgeo" if arguments is None else COMMAND.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", MODULES.format(act=act, heavy=HEAVY)],
        capture_output=True,
        text=True,
        env=process_environment(),
        check=True,
        timeout=60,
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_version(main):
    assert main("--version") == (0, f"{repgeo.__version__}\n", "")


def test_the_command_is_installed_and_runnable_as_a_module(command):
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"{repgeo.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [["lst"], ["run"], ["run", "digits", "-j", "0"], ["run", "x", "--nothing"], ["show"]],
)
def test_wrong_usage_is_exit_code_2(arguments, main):
    code, _, err = main(*arguments)
    assert code == 2
    assert "Traceback" not in err
    assert "Error" in err


def test_no_arguments_give_help(main):
    code, out, err = main()
    assert code in (0, 2)
    for name in ("list", "show", "run", "table", "figures", "leaderboard", "publish", "check"):
        assert name in out + err


# ------------------------------------------------------------------ list, show


def test_list_shows_every_name_with_a_line(main):
    code, out, err = main("list")
    assert (code, err) == (0, "")
    for kind in KINDS:
        assert f"{kind}:\n" in out
        for name, (_, summary, _) in BUILT_IN[kind].items():
            assert re.search(rf"^  {name} +{re.escape(summary)}", out, re.MULTILINE)
    assert re.search(r"^  digits +Handwritten digits", out[out.index("tasks:") :], re.MULTILINE)


@pytest.mark.parametrize("kind", [*KINDS, "tasks"])
def test_list_of_one_kind(kind, main):
    code, out, _ = main("list", kind)
    assert code == 0
    assert out.startswith(f"{kind}:\n")
    assert out.count(":\n") == 1


def test_list_of_an_unknown_kind(main):
    code, out, err = main("list", "probe")
    assert (code, out) == (2, "")
    assert err == "repgeo: error: Unknown kind 'probe'. Did you mean 'probes'?\n"


def test_list_load_imports_all_that_is_built_in(main):
    code, out, _ = main("list", "--load")
    assert code == 0
    assert "BROKEN" not in out


@pytest.mark.parametrize("kind", KINDS)
def test_every_built_in_name_can_be_shown(kind, main):
    for name in BUILT_IN[kind]:
        code, out, err = main("show", name)
        assert (code, err) == (0, ""), name
        assert out.startswith(f"{kind.rstrip('s')} {name}\n\n")
        assert "(no description)" not in out
        assert "PydanticUndefined" not in out
        if kind == "probes":
            assert "Metrics:" in out


def test_show_tells_parameters_and_metrics(main, toys):
    _, out, _ = main("show", f"{toys.folder}/probes.py:Strange")
    assert "Readings that are no numbers, or none at all." in out
    assert "kind: str (must be given)" in out
    _, out, _ = main("show", f"{toys.folder}/probes.py:Distance")
    assert "layer: str = 'encoder'" in out
    assert "distance: 1" in out
    _, out, _ = main("show", f"{toys.folder}/nets.py:make")
    assert "width: int = 3" in out
    _, out, _ = main("show", "digits")
    assert "dataset digits" in out
    assert "task digits" in out
    code, _, _ = main("show", "builtins:dict")
    assert code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnt", "Unknown name 'resnt'. Did you mean 'resnet'"),
        ("./no.py:x", "There is no file"),
        ("no_such_package:x", "There is no module 'no_such_package'"),
        ("repgeo.cli:mian", "has no 'mian'. Did you mean 'main'"),
    ],
)
def test_show_of_an_unknown_name(name, words, main):
    code, out, err = main("show", name)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err


# ------------------------------------------------------------------ run and what follows

TASK = """
[task]
title = "Toys of all kinds"
notes = ["Lengths in <feet>."]
seeds = [0, 1, 2]
[dataset]
name = "./data.py:blobs"
[[models]]
name = "./nets.py:make"
label = "small"
[[models]]
name = "./nets.py:make"
label = "wide"
seed = 5
[[probes]]
name = "./probes.py:Spread"
[[probes]]
name = "pullback_volume"
[[probes]]
name = "relative_stitching"
anchors = 5
[[probes]]
name = "accuracy"
[[expected]]
where = { probe = "spread", metric = "std", model = "small" }
value = 0.6
tolerance = 10.0
kind = "reference"
source = "a wide guess"
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_toys, command):
    """A finished study's folder, and what the run printed."""
    folder = tmp_path_factory.mktemp("study")
    task = make_toys(folder).task(TASK, "toys.toml")
    done = command("run", task, "--parquet", cwd=folder)
    return SimpleNamespace(folder=folder, out=folder / "runs" / "toys", done=done)


def test_run_ends_with_a_readable_table(study):
    done = study.done
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith("- ")) <= 100
    assert any(line.split()[:1] == ["small"] for line in lines)
    assert any(line.split()[:1] == ["wide"] for line in lines)
    assert "- agrees: probe = spread, metric = std, model = small: ours " in done.stdout
    assert "cells: " in done.stdout
    assert "table:       runs/toys/table.csv" in done.stdout
    assert "leaderboard: runs/toys/leaderboard.html" in done.stdout
    assert "toys: 36 steps to run" in done.stderr
    for name in ("table.csv", "table.parquet", "leaderboard.html", "study.json"):
        assert (study.out / name).is_file()


def test_run_of_several_tasks(toys, main, monkeypatch):
    monkeypatch.chdir(toys.folder)
    toys.task(name="one.toml")
    toys.task(name="two.toml")
    code, out, _ = main("run", "one.toml", "two.toml")
    assert code == 0
    assert "runs/one/table.csv" in out
    assert "runs/two/table.csv" in out
    code, _, err = main("run", "one.toml", "two.toml", "--out", "x")
    assert code == 2
    assert err == "repgeo: error: --out names one study folder: give one task with it.\n"


def test_seeds_of_the_command_line(toys, main):
    task = toys.folder / "task.toml"
    code, _, _ = main("run", task, "--out", toys.out, "--seeds", "2-3,7", "-m", "a")
    assert code == 0
    assert repgeo.read(toys.out)["seed"].tolist() == [2, 3, 7]


@pytest.mark.parametrize("format_", ["text", "md", "csv", "tex", "html"])
def test_table_in_each_format(format_, study, main):
    code, out, err = main("table", study.out, "--format", format_, "--rows", "model")
    assert (code, err) == (0, "")
    for word in ("small", "wide"):
        assert word in out
    marks = {"md": "|", "csv": ",", "tex": r"\begin{tabular}", "html": "<table", "text": "accuracy"}
    assert marks[format_] in out


def test_table_with_chosen_rows_and_columns(study, main):
    code, out, _ = main(
        "table",
        study.out,
        "--rows",
        "model",
        "--rows",
        "seed",
        "--cols",
        "probe",
        "--format",
        "md",
    )
    assert code == 0
    assert "| small | 0 |" in out
    assert "spread" in out
    code, _, err = main("table", study.out, "--rows", "modl")
    assert code == 2
    assert err.count("\n") == 1
    assert "'modl'" in err


@pytest.mark.parametrize("name", ["table", "figures", "leaderboard", "publish"])
def test_a_folder_without_a_study_is_one_line(name, tmp_path, main):
    code, out, err = main(name, tmp_path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(r"There is no (table|study)", err)


def test_figures_are_drawn_from_what_is_stored(study, main, tmp_path):
    code, out, _ = main("figures", study.out, "--out", tmp_path / "drawn")
    assert code == 0
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert {"pullback_volume.png", "relative_stitching.png"} <= set(drawn)
    assert len(out.splitlines()) == len(drawn)
    for path in (tmp_path / "drawn").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_study_without_figures_says_so(toys, main):
    repgeo.run(toys.folder / "task.toml", out=toys.out)
    code, out, _ = main("figures", toys.out)
    assert (code, out) == (0, "No probe of this study has a figure.\n")


def test_the_leaderboard_needs_nothing_else(study, main, tmp_path):
    code, out, _ = main("leaderboard", study.out, "--out", tmp_path / "page.html")
    assert (code, out) == (0, f"{tmp_path / 'page.html'}\n")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Toys of all kinds" in page
    assert "<li>Lengths in &lt;feet&gt;.</li>" in page
    for model in ("small", "wide"):
        assert model in page
    assert not re.search(r'(?:src|href)="(?:https?:|/)', page)


def test_publish_writes_what_may_be_committed(study, main, tmp_path):
    code, out, _ = main("publish", study.out, "--out", tmp_path)
    assert code == 0
    results = tmp_path / "toys"
    told = {line.removeprefix(f"{results}/") for line in out.splitlines()}
    written = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    assert written == told
    assert {"table.csv", "summary.md", "study.json", "leaderboard.html"} < written
    assert "figures/pullback_volume.png" in written
    host = platform.node()
    for name in sorted(written):
        if not name.endswith(".png"):
            text = (results / name).read_text(encoding="utf-8")
            assert str(study.folder) not in text, name
            assert str(Path(repgeo.__file__).parents[1]) not in text, name
            assert "/tmp/" not in text
            assert not re.search(rf"\b{re.escape(host)}\b", text) or len(host) < 3, name
    frame = repgeo.read(results)
    assert "host" not in frame
    assert "started_at" not in frame
    assert len(frame) == len(repgeo.read(study.out))
    about = json.loads((results / "study.json").read_text())
    assert about["task"] == "toys"
    assert about["seeds"] == [0, 1, 2]
    assert about["versions"]["repgeo"] == repgeo.__version__
    assert about["contents"]["models"][0]["label"] == "small"
    summary = (results / "summary.md").read_text()
    assert summary.startswith("# Toys of all kinds\n")
    assert "## Notes\n\n- Lengths in <feet>.\n" in summary
    assert "- agrees: metric = std, model = small, probe = spread: ours " in summary
    main("publish", study.out, "--out", tmp_path / "again")  # gives the same bytes
    for name in written:
        again = tmp_path / "again" / "toys" / name
        assert (results / name).read_bytes() == again.read_bytes(), name


def test_publishing_where_nothing_can_be_written_is_one_line(study, main, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = main("publish", study.out, "--out", tmp_path / "file")
    assert code == 2
    assert err.count("\n") == 1
    assert "file" in err


def test_reproduce_compares_with_what_is_expected(study, main, tmp_path, monkeypatch):
    code, out, _ = main("reproduce", study.out)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("toys (")
    assert lines[1].startswith("  - agrees: metric = std, model = small, probe = spread: ours ")
    assert "digits: not run" in lines
    monkeypatch.chdir(study.folder)
    assert main("reproduce")[1].splitlines()[0] == "toys (runs/toys)"
    monkeypatch.chdir(tmp_path)
    assert "digits: not run\n" in main("reproduce")[1]


def test_reproduce_says_where_no_number_is_known(toys, main):
    repgeo.run(toys.folder / "task.toml", out=toys.out)
    _, out, _ = main("reproduce", toys.out)
    assert out.splitlines()[0] == "task: no published number at hand"


# ------------------------------------------------------------------ check, doctor

CHECKED = """
from typing import ClassVar

import torch

from repgeo.datasets import Dataset, Split
from repgeo.probes import Case, Metric, Probe, Reading


class Mean(Probe):
    name: ClassVar = "mean"
    metrics: ClassVar = {"mean": Metric(invariant_to={"samples:permutation"})}
    layer: str = "encoder"

    def measure(self, subject, data, context):
        yield Reading("mean", subject.encode(data.test.x).double().mean(dim=0).norm())

    def oracles(self):
        split = Split(torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.tensor([0, 1]))
        yield Case(lambda x: x, Dataset("", split, split), {"mean": 5.0})


class FalseClaim(Mean):
    name: ClassVar = "false_claim"
    metrics: ClassVar = {"mean": Metric(invariant_to={"codes:translation"})}


class WrongAnswer(Mean):
    name: ClassVar = "wrong_answer"

    def measure(self, subject, data, context):
        yield Reading("mean", 4.0)


class Unchecked(Mean):
    name: ClassVar = "unchecked"
    metrics: ClassVar = {"mean": Metric()}

    def oracles(self):
        return ()
"""


@pytest.fixture
def checked(toys):
    (toys.folder / "checked.py").write_text(CHECKED)
    return f"{toys.folder}/checked.py"


def test_check_of_a_good_probe(main, checked):
    code, out, _ = main("check", f"{checked}:FalseClaim", f"{checked}:Unchecked")
    assert code == 1
    assert "false_claim              FAILED: 1 oracles" in out
    assert "mean under codes:translation" in out
    assert "unchecked                FAILED: 0 oracles, 0 invariance checks" in out
    assert "no check was executed" in out


def test_check_of_a_wrong_answer(main, checked):
    code, out, _ = main("check", f"{checked}:WrongAnswer")
    assert code == 1
    assert "oracle 0: mean is 4.0, expected 5.0" in out


def test_check_of_built_in_probes(main):
    code, out, _ = main("check", "accuracy", "similarity")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if not line.startswith(" ")] == ["ok:"] * 2


def test_check_of_an_unknown_probe(main):
    code, _, err = main("check", "acuracy")
    assert code == 2
    assert "Did you mean 'accuracy'?" in err


@pytest.mark.parametrize("chosen", ["accuracy", "WrongAnswer"])
def test_doctor_tells_versions_machine_and_oracles(chosen, main, checked, monkeypatch):
    from repgeo.probes import checking

    real, asked = checking.check_probes, []
    name = f"{checked}:{chosen}" if chosen == "WrongAnswer" else chosen

    def few(names, **options):  # all of them take a while, and have tests of their own
        asked.append((names, options))
        return real([name], **options)

    monkeypatch.setattr(checking, "check_probes", few)
    code, out, _ = main("doctor")
    assert asked == [(None, {"seed": 0, "invariances": False})]
    assert code == (1 if chosen == "WrongAnswer" else 0)
    assert re.search(r"^torch +\d", out, re.MULTILINE)
    assert re.search(r"^repgeo +\d", out, re.MULTILINE)
    assert re.search(r"^cores +\d", out, re.MULTILINE)
    verdict = "wrong_answer +FAILED: " if chosen == "WrongAnswer" else "accuracy +ok: 1 oracles"
    assert re.search(f"^{verdict}", out, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::repgeo.geometry.determinants.PrecisionWarning")
def test_the_digits_task_for_real(tmp_path, main):
    folder = tmp_path / "digits"
    short = ["mlp", "cnn", "resnet"]
    changes = [word for name in short for word in ("--set", f"models.{name}.train.epochs=1")]
    code, _, err = main(
        "run", "digits", "--seeds", "0", "--out", folder, *changes, "-m", "mlp#0", "-m", "cnn*"
    )
    assert code == 0, err
    frame = repgeo.read(folder)
    assert set(frame["model"]) == {"mlp#0", "cnn", "cnn (untrained)"}
    assert frame["status"].eq("ok").all()
    accuracy = frame[frame["probe"] == "accuracy"].set_index("model")["value"]
    assert accuracy["cnn"] > accuracy["cnn (untrained)"]
    assert accuracy["mlp#0"] > 0.5
    assert set(frame["probe"]) == {
        "accuracy",
        "pullback_volume",
        "equivariance_error",
        "relative_stitching",
        "similarity",
    }
