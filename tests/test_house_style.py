from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import repgeo

ROOT = Path(repgeo.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 60
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff"}

#: Modules that are run and not imported.
SCRIPTS = {"repgeo.__main__"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_files_are_short() -> None:
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE}
    assert not long


def lines_of_code(function: Function) -> int:
    """The lines of a function's body, without its docstring.

    The signature is left out: the options of a command are its parameters.
    """
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    assert body[-1].end_lineno is not None
    return body[-1].end_lineno - body[0].lineno + 1


def test_functions_are_short() -> None:
    long = {
        f"{name}.{node.name}": lines_of_code(node)
        for name, path in NAMES.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, Function) and lines_of_code(node) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long


def test_files_are_named_after_an_idea() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in [*FILES, *(path for path in ROOT.rglob("*") if path.is_dir())]
        if path.stem.strip("_").lower() in FORBIDDEN_NAMES
    ]
    assert not wrong


def test_tests_have_different_names() -> None:
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_modules_say_what_they_are(name: str) -> None:
    assert ast.get_docstring(parsed(NAMES[name])), f"{name} has no docstring"


def test_annotations_are_not_evaluated() -> None:
    line = "from __future__ import annotations"
    without = [
        name
        for name, path in NAMES.items()
        if line not in path.read_text(encoding="utf-8").splitlines()
        and any(isinstance(node, Function | ast.AnnAssign) for node in ast.walk(parsed(path)))
    ]
    assert not without


def test_nothing_waits_for_somebody() -> None:
    mark = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
    wrong = [
        f"{name}: {line.strip()}"
        for name, path in NAMES.items()
        for line in path.read_text(encoding="utf-8").splitlines()
        if mark.search(line)
    ]
    assert not wrong


def test_nothing_names_a_place_on_one_machine() -> None:
    place = re.compile(r"(?<![\w.])/(work|home|Users|root|mnt)/\w")
    wrong = [
        f"{path.name}: {line.strip()}"
        for path in FILES
        for line in path.read_text(encoding="utf-8").splitlines()
        if place.search(line)
    ]
    assert not wrong


def public_functions(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class itself defines."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        function = getattr(member, "__func__", member)
        if isinstance(member, property):
            function = member.fget
        elif hasattr(member, "func"):  # cached_property
            function = member.func
        if inspect.isfunction(function):
            yield name, function


def overrides_a_documented_one(kind: type, name: str) -> bool:
    for base in kind.__mro__[1:]:
        member = vars(base).get(name)
        if member is not None and inspect.getdoc(member):
            return True
    return False


def faults_of(module: ModuleType) -> Iterator[str]:
    exported = getattr(module, "__all__", None)
    if exported is None:
        yield f"{module.__name__} has no __all__"
        return
    if len(set(exported)) != len(exported):
        yield f"{module.__name__}.__all__ names something twice"
    for name in exported:
        if not hasattr(module, name):
            yield f"{module.__name__}.__all__ names {name!r}, which does not exist"
            continue
        found = getattr(module, name)
        where = f"{module.__name__}.{name}"
        if inspect.isfunction(found) and not inspect.getdoc(found):
            yield f"{where} has no docstring"
        if inspect.isclass(found) and found.__module__.startswith("repgeo"):
            own = found.__dict__.get("__doc__")
            if not own or re.match(rf"{found.__name__}\(", own):  # what a dataclass makes up
                yield f"{where} has no docstring"
            for method, function in public_functions(found):
                if not function.__doc__ and not overrides_a_documented_one(found, method):
                    yield f"{where}.{method} has no docstring"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SCRIPTS])
def test_public_names_exist_and_are_documented(name: str) -> None:
    assert not list(faults_of(importlib.import_module(name)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SCRIPTS])
def test_what_others_import_by_name_is_public_or_of_the_same_room(name: str) -> None:
    """A name with an underscore is used in its own module only."""
    module_of = {
        node.module: [alias.name for alias in node.names]
        for node in ast.walk(parsed(NAMES[name]))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("repgeo")
    }
    private = [
        f"{source}.{imported}"
        for source, names in module_of.items()
        for imported in names
        if imported.startswith("_") and not imported.endswith("__")
    ]
    assert not private


def test_the_rules_themselves() -> None:
    made = ModuleType("made")
    assert list(faults_of(made)) == ["made has no __all__"]
    code = "def bare(): pass\nclass Kind:\n    '''Says it.'''\n    def run(self): pass\n"
    exec(compile(code, "made", "exec"), vars(made))  # noqa: S102
    made.Kind.__module__ = "repgeo.made"  # type: ignore[attr-defined]
    made.__all__ = ["Kind", "bare", "gone"]  # type: ignore[attr-defined]
    assert list(faults_of(made)) == [
        "made.Kind.run has no docstring",
        "made.bare has no docstring",
        "made.__all__ names 'gone', which does not exist",
    ]
    short = ast.parse('def f():\n    """One\n\n    two\n    """\n    return 1\n').body[0]
    assert isinstance(short, ast.FunctionDef)
    assert lines_of_code(short) == 1
