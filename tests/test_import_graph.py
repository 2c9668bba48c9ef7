from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import repgeo

ROOT = Path(repgeo.__file__).parent

MATHS = ("geometry", "stitching", "hyperbolic", "groups", "equivariance", "algebra", "lattices")

#: From the bottom up: a room imports itself and what lies below its level; rooms of one level
#: import each other where `BESIDE` says so.
LEVELS = (
    (
        "version",
        "errors",
        "identity",
        "lazy",
        "catalogue",
        "catalogue_models",
        "registry",
        "parameters",
    ),
    MATHS,
    ("datasets", "objectives", "models", "worlds"),
    ("probes",),
    ("study",),
    ("report",),
    ("display", "descriptions"),
    ("cli",),
    ("__main__",),
)

BESIDE = {
    "equivariance": {"groups"},
    "stitching": {"geometry"},
    "objectives": {"datasets"},
    "models": {"datasets", "objectives"},
    "worlds": {"datasets"},
    "datasets": {"worlds"},
}

#: Imports inside functions that lead upwards, each with its reason.
TOLERATED = {
    ("repgeo.probes.probe", "repgeo.probes.standalone"): "a probe is callable on models at hand",
    ("repgeo", "repgeo.study"): "the names of the package itself, loaded when they are used",
}

#: What mathematics may import besides the standard library.
OF_MATHS = {"torch", "numpy", "scipy", "repgeo"}
#: Other packages, each in the room that needs it.
EXTRAS_OF_MATHS = {
    "algebra": {"flint"},
    "hyperbolic": {"ot", "sklearn"},
    "stitching": {"gudhi"},  # in the one function that needs it
}
NOT_IN_MATHS = {"pathlib", "os", "io", "json", "tempfile", "shutil", "pandas"}


@dataclass(frozen=True)
class Import:
    """One import statement: who, what, and whether it happens when the module is loaded."""

    module: str
    target: str
    line: int
    at_load: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    def walk(node: ast.AST, at_load: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for name in child.names:
                    yield Import(module, name.name, child.lineno, at_load, for_types)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}:{child.lineno} imports relatively"
                for name in child.names:
                    whole = f"{child.module}.{name.name}"
                    target = whole if whole in FILES else str(child.module)
                    yield Import(module, target, child.lineno, at_load, for_types)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, at_load and not inside, for_types or is_for_types(child))

    yield from walk(tree, True, False)


ALL = [
    found
    for module, path in FILES.items()
    for found in imports_of(module, ast.parse(path.read_text(encoding="utf-8")))
]
OWN = [found for found in ALL if found.target.partition(".")[0] == "repgeo"]


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def level(name: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if name in rooms)


def is_allowed(found: Import) -> bool:
    source, target = room(found.module), room(found.target)
    if not source:  # the package itself: only what is light (its lazy names are checked below)
        return found.for_types or target in LEVELS[0]
    if source == target or not target:
        return True
    if level(source) != level(target):
        return level(source) > level(target)
    return level(source) == 0 or target in BESIDE.get(source, set())


def test_every_room_has_a_level() -> None:
    rooms = {room(module) for module in FILES} - {""}
    known = {name for rooms in LEVELS for name in rooms}
    assert rooms <= known, f"new rooms: {sorted(rooms - known)}"


def test_imports_lead_downwards_also_inside_functions() -> None:
    upwards = [
        str(found)
        for found in OWN
        if not is_allowed(found) and (found.module, found.target) not in TOLERATED
    ]
    assert not upwards, "\n".join(upwards)


def test_the_base_knows_no_other_room() -> None:
    wrong = [
        str(found)
        for found in OWN
        if room(found.module) in LEVELS[0] and room(found.target) not in {*LEVELS[0], ""}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", MATHS)
def test_mathematics_knows_tensors_and_errors_only(name: str) -> None:
    wrong = []
    for found in ALL:
        if room(found.module) != name:
            continue
        top = found.target.partition(".")[0]
        if top == "repgeo":
            allowed = {name, "errors", *BESIDE.get(name, ())}
            if found.module == f"repgeo.{name}":
                allowed.add("lazy")
            ok = room(found.target) in allowed
        else:
            extras = EXTRAS_OF_MATHS.get(name, set())
            ok = top in OF_MATHS | extras or (
                top in sys.stdlib_module_names and top not in NOT_IN_MATHS
            )
        if not ok:
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def exports_of(path: Path) -> set[str]:
    """The modules that a package's lazy names lead to."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.split(" ")[0] in FILES
    }


def test_lazy_names_stay_in_their_package() -> None:
    for module, path in FILES.items():
        if path.name != "__init__.py":
            continue
        for target in exports_of(path):
            inside = target == module or target.startswith(f"{module}.")
            assert inside or (module, target) in TOLERATED, f"{module} exports {target}"


def test_every_own_import_exists() -> None:
    missing = [str(found) for found in OWN if found.target not in FILES]
    assert not missing, "\n".join(missing)


def test_tolerated_imports_exist() -> None:
    made = {(found.module, found.target) for found in OWN}
    assert set(TOLERATED) <= made


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """A closed path in a directed graph, or []."""
    finished: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node not in finished:
            for target in sorted(graph.get(node, ())):
                found = visit(target, [*path, node])
                if found:
                    return found
            finished.add(node)
        return []

    for start in sorted(graph):
        found = visit(start, [])
        if found:
            return found
    return []


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for found in OWN:
        if found.at_load and not found.for_types:
            graph.setdefault(found.module, set()).add(found.target)
    assert not cycle_in(graph), " -> ".join(cycle_in(graph))


def test_rooms_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for found in OWN:
        source, target = room(found.module), room(found.target)
        if source and target and source != target and not found.for_types:
            graph.setdefault(source, set()).add(target)
    assert not cycle_in(graph), " -> ".join(cycle_in(graph))


def test_the_search_for_circles_finds_one() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize(
    ("module", "code", "allowed"),
    [
        ("repgeo.geometry.volume", "from repgeo.probes import Probe", False),
        ("repgeo.geometry.volume", "def f():\n    import repgeo.study", False),
        ("repgeo.geometry.volume", "from repgeo.groups import flips", False),
        ("repgeo.stitching.anchors", "from repgeo.geometry import jacobian", True),
        ("repgeo.probes.accuracy", "from repgeo.models.mlp import mlp", True),
        ("repgeo.models.mlp", "from repgeo.probes import Probe", False),
        ("repgeo.datasets.digits", "from repgeo.models import build", False),
        ("repgeo.study.table", "from repgeo.report import tables", False),
        ("repgeo.errors", "from repgeo.identity import digest", True),
    ],
)
def test_the_rule_itself(module: str, code: str, allowed: bool) -> None:
    (found,) = imports_of(module, ast.parse(code))
    assert is_allowed(found) == allowed
