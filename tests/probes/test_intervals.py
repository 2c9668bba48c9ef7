from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from repgeo.errors import InputError
from repgeo.probes.intervals import RESAMPLES, Estimate, estimate, over_seeds
from repgeo.probes.reading import Statistic

REPLICATES = 2000  # the standard error of a coverage of 95 % is then 0.5 %


def of(
    samples: object, statistic: Statistic = "mean", ids: object = None, seed: int = 0
) -> Estimate:
    units = None if ids is None else np.asarray(ids)
    return estimate(np.asarray(samples), statistic, ids=units, rng=np.random.default_rng(seed))


def covers(found: Estimate, truth: float) -> bool:
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.ci_low <= truth <= found.ci_high


# ------------------------------------------------------------------------------- against scipy


@pytest.mark.parametrize("n", [2, 3, 17, 400])
def test_mean_is_the_student_interval_of_scipy(n: int) -> None:
    samples = np.random.default_rng(n).normal(3.0, 2.0, n)
    found = of(samples)
    low, high = stats.t.interval(0.95, n - 1, samples.mean(), stats.sem(samples))
    assert found.value == pytest.approx(samples.mean(), rel=1e-14)
    assert found.stderr == pytest.approx(stats.sem(samples), rel=1e-12)
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), rel=1e-12)
    assert (found.ci_kind, found.n) == ("t:samples", n)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (480, 500)])
def test_proportion_is_the_wilson_interval_of_scipy(k: int, n: int) -> None:
    found = of([1.0] * k + [0.0] * (n - k), "proportion")
    wanted = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert found.value == k / n
    assert found.ci_low == pytest.approx(wanted.low, abs=1e-14)
    assert found.ci_high == pytest.approx(wanted.high, abs=1e-14)
    assert found.ci_kind == "wilson:samples"
    assert (found.ci_low == 0.0) == (k == 0)
    assert (found.ci_high == 1.0) == (k == n)


@pytest.mark.parametrize("n", [6, 7, 8, 20, 51, 200])
def test_median_takes_the_narrowest_symmetric_order_statistics_that_reach_the_level(n: int) -> None:
    samples = np.random.default_rng(n).permutation(n).astype(float)
    found = of(samples, "median")
    assert found.value == np.median(samples)
    assert found.ci_low is not None
    # The sample values are 0 ... n-1, so the lower end is the number of samples below it.
    below = int(found.ci_low)
    assert found.ci_high == n - 1 - below
    # P(x_(below+1) <= median <= x_(n-below)) = P(below < B < n - below), B binomial(n, 1/2).
    exact = sum(math.comb(n, k) for k in range(below + 1, n - below)) / 2**n
    narrower = sum(math.comb(n, k) for k in range(below + 2, n - below - 1)) / 2**n
    assert exact >= 0.95 > narrower
    assert found.ci_kind == "order:samples"


@pytest.mark.parametrize("n", [1, 2, 5])
def test_median_of_fewer_than_six_samples_has_no_interval(n: int) -> None:
    assert of(range(n), "median") == Estimate(float(np.median(range(n))), n=n)


# ------------------------------------------------------------------------------------- clusters


def test_equal_clusters_are_the_plain_interval_of_their_means() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.normal(size=(12, 5)) + rng.normal(size=(12, 1))
    ids = np.repeat(np.arange(12) * 7 - 3, 5)
    order = rng.permutation(60)
    found = of(clusters.ravel()[order], ids=ids[order])
    plain = of(clusters.mean(axis=1))
    assert (found.value, found.stderr, found.ci_low, found.ci_high) == pytest.approx(
        (plain.value, plain.stderr, plain.ci_low, plain.ci_high), rel=1e-12
    )
    assert (found.ci_kind, found.n) == ("t:clusters", 60)


def test_repeating_every_sample_does_not_narrow_the_interval() -> None:
    samples = np.random.default_rng(1).normal(size=15)
    once, thrice = of(samples), of(np.tile(samples, 3), ids=np.tile(np.arange(15), 3))
    assert thrice.ci_low == pytest.approx(once.ci_low, rel=1e-12)
    assert thrice.ci_high == pytest.approx(once.ci_high, rel=1e-12)
    naive = of(np.tile(samples, 3))
    assert naive.stderr is not None
    assert once.stderr is not None
    assert naive.stderr < 0.6 * once.stderr


def test_clustered_proportions_use_the_clusters_too() -> None:
    found = of([1, 1, 0, 0, 1, 1], "proportion", ids=[0, 0, 1, 1, 2, 2])
    assert found.ci_kind == "t:clusters"
    assert found.stderr == pytest.approx(stats.sem([1.0, 0.0, 1.0]), rel=1e-12)


def test_different_ids_are_no_clusters() -> None:
    assert of([1.0, 2.0, 4.0], ids=[9, 3, 5]) == of([1.0, 2.0, 4.0])


def test_one_cluster_has_no_interval() -> None:
    for statistic in ("mean", "median"):
        assert of([1.0, 2.0, 3.0], statistic, ids=[4, 4, 4]) == Estimate(2.0, n=3)
    assert of([1.0, 0.0], "proportion", ids=[4, 4]) == Estimate(0.5, n=2)


# ----------------------------------------------------------------------------------- edge cases


@pytest.mark.parametrize("statistic", ["mean", "median", np.mean])
def test_one_sample_has_a_value_and_no_interval(statistic: Statistic) -> None:
    assert of([2.5], statistic) == Estimate(2.5, n=1)


def test_constant_samples_have_intervals_of_no_width() -> None:
    mean, median, boot = (of([4.0] * 9, s) for s in ("mean", "median", np.mean))
    assert (mean.stderr, mean.ci_low, mean.ci_high) == (0.0, 4.0, 4.0)
    assert (median.ci_low, median.ci_high) == (4.0, 4.0)
    assert (boot.stderr, boot.ci_low, boot.ci_high) == (0.0, 4.0, 4.0)


def test_minus_infinity_is_a_value_without_a_spread() -> None:
    assert of([-np.inf, 1.0, 2.0]) == Estimate(-math.inf, n=3)
    assert of([-np.inf, -np.inf, 2.0, 3.0], lambda s: float(np.median(s))).value == -math.inf


def test_the_median_of_samples_with_minus_infinities_keeps_them_in_their_place() -> None:
    found = of([-np.inf, *range(1, 20)], "median")
    assert found.value == 9.5
    assert found.ci_low == 5.0  # the sixth of twenty; minus infinity is the first
    many = of([-np.inf] * 8 + list(range(12)), "median")
    assert many.ci_low == -math.inf
    assert many.value == 1.5


def test_the_bootstrap_of_clusters_does_not_drop_minus_infinities() -> None:
    samples = np.array([-np.inf] * 8 + list(range(12)), dtype=float)
    found = of(samples, "median", ids=np.arange(20) // 2)
    assert found.ci_kind == "bootstrap:clusters"
    assert found.ci_low == -math.inf
    assert found.stderr is None


def test_resamples_on_which_the_statistic_is_undefined_are_left_out() -> None:
    samples = np.array([1.0, 2.0, 3.0])

    def spread_or_nan(rows: np.ndarray) -> float:
        return math.nan if len(set(rows.tolist())) == 1 else float(np.ptp(rows))

    found = of(samples, spread_or_nan)
    assert found.ci_low == 1.0
    assert found.ci_high == 2.0

    def mostly_nan(rows: np.ndarray) -> float:
        return 1.0 if np.array_equal(rows, samples) else math.nan

    assert of(samples, mostly_nan) == Estimate(1.0, n=3)


def test_bad_samples_are_refused() -> None:
    with pytest.raises(InputError, match="needs at least one"):
        of([])
    with pytest.raises(InputError, match="must be zeros and ones"):
        of([0.0, 0.5], "proportion")
    with pytest.raises(InputError, match=r"shape \(n,\), got \(3, 2\)"):
        of(np.zeros((3, 2)))


# ------------------------------------------------------------------------------------ bootstrap


def ratio(rows: np.ndarray) -> float:
    return float(rows[:, 0].mean() / rows[:, 1].mean())


def test_bootstrap_is_that_of_scipy_up_to_its_own_noise() -> None:
    rows = np.random.default_rng(3).normal([2.0, 5.0], 1.0, size=(50, 2))
    found = of(rows, ratio)
    wanted = stats.bootstrap(
        (rows[:, 0], rows[:, 1]),
        lambda a, b, axis: a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert found.value == ratio(rows)
    # The 2.5 % quantile of 2,000 resamples is known to sqrt(0.025 * 0.975 / 2000) / density: about
    # 0.06 standard errors, and the standard error itself to 1 / sqrt(4000), 1.6 %.
    assert found.stderr == pytest.approx(wanted.standard_error, rel=0.07)
    slack = 0.25 * float(wanted.standard_error)
    assert found.ci_low == pytest.approx(wanted.confidence_interval.low, abs=slack)
    assert found.ci_high == pytest.approx(wanted.confidence_interval.high, abs=slack)
    assert found.ci_kind == "bootstrap:samples"


def test_bootstrap_of_clusters_moves_whole_clusters() -> None:
    ids = np.array([5, 5, 5, 1, 1, 9])
    samples = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 100.0])
    seen = []

    def watch(rows: np.ndarray) -> float:
        seen.append(sorted(rows.tolist()))
        return float(rows.mean())

    found = of(samples, watch, ids=ids)
    assert found.ci_kind == "bootstrap:clusters"
    assert len(seen) == RESAMPLES + 1  # and the samples themselves
    for rows in seen[1:]:
        counts = [rows.count(value) for value in samples]
        assert counts[0] == counts[1] == counts[2]
        assert counts[3] == counts[4]
        assert counts[0] + counts[3] + counts[5] == 3


def test_bootstrap_is_decided_by_the_generator() -> None:
    rows = np.random.default_rng(3).normal([2.0, 5.0], 1.0, size=(30, 2))
    for ids in (None, np.arange(30) // 3):
        assert of(rows, ratio, ids, seed=1) == of(rows, ratio, ids, seed=1)
        assert of(rows, ratio, ids, seed=1) != of(rows, ratio, ids, seed=2)


# ------------------------------------------------------------------------------------- coverage


def test_coverage_of_the_mean() -> None:
    rng = np.random.default_rng(11)
    hits = sum(covers(of(rng.normal(1.0, 3.0, 20)), 1.0) for _ in range(REPLICATES))
    assert 0.93 < hits / REPLICATES < 0.97


def test_coverage_of_the_median() -> None:
    rng = np.random.default_rng(12)
    truth = math.log(2.0)  # the median of a standard exponential
    hits = sum(covers(of(rng.exponential(size=101), "median"), truth) for _ in range(REPLICATES))
    # Exact for every continuous distribution: 95.4 % at n = 101.
    exact = 1 - 2 * stats.binom.cdf(stats.binom.ppf(0.025, 101, 0.5) - 1, 101, 0.5)
    assert 0.95 <= exact < 0.96
    assert abs(hits / REPLICATES - exact) < 4 * math.sqrt(0.05 * 0.95 / REPLICATES)
    assert 0.93 < hits / REPLICATES < 0.97


def test_coverage_of_a_proportion() -> None:
    # Wilson's coverage oscillates with p and n (92 % to 98 % here); at p = 0.3, n = 60 it is 94 %.
    p, n = 0.3, 60
    found = [of([1.0] * k + [0.0] * (n - k), "proportion") for k in range(n + 1)]
    exact = sum(stats.binom.pmf(k, n, p) for k in range(n + 1) if covers(found[k], p))
    rng = np.random.default_rng(13)
    hits = sum(covers(found[k], p) for k in rng.binomial(n, p, REPLICATES))
    assert 0.93 < hits / REPLICATES < 0.97
    assert abs(hits / REPLICATES - exact) < 4 * math.sqrt(0.05 * 0.95 / REPLICATES)


def test_coverage_of_a_proportion_on_average_over_p() -> None:
    n, shares = 40, np.linspace(0.02, 0.98, 97)
    found = [of([1.0] * k + [0.0] * (n - k), "proportion") for k in range(n + 1)]
    low = np.array([e.ci_low for e in found], dtype=float)[:, None]
    high = np.array([e.ci_high for e in found], dtype=float)[:, None]
    inside = (low <= shares) & (shares <= high)
    coverage = (stats.binom.pmf(np.arange(n + 1)[:, None], n, shares) * inside).sum(axis=0)
    assert 0.945 < coverage.mean() < 0.96
    assert coverage.min() > 0.83  # where p is near 0 or 1 and the interval just misses it


def test_coverage_of_a_clustered_mean() -> None:
    rng = np.random.default_rng(14)
    sizes = np.tile([2, 3, 4], 10)
    ids = np.repeat(np.arange(30), sizes)
    hits = naive = 0
    for _ in range(REPLICATES):
        samples = rng.normal(size=30)[ids] + 0.5 * rng.normal(size=len(ids))
        hits += covers(of(samples, ids=ids), 0.0)
        naive += covers(of(samples), 0.0)
    assert 0.93 < hits / REPLICATES < 0.97
    assert naive / REPLICATES < 0.85  # what clusters are for


def test_coverage_of_the_bootstrap() -> None:
    rng, replicates = np.random.default_rng(15), 120

    def deviation(rows: np.ndarray) -> float:
        return math.sqrt(float(rows @ rows) / len(rows))

    hits = sum(covers(of(rng.normal(size=60), deviation), 1.0) for _ in range(replicates))
    # Four standard errors of 120 replicates are 8 %; 1 % is what a percentile interval may lack.
    assert hits / replicates > 0.95 - 0.09


# ------------------------------------------------------------------------------------ over seeds


def test_seeds_have_an_interval_from_three_on() -> None:
    assert over_seeds(np.array([2.0])) == Estimate(2.0, n=1)
    assert over_seeds(np.array([2.0, 4.0])) == Estimate(3.0, n=2)
    values = np.array([0.2, 0.5, 0.9, 0.4])
    found = over_seeds(values)
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), rel=1e-12)
    assert (found.ci_kind, found.n) == ("t:seeds", 4)


def test_seeds_with_an_infinite_value_have_none() -> None:
    assert over_seeds(np.array([-np.inf, 1.0, 2.0])) == Estimate(-math.inf, n=3)
