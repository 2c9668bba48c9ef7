"""Plug-ins of others: entry points of an installed distribution, and modules in place."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import repgeo
from repgeo import registry
from repgeo.errors import ConfigurationError, UnknownNameError

NETS = """
from torch import nn


def tiny(input_shape: tuple[int, ...], classes: int, width: int = 2) -> nn.Module:
    \"\"\"A tiny network.\"\"\"
    net = nn.Sequential()
    net.add_module("encoder", nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], width)))
    net.add_module("head", nn.Linear(width, classes))
    return net
"""
MEASURES = """
from typing import ClassVar

from repgeo.probes import Metric, Probe, Reading

CODE = 1


class NormSpread(Probe):
    \"\"\"Coefficient of variation of the norms of the codes.\"\"\"

    name: ClassVar = "norm_spread"
    version: ClassVar = 1
    metrics: ClassVar = {"cv": Metric(direction="lower", invariant_to={"codes:orthogonal"})}
    layer: str = "encoder"

    def measure(self, subject, data, context):
        norms = subject.encode(data.test.x).norm(dim=-1)
        yield Reading("cv", norms.std() / norms.mean())
"""
ENTRY_POINTS = """
[repgeo.probes]
norm_spread = {package}.measures:NormSpread
[repgeo.models]
tiny = {package}.nets:tiny
"""
TASK = """
[dataset]
name = "xor"
[[models]]
name = "tiny"
[[models]]
name = "mlp"
hidden = [4]
[[probes]]
name = "norm_spread"
"""


def install(folder: Path, package: str, entry_points: str = ENTRY_POINTS, **files: str) -> Path:
    """A distribution as an installer leaves it: modules, and a *.dist-info beside them."""
    place = folder / package
    place.mkdir(parents=True)
    for name, text in {"__init__": "", "nets": NETS, "measures": MEASURES, **files}.items():
        (place / f"{name}.py").write_text(text)
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        textwrap.dedent(entry_points.replace("{package}", package))
    )
    return folder


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions, on the path of this process."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    return place


@pytest.fixture
def plugin(site):
    install(site, "their_measures")
    return site


@pytest.mark.usefixtures("plugin")
def test_names_of_others_are_listed_without_importing_them(main):
    import sys

    code, out, _ = main("list")
    assert code == 0
    assert "  norm_spread" in out
    assert "[their_measures: their_measures.measures:NormSpread]" in out
    assert "[their_measures: their_measures.nets:tiny]" in out
    assert not [name for name in sys.modules if name.startswith("their_measures")]


@pytest.mark.usefixtures("plugin")
def test_a_task_runs_a_model_and_a_probe_of_others(toys):
    frame = repgeo.run(toys.task(TASK), out=toys.out)
    assert frame["status"].tolist() == ["ok", "ok"]
    assert frame["model"].tolist() == ["tiny", "mlp"]
    assert frame["probe"].unique().tolist() == ["norm_spread"]
    assert (frame["value"] > 0).all()
    assert registry.load("probes", "norm_spread").identity == {
        "name": "norm_spread",
        "origin": "their_measures",
        "version": "1",
    }


def test_the_same_in_a_process_of_its_own(tmp_path, command, toys):
    site = install(tmp_path / "site", "their_tools")
    task = toys.task(TASK)
    done = command("run", task, "--out", toys.out, path=[site])
    assert done.returncode == 0, done.stderr
    assert repgeo.read(toys.out)["status"].tolist() == ["ok", "ok"]


@pytest.mark.usefixtures("plugin")
def test_what_is_executed_by_check_includes_others(main):
    code, out, _ = main("check", "norm_spread")
    assert code == 0, out
    assert out.startswith("norm_spread              ok: 0 oracles, ")


@pytest.mark.usefixtures("plugin")
def test_names_of_others_can_be_shown(main):
    code, out, _ = main("show", "norm_spread")
    assert code == 0
    assert "Coefficient of variation of the norms of the codes." in out
    assert "cv: lower is better; invariant to codes:orthogonal" in out


@pytest.mark.usefixtures("plugin")
def test_without_the_plug_in_its_name_is_unknown(toys, main, monkeypatch, plugin):
    task = toys.task(TASK)
    monkeypatch.setattr(
        "sys.path", [place for place in __import__("sys").path if place != str(plugin)]
    )
    code, _, err = main("run", task, "--out", toys.out)
    assert code == 2
    assert "probes[0]: Unknown probe 'norm_spread'" in err


@pytest.mark.parametrize("name", ["norm_spread", "tiny"])
def test_two_origins_of_one_name_are_an_error_only_on_use(name, plugin, main, toys):
    install(plugin, "other_measures")
    code, out, _ = main("list")
    assert code == 0
    assert out.count(f"  {name} ") == 2
    kind = "probes" if name == "norm_spread" else "models"
    with pytest.raises(UnknownNameError, match="registered by several packages: other_measures"):
        registry.load(kind, name)
    code, _, err = main("run", toys.task(TASK), "--out", toys.out)
    assert code == 2
    assert err.count("\n") == 1
    assert "their_measures (their_measures.measures:NormSpread)" in err
    assert "Use 'module:attribute' instead of the name." in err
    text = TASK.replace('"tiny"', '"other_measures.nets:tiny"')
    text = text.replace('"norm_spread"', '"their_measures.measures:NormSpread"')
    frame = repgeo.run(toys.task(text), out=toys.out)
    assert frame["status"].tolist() == ["ok", "ok"]
    assert frame["model"].tolist() == ["tiny", "mlp"]


def test_a_name_of_ours_that_others_take_too(site, toys, main):
    entries = "[repgeo.probes]\naccuracy = {package}.measures:NormSpread\n"
    install(site, "taking_names", entries)
    code, out, _ = main("list", "probes")
    assert code == 0
    assert out.count("  accuracy ") == 2
    code, _, err = main("show", "accuracy")
    assert code == 2
    assert "registered by several packages" in err
    task = toys.task(TASK.replace("norm_spread", "similarity").replace('"tiny"', '"identity"'))
    assert main("run", task, "--out", toys.out)[0] == 0  # others are not touched


BROKEN = {
    "raises": ("raise RuntimeError('of\\nno use')", "RuntimeError: of no use"),
    "syntax": ("def (", "SyntaxError: "),
    "missing": ("import not_installed_at_all", "not_installed_at_all"),
    "short": ("import brok", "No module named 'brok'"),
    "exits": ("import sys; sys.exit('gone')", "SystemExit: gone"),
    "nothing": ("", "has no 'Broken'"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plug_in_is_listed_and_breaks_nothing(fault, site, toys, main):
    source, words = BROKEN[fault]
    package = f"broken_{fault}"
    entries = "[repgeo.probes]\nbroken = {package}.faulty:Broken\n"
    install(site, package, entries, faulty=source)
    code, out, err = main("list")
    assert (code, err) == (0, "")
    assert f"[{package}: {package}.faulty:Broken]" in out
    assert "BROKEN" not in out
    code, out, err = main("list", "probes", "--load")
    assert (code, err) == (1, "")
    (line,) = [line for line in out.splitlines() if "BROKEN" in line]
    assert line.startswith("  broken ")
    assert words in line
    assert "  accuracy " in out
    code, _, err = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 0, err
    code, _, err = main("run", toys.task(TASK.replace("norm_spread", "broken")))
    assert code == 2
    assert err.count("\n") == 1
    assert words in err
    code, _, err = main("show", "broken")
    assert code == 2


def test_check_of_all_names_a_broken_plug_in(site, monkeypatch):
    from repgeo.probes.checking import check_probes

    entries = "[repgeo.probes]\nbroken = {package}.faulty:Broken\n"
    install(site, "broken_check", entries, faulty="raise RuntimeError('no use')")
    chosen = [record for record in registry.records("probes") if record.name == "broken"]
    monkeypatch.setattr(registry, "records", lambda kind: chosen)
    (report,) = check_probes(None)
    assert not report.passed
    assert "RuntimeError: no use" in report.text()


@pytest.mark.parametrize(
    "target", ["not_there", "not_there:x", "their_measures", "their_measures.measures:", ":x", ""]
)
def test_entry_points_of_no_use(target, site, main):
    install(site, "their_measures")
    install(site, "odd_entries", f"[repgeo.models]\nodd = {target}\n")
    code, out, err = main("list", "models", "--load")
    assert code == 1, err
    assert "  mlp " in out
    (line,) = [line for line in out.splitlines() if "BROKEN" in line]
    assert line.startswith("  odd ")


def test_a_module_in_place_is_named_by_module_and_attribute(site, toys):
    install(site, "in_place", "")
    text = TASK.replace('"tiny"', '"in_place.nets:tiny"')
    text = text.replace('"norm_spread"', '"in_place.measures:NormSpread"')
    frame = repgeo.run(toys.task(text), out=toys.out)
    assert frame["status"].tolist() == ["ok", "ok"]
    assert registry.load("models", "in_place.nets:tiny").identity == {
        "module": "in_place.nets:tiny",
        "version": "1",
    }


def test_a_file_may_import_its_neighbours(toys):
    (toys.folder / "widths.py").write_text("WIDTH = 6\n")
    (toys.folder / "more.py").write_text(
        "from widths import WIDTH\nfrom nets_of_more import make\n\n\n"
        "def wide(input_shape: tuple[int, ...], classes: int):\n"
        "    return make(input_shape, classes, WIDTH)\n"
    )
    (toys.folder / "nets.py").rename(toys.folder / "nets_of_more.py")
    text = '[dataset]\nname = "./data.py:blobs"\n[[models]]\nname = "./more.py:wide"\n'
    frame = repgeo.run(toys.task(text + '[[probes]]\nname = "./probes.py:Spread"\n'), out=toys.out)
    assert frame["status"].tolist() == ["ok"]


def test_a_file_that_cannot_be_imported_is_one_line(toys, main):
    toys.edit("probes.py", "import torch\n", "import torch\nimport not_there\n")
    code, _, err = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 2
    assert err.count("\n") == 1
    assert "probes[0]: Importing " in err
    assert "No module named 'not_there'" in err


def test_an_edited_file_is_imported_anew(toys):
    first = registry.load("models", "./nets.py:make", folder=toys.folder)
    toys.edit("nets.py", "width: int = 3", "width: int = 9")
    second = registry.load("models", "./nets.py:make", folder=toys.folder)
    assert first.identity != second.identity
    assert second.object((2,), 2).head.in_features == 9


def test_a_probe_that_is_not_complete_is_refused_when_it_is_made(toys, main):
    toys.edit("probes.py", 'name: ClassVar = "spread"', 'nam: ClassVar = "spread"')
    code, _, err = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 2
    assert "The probe Spread needs a name" in err
    with pytest.raises(ConfigurationError, match="needs a name"):
        registry.load("probes", "./probes.py:Spread", folder=toys.folder)
