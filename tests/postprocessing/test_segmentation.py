"""Segments that no similarity enters, by hand."""

import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.postprocessing.segmentation import oracle, regular, snapped

EDGES = np.array([0.5, 2.5, 4.5, 6.5, 8.5, 10.5])  # five bars of two seconds


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (1, [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]),
        (2, [0.5, 4.5, 8.5, 10.5]),
        (5, [0.5, 10.5]),
        (9, [0.5, 10.5]),
    ],
)
def test_regular_segments_end_with_the_last_bar(bars, expected):
    assert regular(EDGES, bars=bars).tolist() == expected


def test_segments_without_bars_are_refused():
    with pytest.raises(UsageError, match="segments of 0 bars"):
        regular(EDGES, bars=0)


def test_boundaries_are_snapped_to_the_nearest_edge_each_edge_once():
    assert snapped([0.4, 0.9, 3.5, 3.6, 6.4, 40], EDGES).tolist() == [0, 1, 2, 3, 5]


def test_the_oracle_snaps_the_reference_to_bars_or_to_zero():
    intervals = np.array([[0.0, 0.3], [0.3, 4.4], [4.4, 4.6], [4.6, 11.0]])
    # 0 and 0.3: 0.5 is nearer to 0.3; 4.4 and 4.6 lie at one bar
    assert oracle(EDGES, sections={"intervals": intervals}).tolist() == [0, 0.5, 4.5, 10.5]
