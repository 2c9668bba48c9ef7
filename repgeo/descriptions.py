"""What a registered name stands for, in words: for `repgeo show`."""

from __future__ import annotations

import inspect
from typing import Any

from repgeo import registry
from repgeo.catalogue import KINDS
from repgeo.errors import UnknownNameError, nearest

__all__ = ["describe_name"]


def describe_name(name: str) -> str:
    """Description, parameters and metrics of whatever has that name, in every registry.

    Raises
    ------
    UnknownNameError
        If no registry and no task has it.
    """
    from repgeo.study.locating import task_files

    parts = []
    for kind in KINDS:
        if registry.is_reference(name) or any(r.name == name for r in registry.records(kind)):
            parts.append(_describe(kind, name))
            if registry.is_reference(name):
                break
    tasks = task_files()
    if name in tasks:
        parts.append(f"task {name} ({tasks[name]})\n\n{tasks[name].read_text(encoding='utf-8')}")
    if not parts:
        known = [record.name for kind in KINDS for record in registry.records(kind)]
        raise UnknownNameError(f"Unknown name {name!r}. {nearest(name, [*known, *tasks])}")
    return "\n\n".join(parts)


def _describe(kind: str, name: str) -> str:
    found = registry.load(kind, name).object
    what = "" if registry.is_reference(name) else kind.rstrip("s") + " "
    lines = [f"{what}{name}", "", inspect.getdoc(found) or "(no description)"]
    fields = getattr(found, "model_fields", None)
    if fields:
        lines += ["", "Parameters:"]
        lines += [f"  {key}: {_annotation(field)}" for key, field in fields.items()]
    elif callable(found) and not fields:
        lines += ["", f"Parameters: {_signature(found)}"]
    metrics = getattr(found, "metrics", None)
    if isinstance(metrics, dict):
        lines += ["", "Metrics:"]
        for metric, about in metrics.items():
            facts = [about.unit, f"{about.direction} is better" * (about.direction != "none")]
            if about.chance is not None:
                facts.append(f"chance {about.chance:g}")
            if about.invariant_to:
                facts.append(f"invariant to {', '.join(sorted(about.invariant_to))}")
            lines.append(f"  {metric}: " + "; ".join(filter(None, [about.summary, *facts])))
    return "\n".join(lines)


def _annotation(field: Any) -> str:
    text = inspect.formatannotation(field.annotation)
    if field.is_required():
        return f"{text} (must be given)"
    return f"{text} = {field.get_default(call_default_factory=True)!r}"


def _signature(found: Any) -> str:
    try:
        return str(inspect.signature(found))
    except (TypeError, ValueError):  # some things written in C have none
        return "not known"
