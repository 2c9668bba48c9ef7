from __future__ import annotations

import pytest

from repgeo import registry
from repgeo.probes.checking import check_probes

#: Those that take a second or less; the others are left out of `make quick`.
QUICK = {"accuracy", "similarity"}


def every_probe() -> list[object]:
    names = [record.name for record in registry.records("probes")]
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", every_probe())
def test_every_registered_probe_keeps_what_it_declares(name: str) -> None:
    kind = registry.load("probes", name).object
    (report,) = check_probes([name])
    assert report.passed, report.text()
    assert report.oracles >= 1, report.text()
    # Probes of weights and formulas, which no move of data or codes acts on, declare none.
    if any(probe.invariances(metric) for probe in kind.variants() for metric in kind.metrics):
        assert report.invariances >= 1, report.text()


@pytest.mark.parametrize("name", [record.name for record in registry.records("probes")])
def test_every_registered_probe_describes_itself(name: str) -> None:
    kind = registry.load("probes", name).object
    assert kind.name == name
    assert kind.__doc__
    for metric in kind.metrics.values():
        assert metric.summary
    assert all(field.annotation is not None for field in kind.model_fields.values())
    # What it tells of itself makes the same probe: what it leaves out is as by default.
    told = kind().parameters()
    assert set(told) <= set(kind.model_fields)
    assert kind(**told) == kind()
