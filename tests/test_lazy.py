from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import repgeo
from repgeo.lazy import lazy_exports

HEAVY = (
    "torch",
    "sklearn",
    "scipy",
    "pandas",
    "gudhi",
    "e3nn",
    "dask",
    "distributed",
    "matplotlib",
)
PACKAGES = ["repgeo"] + [
    f"repgeo.{info.name}" for info in pkgutil.iter_modules(repgeo.__path__) if info.ispkg
]


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh process has loaded after running `code`."""
    tail = (
        "; import json, sys; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    command = [sys.executable, "-c", code + tail]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(found.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_is_light(package: str) -> None:
    assert not loaded_after(f"import {package}") & set(HEAVY)


def test_the_registries_are_light() -> None:
    code = (
        "from repgeo import registry; from repgeo.catalogue import KINDS; "
        "assert all(registry.records(kind) for kind in KINDS)"
    )
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_lazy_name_leads_somewhere(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module) or name in vars(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'no_such_name'"):
        importlib.import_module(package).no_such_name  # noqa: B018


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    get, listed = lazy_exports("mine", {"sqrt": "math", "gone": "no_such_module_at_all"})
    assert get("sqrt")(9.0) == 3.0
    assert listed() == ["gone", "sqrt"]
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        get("gone")
    with pytest.raises(AttributeError, match="module 'mine' has no attribute 'cube'"):
        get("cube")
