"""Names and where they lead: built-in records, entry points of others, files and modules in place.

One mechanism serves models, datasets, objectives and probes. A record is a name, a target
"module:attribute", one line of summary and tags; nothing is imported until it is used.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from repgeo.catalogue import BUILT_IN, KINDS
from repgeo.errors import ConfigurationError, UnknownNameError, nearest
from repgeo.identity import file_digest

__all__ = ["Found", "Record", "is_reference", "load", "lookup", "records"]


@dataclass(frozen=True)
class Record:
    """A registered name and where its object is to be found."""

    kind: str
    name: str
    target: str  # "module:attribute"
    summary: str = ""
    tags: tuple[str, ...] = ()
    origin: str = "repgeo"  # the distribution that registers it


@dataclass(frozen=True)
class Found:
    """A loaded object, and what of it counts for the identity of what is computed with it."""

    object: Any
    identity: dict[str, str]
    reference: str  # what loads the same object in another process
    source: Path | None = field(compare=False, default=None)

    def fingerprint(self) -> str:
        """The digest of the object's source and of what that imports of the same package.

        It tells results of older code; unlike `version` it is not part of an identity.
        """
        return _source_digest(self.source) if self.source is not None else ""


_IMPORT = re.compile(r"^\s*(?:from|import)\s+([\w.]+)", re.MULTILINE)


@cache
def _source_digest(source: Path) -> str:
    module = next(
        (name for name, m in sys.modules.items() if getattr(m, "__file__", None) == str(source)), ""
    )
    package = module.partition(".")[0]
    seen: dict[Path, str] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        seen[path] = hashlib.sha256(text.encode()).hexdigest()
        own = [name for name in _IMPORT.findall(text) if package and name.startswith(f"{package}.")]
        waiting += [_module_path(package, name) for name in own]
    return hashlib.sha256("".join(sorted(seen.values())).encode()).hexdigest()[:16]


def _module_path(package: str, name: str) -> Path:
    root = Path(next(iter(sys.modules[package].__path__)))
    path = root.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def records(kind: str) -> list[Record]:
    """All records of a kind, built-in and third-party, by name; nothing is imported."""
    return sorted(_records(kind), key=lambda record: (record.name, record.origin))


def _records(kind: str) -> Iterator[Record]:
    if kind not in KINDS:
        raise UnknownNameError(f"Unknown kind {kind!r}. {nearest(kind, KINDS)}")
    for name, (target, summary, tags) in BUILT_IN[kind].items():
        yield Record(kind, name, target, summary, tags)
    for name, target, origin in _registered_elsewhere(kind, _places()):
        yield Record(kind, name, target, origin=origin)


def _places() -> tuple[tuple[str, int], ...]:
    """Where packages are looked for; a folder's time changes when one is put in or taken out."""
    found = []
    for place in sys.path:
        try:
            found.append((place, Path(place).stat().st_mtime_ns))
        except OSError:
            found.append((place, 0))
    return tuple(found)


@lru_cache(maxsize=32)
def _registered_elsewhere(
    kind: str, places: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, str, str], ...]:
    # Reading all installed packages takes some milliseconds, and planning asks at every name.
    return tuple(
        (entry.name, entry.value, entry.dist.name if entry.dist is not None else "unknown")
        for entry in entry_points(group=f"repgeo.{kind}")
    )


def is_reference(name: str) -> bool:
    """Whether a name points to a file or a module in place (`./nets.py:make`, `pkg.nets:make`)."""
    return ":" in name


def lookup(kind: str, name: str) -> Record:
    """The one record of that name.

    Raises
    ------
    UnknownNameError
        If no origin registers the name (the nearest ones are named), or several do.
    """
    every = records(kind)
    matching = [record for record in every if record.name == name]
    if not matching:
        hint = nearest(name, [record.name for record in every])
        raise UnknownNameError(
            f"Unknown {kind.rstrip('s')} {name!r}. {hint} See: repgeo list {kind}"
        )
    if len(matching) > 1:
        origins = ", ".join(f"{record.origin} ({record.target})" for record in matching)
        raise UnknownNameError(
            f"The {kind.rstrip('s')} name {name!r} is registered by several packages: {origins}. "
            "Use 'module:attribute' instead of the name."
        )
    return matching[0]


def load(kind: str, name: str, *, folder: Path | None = None) -> Found:
    """The object behind a name, a file reference or a module reference.

    Parameters
    ----------
    kind
        "models", "datasets", "objectives" or "probes".
    name
        A registered name, `./file.py:attribute`, or `package.module:attribute`.
    folder
        What a relative file path starts from; the working directory by default.

    Raises
    ------
    UnknownNameError
        If there is no such name, file, module or attribute.
    ConfigurationError
        If importing it fails; the original error is named.
    """
    if not is_reference(name):
        record = lookup(kind, name)
        found = _attribute(_module(record.target.split(":")[0], record), record.target)
        identity = {"name": name, "origin": record.origin, "version": _version(found)}
        return Found(found, identity, name, _source(found))
    place, _, attribute = name.rpartition(":")
    if place.endswith(".py"):
        path = Path(place).expanduser()
        path = (path if path.is_absolute() else (folder or Path.cwd()) / path).resolve()
        if not path.is_file():
            raise UnknownNameError(f"There is no file {str(path)!r} (named by {name!r}).")
        content = file_digest(path)
        found = _attribute(_file_module(path, content), name)
        return Found(found, {"file": content, "name": attribute}, f"{path}:{attribute}", path)
    found = _attribute(_module(place, None), name)
    identity = {"module": name, "version": _version(found)}
    return Found(found, identity, name, _source(found))


def _version(found: Any) -> str:
    return str(getattr(found, "version", 1))


def _source(found: Any) -> Path | None:
    try:
        return Path(inspect.getfile(found))
    except TypeError:
        return None


def _module(name: str, record: Record | None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UnknownNameError(
                f"There is no module {name!r}. Write 'package.module:attribute' for something "
                "installed, or './file.py:attribute' for a file."
            ) from None
        raise _broken(name, record, error) from error
    except (Exception, SystemExit) as error:  # a plug-in that exits does not take us with it
        raise _broken(name, record, error) from error


def _broken(name: str, record: Record | None, error: BaseException) -> ConfigurationError:
    whose = f" (registered by {record.origin})" if record is not None else ""
    return ConfigurationError(
        f"Importing {name!r}{whose} failed with {type(error).__name__}: "
        + " ".join(str(error).split())
    )


def _file_module(path: Path, content: str) -> ModuleType:
    # The name holds the content's digest, so that an edited file is a new module.
    key = hashlib.sha256(f"{path}:{content}".encode()).hexdigest()[:16]
    name = f"repgeo_file_{key}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{str(path)!r} cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # a file may import its neighbours, as a script may
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise _broken(str(path), None, error) from error
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


def _attribute(module: ModuleType, target: str) -> Any:
    attribute = target.rpartition(":")[2]
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in vars(module) if not name.startswith("_")]
            raise UnknownNameError(
                f"{target!r}: {module.__name__!r} has no {attribute!r}. {nearest(part, public)}"
            )
        found = getattr(found, part)
    return found
