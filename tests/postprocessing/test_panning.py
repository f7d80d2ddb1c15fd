"""Grouping by panning: angles worked out by hand, planted sources, real recordings panned by us."""

import numpy as np
import pytest

from nmfab import factorize
from nmfab.base.errors import DataError
from nmfab.base.kinds.cp import CP
from nmfab.metrics.separation import evaluate
from nmfab.postprocessing import STEPS, panning
from nmfab.postprocessing.masking import wiener2
from nmfab.tasks.stft import in_form


def model(gains):
    """Return a factorization with these gains, and templates and activations of ones."""
    gains = np.array(gains, dtype=float)
    return CP(np.ones((3, gains.shape[1])), np.ones((gains.shape[1], 4)), gains)


def grouped(gains, n_sources, power=1, seed=0):
    factorization = gains if isinstance(gains, CP) else model(gains)
    return panning.group_by_panning(
        factorization, n_sources=n_sources, kmeans_seed=seed, power=power
    )


def parted(groups):
    """Return the sets of components that are together."""
    return {tuple(np.flatnonzero(groups == g)) for g in set(groups.tolist()) - {-1}}


def test_directions_by_hand():
    gains = np.array([[3.0, 1.0, 0.0, 9.0], [4.0, 1.0, 2.0, 16.0]])
    half = np.sqrt(0.5)
    expected = [[0.6, 0.8], [half, half], [0, 1]]
    np.testing.assert_allclose(panning.directions(gains[:, :3], 1), expected, atol=1e-15)
    # powers of 9 and 16 are magnitudes of 3 and 4
    np.testing.assert_allclose(panning.directions(gains[:, 3:], 2), [[0.6, 0.8]], atol=1e-15)


def test_components_of_one_direction_are_one_group_whatever_their_loudness():
    gains = [[9, 0.1, 5, 80, 0.2], [1, 0.9, 5, 10, 1.8]]
    for seed in range(3):
        assert parted(grouped(gains, 3, seed=seed)) == {(0, 3), (1, 4), (2,)}
    # the nearest two directions are joined: 6.3° and 7.1°, 83.7°, and 45° on neither side
    assert len(parted(grouped(gains, 2))) == 2
    assert parted(grouped(gains, 1)) == {(0, 1, 2, 3, 4)}


def test_it_hears_angles_and_not_shares():
    """Angles of 5°, 25° and 42°, at power 1: the second is nearer to the third."""
    angles = np.deg2rad([5, 25, 42])
    gains = np.stack([np.cos(angles), np.sin(angles)])
    assert parted(grouped(gains, 2)) == {(0,), (1, 2)}
    # taken for powers, they are 16.5°, 34.3° and 43.5° in magnitude
    assert parted(grouped(gains**2, 2, power=2)) == {(0,), (1, 2)}
    # in shares of power the second would be nearer to the first: 0.01, 0.18, 0.45
    shares = gains[1] ** 2
    assert shares[1] - shares[0] < shares[2] - shares[1]


def test_three_channels():
    gains = np.array([[1, 0.9, 0, 0.1], [0.1, 0, 1, 0.1], [0, 0.1, 0.1, 1]])
    assert parted(grouped(gains, 3)) == {(0, 1), (2,), (3,)}


def test_components_that_are_zero_belong_to_no_group():
    made = model([[9, 9, 1, 1, 0], [1, 1, 9, 9, 0]])
    made.W[:, 1] = 0
    made.H[3] = 0
    found = grouped(made, 2)
    assert found[[1, 3, 4]].tolist() == [-1, -1, -1]
    assert found[0] != found[2]
    made.W[:] = 0
    assert grouped(made, 2).tolist() == [-1] * 5


def test_fewer_directions_than_sources():
    found = grouped([[2, 4, 1], [1, 2, 3]], 3)
    assert parted(found) == {(0, 1), (2,)}
    assert found.max() == 1
    loudness = np.random.default_rng(0).random(20)
    assert grouped(np.outer((0.3, 0.7), loudness), 3).tolist() == [0] * 20  # but for rounding


def test_one_channel_has_no_panning():
    with pytest.raises(DataError, match="one channel"):
        grouped([[1, 1]], 2)


def test_the_plan_says_why_not():
    step = STEPS.find("grouping", "panning")
    assert "mono makes one" in step.skip({"mono": True})
    assert step.skip({"mono": False}) is None
    assert "panning" in step.calls


def panned(signals, degrees):
    """Return images of mono signals at angles, [shape=(sources, 2, samples)]."""
    angles = np.deg2rad(degrees)
    pairs = zip(angles, signals, strict=True)
    return np.stack([np.outer((np.cos(a), np.sin(a)), x) for a, x in pairs]).astype(np.float32)


def estimates(mixture, rank, power, beta, n_sources):
    """Return what NTF, grouping by panning and a Wiener mask make of a mixture."""
    options = {"n_fft": 2048, "hop": 512, "power": power}
    V = in_form(mixture, "channels", **options)
    found = factorize(V, rank, algorithm="ntf", beta=beta, init="random", seed=0, stop=100)
    groups = grouped(found, n_sources, power)
    return wiener2(found, groups=groups, n_groups=n_sources, mixture=mixture, **options)


@pytest.mark.parametrize(("power", "beta"), [(1, 1), (2, 0)])
def test_planted_sources_are_found_by_their_place(power, beta):
    """Three places, two components at each: what is grouped is the image of each place."""
    rng = np.random.default_rng(4)
    angles = np.deg2rad([10, 10, 45, 45, 80, 80])
    gains = np.stack([np.cos(angles), np.sin(angles)]) ** power
    planted = CP(rng.gamma(0.3, size=(40, 6)), rng.gamma(0.3, size=(6, 80)), gains)
    V = planted.reconstruction() + 1e-6
    found = factorize(V, 6, algorithm="ntf", beta=beta, init="random", seed=0, stop=1000)
    images = found.grouped(grouped(found, 3, power), 3)
    for true in planted.grouped(np.repeat(np.arange(3), 2), 3):
        apart = [np.linalg.norm(image - true) / np.linalg.norm(true) for image in images]
        assert min(apart) < 0.1


def test_real_sources_panned_by_gains_are_told_apart(more_samples):
    """One channel of each of three real sources, placed by gains: an instantaneous mixture."""
    import soundfile

    folder = more_samples / "folder" / "sisec08_dev1_nodrums_synthconv_250ms_5cm"
    if not folder.is_dir():
        pytest.skip(f"SiSEC 2008: no folder {folder}")
    sources = [soundfile.read(folder / f"source{k}.wav")[0][:, 0] for k in (1, 2, 3)]
    stems = panned(sources, (15, 45, 75))
    found = estimates(stems.sum(axis=0), 16, 1, 1, 3)
    scores = evaluate(
        stems, found, stems.sum(axis=0), sample_rate=16000, names=["a", "b", "c"],
        present=np.ones(3, dtype=bool), backend="nmfab",
    )  # fmt: skip
    assert scores["si_sdr_gain"] > 5
