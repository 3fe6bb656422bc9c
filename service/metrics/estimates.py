"""What a few numbers say about others: means and differences with their 95 % intervals, in closed form.

Student's t throughout, and Welch's for a difference; nothing is drawn at random, so that the same rows
always give the same answer.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

# With fewer images nothing is said; from more than the window only the newest count.
FEWEST, WINDOW = 10, 50

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and the interval that holds the true one 95 times in 100."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Estimate":
        """The same in other units."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Moments:
    """How many numbers there are, their sum and the sum of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> "Moments":
        return cls(len(values), math.fsum(values), math.fsum(value * value for value in values))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Of the population that they are a sample of."""
        spread = self.squares - self.total * self.total / self.count
        return max(spread, 0.0) / (self.count - 1)


def rest(groups: Iterable[tuple[Moments, int]]) -> Estimate:
    """The sum over images to come, from each group's (recent images, number to come).

    The interval holds both that the mean is known from a few images only and that images differ:
    R to come after n have a variance of s²(R²/n + R). What is negative is cut off: work is not.
    """
    value, variance, freedom = 0.0, 0.0, math.inf
    for recent, to_come in groups:
        value += recent.mean * to_come
        variance += recent.variance * (to_come * to_come / recent.count + to_come)
        freedom = min(freedom, recent.count - 1)
    reach = _t(freedom) * math.sqrt(variance)
    return Estimate(value, max(value - reach, 0.0), value + reach)


def difference(one: Moments, other: Moments) -> Estimate:
    """The mean of ``one`` less that of ``other``, with Welch's interval."""
    a, b = one.variance / one.count, other.variance / other.count
    value = one.mean - other.mean
    if a + b == 0:
        return Estimate(value, value, value)
    freedom = (a + b) ** 2 / (a * a / (one.count - 1) + b * b / (other.count - 1))
    reach = _t(freedom) * math.sqrt(a + b)
    return Estimate(value, value - reach, value + reach)


def _t(freedom: float) -> float:
    """The 97.5th percentile of Student's t, to 0.001 from nine degrees of freedom on (Fisher's expansion)."""
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
