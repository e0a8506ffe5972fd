"""Was a process of sends what its law says? Three tests of one null hypothesis, on gaps that the law turns into exponential ones.

By the time-rescaling theorem (Brown et al. 2002) a point process seen on the clock of its own integrated hazard is a Poisson process
of unit rate. A ramp's clock is Λ(t); a gamma gap's is −ln(1 − F(gap)). So Poisson, gamma and ramps take the same tests:
Kolmogorov–Smirnov of the gaps against Exp(1), index of dispersion of counts, lag-1 autocorrelation of the gaps' ranks under the law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_N = 100
"""Fewer gaps than this are not tested: a p-value of asymptotic laws would mean little."""

BIN_GAPS = 20.0
"""Width of a bin of the dispersion test, in mean gaps."""


@dataclass(frozen=True, slots=True)
class Test:
    """``statistic`` in the test's own units; ``p`` the probability of one at least as extreme under the law."""

    name: str
    statistic: float
    p: float


def ramp_clock(offsets_s: Floats, start_rps: float, end_rps: float, duration_s: float) -> Floats:
    """Λ(t) = a·t + (b − a)·t²/(2T): expected arrivals up to each offset, shape [n]."""
    return start_rps * offsets_s + (end_rps - start_rps) * offsets_s**2 / (2 * duration_s)


def exponential_gaps(gaps: Floats, shape: float = 1.0) -> Floats:
    """Gaps of mean 1 from Gamma(shape, 1/shape) → gaps from Exp(1), through the integrated hazard −ln(1 − F)."""
    if shape == 1.0:
        return gaps
    survival = 1 - gamma_p(shape, np.maximum(gaps, 0.0) * shape)
    return -np.log(np.maximum(survival, 1e-300))


def tests(gaps: Floats) -> list[Test]:
    """The three tests of gaps that should be independent and Exp(1), shape [n]; none for n below LEAST_N."""
    if len(gaps) < LEAST_N:
        return []
    return [kolmogorov_smirnov(gaps), dispersion(gaps), autocorrelation(gaps)]


def kolmogorov_smirnov(gaps: Floats) -> Test:
    """Largest distance between the gaps' empirical distribution and 1 − e^(−x); p by Kolmogorov's series with Stephens'
    (1970) correction for finite n.
    """
    n = len(gaps)
    law = 1 - np.exp(-np.sort(gaps))
    ranks = np.arange(n)
    distance = float(max(np.max((ranks + 1) / n - law), np.max(law - ranks / n)))
    x = distance * (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))
    if x < 0.3:  # the series needs ever more terms, and the answer is 1 to four digits
        return Test("kolmogorov-smirnov", distance, 1.0)
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return Test("kolmogorov-smirnov", distance, min(1.0, max(0.0, p)))


def dispersion(gaps: Floats) -> Test:
    """Variance over mean of the counts in bins of BIN_GAPS; (bins − 1) times it is chi-squared under the law. Two-sided: a
    schedule that was smoothed is as wrong as one that was bunched.
    """
    times = np.cumsum(gaps)
    bins = int(times[-1] // BIN_GAPS)
    if bins < 2:
        return Test("dispersion", math.nan, 1.0)
    counts = np.bincount((times[times < bins * BIN_GAPS] // BIN_GAPS).astype(np.int64), minlength=bins)
    index = float(np.var(counts, ddof=1) / np.mean(counts))
    below = float(gamma_p((bins - 1) / 2, np.array([(bins - 1) * index / 2]))[0])
    return Test("dispersion", index, min(1.0, 2 * min(below, 1 - below)))


def autocorrelation(gaps: Floats) -> Test:
    """Lag-1 correlation of 1 − e^(−gap), which is uniform under the law; normal with mean −1/n and variance 1/n."""
    n = len(gaps)
    u = 1 - np.exp(-gaps)
    u = u - u.mean()
    spread = float(u @ u)
    r = float(u[1:] @ u[:-1]) / spread if spread > 0 else 1.0
    z = (r + 1 / n) * math.sqrt(n)
    return Test("autocorrelation", r, math.erfc(abs(z) / math.sqrt(2)))


def gamma_p(a: float, x: Floats) -> Floats:
    """Regularised lower incomplete gamma function P(a, x), x ≥ 0, shape [n]: x^a e^(−x) Σ x^n / Γ(a + n + 1).

    Every term is positive, so nothing cancels; the sum takes about x − a + 10 √x + 50 terms (Abramowitz & Stegun 6.5.29).
    """
    x = np.asarray(x, dtype=np.float64)
    far = x > a + 40 * math.sqrt(a) + 700  # 1 to the last bit
    inside = np.where(far, 0.0, x)
    term = np.full(x.shape, 1 / a)
    total = term.copy()
    n = 0
    while np.any(term > 1e-16 * total):
        n += 1
        term = term * inside / (a + n)
        total += term
    with np.errstate(divide="ignore"):
        log_head = a * np.log(inside) - inside - math.lgamma(a)
    return np.where(far, 1.0, np.clip(np.exp(log_head) * total, 0.0, 1.0))
