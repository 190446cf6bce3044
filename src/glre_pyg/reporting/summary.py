"""Mean and standard deviation over runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev


@dataclass(frozen=True)
class Summary:
    """A number over several runs.

    Args:
        mean: Its mean, in percent.
        deviation: Sample standard deviation (n - 1); None with one run.
        count: Number of runs.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Summary | None:
        """The summary of a number of each run; None where a run lacks it.

        Example:
            >>> print(Summary.of([60.0, 62.0]), "|", Summary.of([60.0]))
            61.00 ± 1.41 | 60.00 ± -
        """
        known = list(values)
        numbers = [value for value in known if value is not None]
        if not numbers or len(numbers) < len(known):
            return None
        return cls(fmean(numbers), stdev(numbers) if len(numbers) > 1 else None, len(numbers))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {'-' if self.deviation is None else f'{self.deviation:.2f}'}"


def difference_error(first: Summary, second: Summary) -> float | None:
    """Standard error of the difference of two means, sqrt(s1²/n1 + s2²/n2); None where one has one run."""
    if first.deviation is None or second.deviation is None:
        return None
    return sqrt(first.deviation**2 / first.count + second.deviation**2 / second.count)
