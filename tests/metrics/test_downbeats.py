"""F of downbeats, by hand and by a slow matching."""

from itertools import permutations

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.metrics.downbeats import f_measure


def test_by_hand():
    reference = [0, 2, 4, 6]
    assert f_measure(reference, reference) == 1
    assert f_measure(reference, [0.069, 2.071, 4]) == pytest.approx(2 * (2 / 3 * 1 / 2) / (7 / 6))
    assert f_measure(reference, [1, 3, 5]) == 0
    assert f_measure(reference, []) == 0
    assert np.isnan(f_measure([], reference))


def test_the_first_seconds_count():
    assert f_measure([1.0, 3.0, 7.0], [7.0]) == pytest.approx(0.5)


def test_each_time_serves_once_and_order_is_nothing():
    assert f_measure([1.0], [0.95, 1.05]) == pytest.approx(2 / 3)
    assert f_measure([3, 1, 2], [2, 3, 1]) == 1
    assert f_measure([1, 2, 2], [1, 1, 2]) == 1  # a time that is written twice is one


def test_the_matching_is_the_largest_there_is():
    rng = np.random.default_rng(0)
    for _ in range(50):
        reference, estimate = np.sort(rng.uniform(0, 0.5, 4)), np.sort(rng.uniform(0, 0.5, 5))
        found = max(
            sum(abs(a - b) <= 0.07 for a, b in zip(reference, chosen, strict=True))
            for chosen in permutations(estimate, 4)
        )
        assert f_measure(reference, estimate) == pytest.approx(2 * found / 9)


@pytest.mark.parametrize("times", [[[0.0, 1.0]], [0.0, np.nan]])
def test_what_is_no_list_of_times_is_refused(times):
    with pytest.raises(DataError, match="the estimate holds downbeats that are no times"):
        f_measure([0.0], times)
