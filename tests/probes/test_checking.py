from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import ConfigurationError, InputError, UnknownNameError
from repgeo.probes import Case, Context, Metric, Subject
from repgeo.probes.checking import ELEMENTS, check_probe, check_probes
from repgeo.probes.probe import Probe, Side
from repgeo.probes.reading import Reading

STANDARD = 2  # standard cases: vectors and images


class Test(Probe):
    """What the probes below have in common."""

    __test__: ClassVar[bool] = False
    name: ClassVar[str] = "test"
    metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}
    layer: str = "encoder"

    def value(self, subject: Subject, data: Dataset) -> float | Tensor:
        raise NotImplementedError

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        yield Reading("m", self.value(subject, data))


def declaring(*declarations: str, tolerance: float = 1e-8) -> dict[str, Metric]:
    return {"m": Metric(invariant_to=set(declarations), tolerance=tolerance)}


def spread(codes: Tensor) -> Tensor:
    norms = codes.norm(dim=1)
    return norms.std() / norms.mean()


class Spread(Test):
    """Coefficient of variation of the norms of the codes."""

    metrics: ClassVar[Mapping[str, Metric]] = declaring(
        "codes:orthogonal", "codes:scaling", "samples:permutation", "inputs:affine"
    )
    expected: float = math.sqrt(2) / 3

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return spread(subject.encode(data.test.x))

    def oracles(self) -> Iterable[Case]:
        split = Split(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        data = Dataset("", split, split)
        yield Case(nn.Identity(), data, {"m": self.expected}, 1e-6)


class AtOutput(Spread):
    layer: str = "output"


def test_a_good_probe_passes_and_the_checks_are_counted() -> None:
    report = check_probe(AtOutput())
    assert report.passed, report.text()
    assert report.faults == report.inapplicable == []
    assert report.oracles == 1
    # Four declarations with five elements on the own case and two standard cases each; the control
    # of the order of two samples repeats none of them, and shows nothing.
    assert report.vacuous == ELEMENTS
    assert report.invariances == 4 * 3 * ELEMENTS - ELEMENTS
    assert report.text().split() == (
        f"test ok: 1 oracles, {report.invariances} invariance checks, {ELEMENTS} vacuous".split()
    )


def test_all_variants_of_a_probe_are_executed_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "probes.py"
    file.write_text(
        textwrap.dedent(
            """
            from typing import ClassVar
            from repgeo.probes import Metric, Probe, Reading

            class Powers(Probe):
                name: ClassVar[str] = "powers"
                metrics: ClassVar = {"m": Metric()}
                layer: str = "encoder"
                power: float = 0.0
                promised: str = "orthogonal"

                @classmethod
                def variants(cls):
                    yield cls(power=2.0)
                    yield cls(power=3.0)
                    yield cls(power=3.0, promised="permutation")

                def invariances(self, metric):
                    return frozenset({f"codes:{self.promised}"})

                def measure(self, subject, data, context):
                    yield Reading("m", subject.encode(data.test.x).abs().pow(self.power).sum())

            class NoVariants(Powers):
                name: ClassVar[str] = "no_variants"

                @classmethod
                def variants(cls):
                    return ()
            """
        )
    )
    (report,) = check_probes([f"{file}:Powers"])
    assert report.variants == 3
    assert report.invariances == 2 * STANDARD * ELEMENTS  # squares and the last one
    assert len(report.faults) == 1
    assert report.faults[0].startswith('{"power":3.0}: m under codes:orthogonal, vectors')
    assert "(3 variants)" in report.text()
    with pytest.raises(ConfigurationError, match="yields one instance at least"):
        check_probes([f"{file}:NoVariants"])


def test_invariances_can_be_left_out() -> None:
    report = check_probe(AtOutput(), invariances=False)
    assert (report.oracles, report.invariances, report.passed) == (1, 0, True)


def test_a_wrong_oracle_fails() -> None:
    report = check_probe(AtOutput(expected=-math.sqrt(2) / 3))
    assert not report.passed
    assert report.oracles == 0
    assert report.faults[0].startswith("oracle 0: m is 0.4714")
    assert "expected -0.4714" in report.faults[0]
    assert "fault: oracle 0" in report.text()
    assert "FAILED" in report.text()


# -------------------------------------------------------------------------- false declarations


class NotTranslated(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:translation")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return spread(subject.encode(data.test.x))


class NotMirrored(Test):
    """A determinant keeps its value under rotations, and not under reflections."""

    metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return torch.linalg.det(subject.encode(data.test.x)[:6])


class NotDiagonal(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:diagonal")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return spread(subject.encode(data.test.x))


class SeesInputs(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("inputs:translation")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        assert isinstance(data.test.x, Tensor)
        return spread(data.test.x.flatten(1))


class SeesOrder(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("samples:permutation")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return subject.encode(data.test.x)[0].norm()


class SeesLabels(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("labels:relabelling")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        assert data.test.y is not None
        return data.test.y.double().mean()


class SeesRows(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("weights:row_permutation")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return subject.weights["head.weight"][0].norm()


FALSE = [NotTranslated, NotMirrored, NotDiagonal, SeesInputs, SeesOrder, SeesLabels, SeesRows]


@pytest.mark.parametrize("kind", FALSE)
def test_a_false_declaration_fails(kind: type[Probe]) -> None:
    (declaration,) = kind.metrics["m"].invariant_to
    for seed in range(3):
        report = check_probe(kind(), seed=seed)
        assert not report.passed
        assert len(report.faults) == 1
        assert report.faults[0].startswith(f"m under {declaration}, vectors: the value went from")


class SeesRowNorms(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("weights:row_permutation")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        return subject.weights["head.weight"].norm(dim=1).prod()


class SeesGram(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("weights:unitary_mixing")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        weight = subject.weights["head.weight"]
        return (weight.T @ weight)[0, 1]


class SeesAnswers(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("labels:relabelling")
    layer: str = "output"

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        assert data.test.y is not None
        return (subject(data.test.x).argmax(1) == data.test.y).double().mean()


class SeesDirections(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("weights:row_scale")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        weight = nn.functional.normalize(subject.weights["head.weight"])
        return (weight @ weight.T)[0, 1].abs()


@pytest.mark.parametrize("kind", [SeesRowNorms, SeesGram, SeesAnswers, SeesDirections])
def test_true_declarations_of_other_families_pass(kind: type[Probe]) -> None:
    report = check_probe(kind())
    assert report.passed, report.text()
    assert report.invariances == STANDARD * ELEMENTS


def test_a_tolerance_is_relative() -> None:
    class Noisy(Test):
        metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal", tolerance=1e-3)

        def value(self, subject: Subject, data: Dataset) -> Tensor:
            codes = subject.encode(data.test.x)
            return 1000 * (spread(codes) + 2e-5 * torch.tanh(codes[0, 0]))

    class Strict(Noisy):
        metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")

    assert check_probe(Noisy()).passed
    assert not check_probe(Strict()).passed


# ------------------------------------------------------------------- nothing, vacuous, inapplicable


class Nothing(Test):
    def value(self, subject: Subject, data: Dataset) -> float:
        return 1.0


def test_no_executed_check_is_a_failure() -> None:
    report = check_probe(Nothing())
    assert report.faults == [
        "no check was executed: give it oracles() or declare invariances",
    ]

    class EmptyOracle(Nothing):
        def oracles(self) -> Iterable[Case]:
            yield Case(
                nn.Identity(), Dataset("", Split(torch.ones(1, 2)), Split(torch.ones(1, 2))), {}
            )

    assert not check_probe(EmptyOracle()).passed


class Constant(Nothing):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")


def test_what_its_control_does_not_change_is_vacuous_and_proves_nothing() -> None:
    report = check_probe(Constant())
    assert not report.passed
    assert (report.invariances, report.vacuous) == (0, STANDARD * ELEMENTS)
    assert report.faults[0].startswith("m under codes:orthogonal: no case put it to the test")


def test_vacuous_cases_are_counted_beside_those_that_tell() -> None:
    class SeesVectors(Test):
        metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")

        def value(self, subject: Subject, data: Dataset) -> Tensor | float:
            assert isinstance(data.test.x, Tensor)
            return spread(subject.encode(data.test.x)) if data.test.x.ndim == 2 else 1.0

    report = check_probe(SeesVectors())
    assert report.passed
    assert (report.invariances, report.vacuous) == (ELEMENTS, ELEMENTS)


def test_cases_that_a_probe_does_not_take_are_listed() -> None:
    class Images(Test):
        metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")

        def value(self, subject: Subject, data: Dataset) -> Tensor:
            assert isinstance(data.test.x, Tensor)
            if data.test.x.ndim != 4:
                raise InputError("images only")
            return spread(subject.encode(data.test.x))

    report = check_probe(Images())
    assert report.passed
    assert report.inapplicable == ["vectors: images only"]
    assert "not applicable: vectors: images only" in report.text()

    class Never(Images):
        def value(self, subject: Subject, data: Dataset) -> Tensor:
            raise InputError("never")

    assert "all vacuous or inapplicable" in check_probe(Never()).faults[0]


def test_a_declaration_that_does_not_exist_is_a_fault() -> None:
    class Misspelt(Test):
        def value(self, subject: Subject, data: Dataset) -> Tensor:
            return subject.encode(data.test.x).norm()

        def invariances(self, metric: str) -> frozenset[str]:
            return frozenset({"codes:ortogonal"})

    report = check_probe(Misspelt())
    assert "Unknown invariance 'codes:ortogonal'" in report.faults[0]
    assert report.invariances == 0


# ------------------------------------------------------------------------------ probes that raise


def test_a_probe_that_raises_is_a_fault_and_not_an_error() -> None:
    class Raises(Spread):
        def value(self, subject: Subject, data: Dataset) -> Tensor:
            raise ZeroDivisionError("by zero")

    report = check_probe(Raises())
    assert report.faults[0] == "oracle 0 raised ZeroDivisionError: by zero"
    assert "raised ZeroDivisionError: by zero" in report.faults[1]
    assert len(report.faults) == 1 + len(Raises.metrics["m"].invariant_to)


def test_readings_that_come_and_go_under_a_move_are_a_fault() -> None:
    class Flickers(Test):
        metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")

        def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
            sign = bool(subject.encode(data.test.x)[0, 0] > 0)
            yield Reading("m", 1.0, at={"sign": sign})

    assert "readings" in check_probe(Flickers()).faults[0]


def test_oracles_choose_a_reading_by_its_coordinates() -> None:
    class Curve(Test):
        def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
            for k in (1, 2):
                yield Reading("m", float(k), at={"k": k})

        def oracles(self) -> Iterable[Case]:
            split = Split(torch.ones(2, 2))
            data = Dataset("", split, split)
            yield Case(nn.Identity(), data, {"m": 2.0}, at={"k": 2})
            yield Case(nn.Identity(), data, {"m": 1.0})
            yield Case(nn.Identity(), data, {"m": 1.0}, at={"k": 3})

    report = check_probe(Curve(layer="output"))
    assert report.oracles == 1
    assert report.faults == [
        "oracle 1: 2 readings of 'm', wanted 1",
        "oracle 2: 0 readings of 'm', wanted 1",
    ]


# ----------------------------------------------------------------------------------------- pairs


class Pair(Probe):
    """A pair probe whose value is a function of the two sides' codes."""

    name: ClassVar[str] = "pair"
    arity: ClassVar[int] = 2
    metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")
    layer: str = "encoder"

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        return {"codes": subject.encode(data.test.x)}

    def value(self, mine: Tensor, other: Tensor) -> Tensor:
        raise NotImplementedError

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        yield Reading("m", self.value(mine.prepared["codes"], other.prepared["codes"]))


class Norms(Pair):
    def value(self, mine: Tensor, other: Tensor) -> Tensor:
        return mine.norm() / other.norm()


class FirstOnly(Pair):
    def value(self, mine: Tensor, other: Tensor) -> Tensor:
        return mine.norm() + other[0, 0]


class SecondOnly(Pair):
    def value(self, mine: Tensor, other: Tensor) -> Tensor:
        return mine[0, 0] + other.norm()


class TogetherOnly(Pair):
    """Keeps its value where both sides move alike, which two models never do."""

    def value(self, mine: Tensor, other: Tensor) -> Tensor:
        return (mine - other).norm()


def test_pairs_move_on_each_side_and_on_both() -> None:
    report = check_probe(Norms())
    assert report.passed, report.text()
    assert report.invariances == STANDARD * ELEMENTS * 3


@pytest.mark.parametrize("kind", [FirstOnly, SecondOnly, TogetherOnly])
def test_an_invariance_of_one_side_is_none_of_the_pair(kind: type[Probe]) -> None:
    report = check_probe(kind())
    assert not report.passed
    assert report.faults[0].startswith("m under codes:orthogonal, vectors: the value went from")


def test_data_move_once_for_both_sides() -> None:
    class Ordered(Norms):
        metrics: ClassVar[Mapping[str, Metric]] = declaring(
            "samples:permutation", "inputs:orthogonal"
        )

        def value(self, mine: Tensor, other: Tensor) -> Tensor:
            return (mine * other).sum()

    report = check_probe(Ordered())
    assert report.passed, report.text()
    assert report.invariances == 2 * STANDARD * ELEMENTS


# ----------------------------------------------------------------------------------- determinism

SEEN: list[float] = []


class Watched(Test):
    metrics: ClassVar[Mapping[str, Metric]] = declaring("codes:orthogonal")

    def value(self, subject: Subject, data: Dataset) -> Tensor:
        codes = subject.encode(data.test.x)
        SEEN.append(float(codes[0, 0]))
        return codes.norm()


def seen(seed: int) -> list[float]:
    SEEN.clear()
    before = torch.random.get_rng_state()
    assert check_probe(Watched(), seed=seed).passed
    assert torch.equal(torch.random.get_rng_state(), before)
    return list(SEEN)


def test_the_elements_follow_the_seed() -> None:
    assert seen(0) == seen(0)
    zero, one = seen(0), seen(1)
    assert zero != one
    per_case = 2 + ELEMENTS  # as it is, the control, the elements
    assert len(zero) == STANDARD * per_case
    assert len(set(zero)) == len(zero)
    assert zero[0] == one[0]
    assert not set(zero[2:per_case]) & set(one[2:per_case])


def test_metrics_share_the_runs_of_a_declaration() -> None:
    class Two(Watched):
        metrics: ClassVar[Mapping[str, Metric]] = {
            "m": Metric(invariant_to={"codes:orthogonal"}),
            "again": Metric(invariant_to={"codes:orthogonal"}),
        }

        def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
            value = self.value(subject, data)
            yield from (Reading("m", value), Reading("again", 2 * value))

    SEEN.clear()
    report = check_probe(Two())
    assert report.passed
    assert report.invariances == 2 * STANDARD * ELEMENTS
    assert len(SEEN) == STANDARD * (2 + ELEMENTS)


def test_the_models_of_cases_are_left_as_they_are() -> None:
    net = nn.Linear(2, 2)
    weight = net.weight.detach().clone()

    class Uses(Spread):
        def oracles(self) -> Iterable[Case]:
            split = Split(torch.eye(2))
            yield Case(net, Dataset("", split, split), {})

    check_probe(Uses(layer="output"))
    assert net.weight.dtype == torch.float32
    assert torch.equal(net.weight, weight)
    assert net.training
    assert net.weight.requires_grad


# ------------------------------------------------------------------------------------- by name

THIRD_PARTY = """
    from typing import ClassVar
    from repgeo.probes import Metric, Probe, Reading

    class Needs(Probe):
        name: ClassVar[str] = "needs"
        metrics: ClassVar[dict] = {"m": Metric()}
        size: int
        kind: str

    class Bad(Probe):
        name: ClassVar[str] = "bad"
        metrics: ClassVar[dict] = {"m": Metric(invariant_to={"samples:permutation"})}
        layer: str = "encoder"

        def measure(self, subject, data, context):
            yield Reading("m", subject.encode(data.test.x)[0, 0])

    def function():
        pass
"""


@pytest.fixture
def third_party(tmp_path: Path) -> str:
    path = tmp_path / "third.py"
    path.write_text(textwrap.dedent(THIRD_PARTY))
    return str(path)


def test_parameters_without_a_default_cannot_be_checked_by_name(third_party: str) -> None:
    (report,) = check_probes([f"{third_party}:Needs"])
    assert report.faults == ["the parameters size, kind have no default"]


def test_probes_in_files_are_checked_alike(third_party: str) -> None:
    (report,) = check_probes([f"{third_party}:Bad"])
    assert not report.passed
    assert "m under samples:permutation" in report.faults[0]


def test_what_is_no_probe_is_an_error_by_name(third_party: str) -> None:
    with pytest.raises(Exception, match="is not a Probe class"):
        check_probes([f"{third_party}:function"])
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        check_probes(["acuracy"])


def test_all_probes_are_checked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from repgeo import catalogue

    probes: dict[str, Any] = {
        "good": ("repgeo.probes.accuracy:Accuracy", "", ()),
        "gone": ("repgeo.probes.no_such_module:Nothing", "", ()),
    }
    monkeypatch.setitem(catalogue.BUILT_IN, "probes", probes)
    gone, good = sorted(check_probes(None, invariances=False), key=lambda report: report.passed)
    assert good.passed
    assert (good.probe, good.oracles) == ("accuracy", 1)
    assert gone.probe == "gone"
    assert "no_such_module" in gone.faults[0]
