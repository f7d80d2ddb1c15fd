import numpy as np
import pytest

from nmfab.base.kinds import LowRank
from nmfab.postprocessing import pitch as naming
from nmfab.postprocessing.pitch import NO_PITCH, unit_columns

RATE, N_FFT = 22050, 2048
KEYS = np.arange(21, 109)


def autocorrelation_pitches(W, *, sample_rate, n_fft, power=1):
    frequencies = np.arange(1 + n_fft // 2) * sample_rate / n_fft
    return naming.autocorrelation_pitches(LowRank(W, None), frequencies=frequencies, power=power)


def fixed_pitches(rank):
    return naming.fixed_pitches(LowRank(None, np.zeros((rank, 1))))


def harmonic_pitches(W, templates):
    return naming.harmonic_pitches(LowRank(W, None), harmonic_templates=templates)


def oracle_pitches(H, intervals, pitches, step):
    notes = {"onsets": intervals[:, 0], "offsets": intervals[:, 1], "pitches": pitches}
    return naming.oracle_pitches(LowRank(None, H), notes=notes, step=step)


def tone_spectra(pitches, *, partials=10, window=2048, n_fft=N_FFT, rate=RATE, tilt=1.0):
    """Windowed spectra of harmonic tones, synthesised in time: nothing of the code under test."""
    time = np.arange(window) / rate
    columns = []
    for pitch in pitches:
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        harmonics = [h for h in range(1, partials + 1) if h * f0 < rate / 2]
        tone = sum(np.sin(2 * np.pi * h * f0 * time + h**2) / h**tilt for h in harmonics)
        columns.append(np.abs(np.fft.rfft(tone * np.hanning(window), n_fft)))
    return np.stack(columns, axis=1)


def test_harmonic_start_has_the_keys_of_a_piano():
    assert fixed_pitches(88).tolist() == KEYS.tolist()  # 21 to 108, where 1 to 88 is no piano
    assert fixed_pitches(90).tolist() == [*KEYS.tolist(), NO_PITCH, NO_PITCH]


def test_autocorrelation_names_every_key_that_the_window_resolves():
    W = tone_spectra(KEYS)
    found = autocorrelation_pitches(W, sample_rate=RATE, n_fft=N_FFT)
    resolved = KEYS >= 33  # three periods of 55 Hz in a window of 93 ms (half of it counts)
    np.testing.assert_array_equal(found[resolved], KEYS[resolved])


def test_autocorrelation_names_every_key_with_a_long_window():
    W = tone_spectra(KEYS, window=8192, n_fft=8192, partials=16)
    found = autocorrelation_pitches(W, sample_rate=RATE, n_fft=8192)
    np.testing.assert_array_equal(found, KEYS)


def test_autocorrelation_hears_a_missing_fundamental():
    time = np.arange(N_FFT) / RATE
    tone = sum(np.sin(2 * np.pi * 220 * h * time) for h in (2, 3, 4, 5))
    W = np.abs(np.fft.rfft(tone * np.hanning(N_FFT)))[:, None]
    assert autocorrelation_pitches(W, sample_rate=RATE, n_fft=N_FFT).tolist() == [57]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_autocorrelation_depends_on_neither_scale_nor_power_nor_rate_of_the_file(scale):
    pitches = np.array([40, 52, 64, 76])
    W = tone_spectra(pitches)
    for spectrum, power in ((W * scale, 1), (W**2 * scale, 2)):
        found = autocorrelation_pitches(spectrum, sample_rate=RATE, n_fft=N_FFT, power=power)
        np.testing.assert_array_equal(found, pitches)
    W = tone_spectra(pitches, window=4096, n_fft=4096, rate=44100)
    found = autocorrelation_pitches(W, sample_rate=44100, n_fft=4096)
    np.testing.assert_array_equal(found, pitches)


@pytest.mark.parametrize("power", [1, 2])
def test_autocorrelation_is_that_of_the_square_of_the_modulus_whatever_the_power(power):
    """Partials of 0.4, 1, 0.4: half the period has 0.68 / 1.32 of the whole one, below 0.85.

    Of the fourth powers it has 0.95 / 1.05, and the second partial would be taken.
    """
    time = np.arange(N_FFT) / RATE
    partials = zip((0.4, 1, 0.4), (220, 440, 660), strict=True)
    tone = sum(a * np.sin(2 * np.pi * f * time) for a, f in partials)
    W = np.abs(np.fft.rfft(tone * np.hanning(N_FFT)))[:, None] ** power
    found = autocorrelation_pitches(W, sample_rate=RATE, n_fft=N_FFT, power=power)
    assert found.tolist() == [57]


def test_a_template_without_periodicity_has_no_pitch():
    silent, flat = np.zeros(1 + N_FFT // 2), np.ones(1 + N_FFT // 2)
    W = np.stack([silent, flat], axis=1)
    found = autocorrelation_pitches(W, sample_rate=RATE, n_fft=N_FFT)
    assert found.tolist() == [NO_PITCH, NO_PITCH]


def test_harmonic_template_most_like():
    dictionary = tone_spectra(KEYS)
    W = np.hstack([tone_spectra([45, 60, 61, 90], tilt=1.3) * 7.0, np.zeros((len(dictionary), 1))])
    assert harmonic_pitches(W, dictionary).tolist() == [45, 60, 61, 90, NO_PITCH]
    # a loud key is no more like it
    assert harmonic_pitches(W[:, :1], dictionary * np.geomspace(1, 1e6, 88)).tolist() == [45]


@pytest.mark.parametrize("step", [0.02, 0.05])
def test_oracle_follows_the_reference(step):
    intervals = step * np.array([[5, 25], [20, 45], [60, 80]])
    pitches = np.array([60, 64, 60])
    H = np.zeros((4, 100))
    H[0, 20:45] = 3.0  # sounds with 64
    H[1, [*range(5, 25), *range(60, 80)]] = 0.1  # with 60, faint
    H[2] = 1.0  # always
    H[3, 85:] = 1.0  # where nothing is annotated
    assert oracle_pitches(H, intervals, pitches, step).tolist() == [64, 60, NO_PITCH, NO_PITCH]
    assert oracle_pitches(H, np.zeros((0, 2)), np.zeros(0), step).tolist() == [NO_PITCH] * 4


def test_unit_columns_leave_empty_ones():
    W, norms = unit_columns(np.array([[3.0, 0.0], [4.0, 0.0]]))
    assert norms.tolist() == [5.0, 0.0]
    np.testing.assert_allclose(W, [[0.6, 0], [0.8, 0]])


def test_salience_is_the_product_of_unit_templates_and_the_spectrogram():
    templates, V = tone_spectra(KEYS), np.random.default_rng(0).random((1 + N_FFT // 2, 7))
    found = naming.salience(V, harmonic_templates=3 * templates)
    unit = templates / np.linalg.norm(templates, axis=0)
    np.testing.assert_allclose(found.W, unit)
    np.testing.assert_allclose(found.H, unit.T @ V)
