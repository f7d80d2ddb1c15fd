"""Features against librosa, frames against the whole spectrogram, bars against as_seg's matrix."""

from functools import partial
from itertools import pairwise

import librosa
import numpy as np
import pytest

from nmfab.base.errors import DataError, UsageError
from nmfab.base.spectrum import frame_count, magnitudes, resample, to_mono
from nmfab.datasets.audio import read_audio
from nmfab.features import FEATURES, bars
from nmfab.features.barwise import bar_frames, barwise
from nmfab.features.chroma import chroma
from nmfab.features.log_mel import nn_log_mel
from nmfab.features.mel import mel


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).standard_normal(30000).astype(np.float32)


def _all(samples, frames, n_fft, hop):
    return np.concatenate(list(magnitudes(samples, frames, n_fft=n_fft, hop=hop)), axis=1)


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 32), (512, 100), (1000, 333)])
def test_chosen_frames_are_columns_of_librosas_stft(noise, n_fft, hop):
    whole = np.abs(librosa.stft(noise, n_fft=n_fft, hop_length=hop))
    count = frame_count(len(noise), hop)
    assert whole.shape[1] == count
    frames = np.random.default_rng(1).integers(0, count, 700)  # more than a chunk, unordered
    frames[:2] = 0, count - 1
    np.testing.assert_allclose(_all(noise, frames, n_fft, hop), whole[:, frames], atol=1e-4)


def test_frames_outside_the_signal_are_refused(noise):
    with pytest.raises(UsageError, match="of a signal that has 301"):
        next(magnitudes(noise, np.array([301]), n_fft=512, hop=100))
    with pytest.raises(UsageError):
        next(magnitudes(noise, np.array([-1]), n_fft=512, hop=100))


@pytest.mark.parametrize("rate", [22050, 44100])
def test_mel_is_librosas_at_the_rate_of_the_signal(noise, rate):
    ours = mel(np.abs(librosa.stft(noise)), sample_rate=rate, n_fft=2048, fmax=10000)
    theirs = librosa.feature.melspectrogram(y=noise, sr=rate, n_mels=80, fmin=80, fmax=10000)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_a_tone_stands_in_the_band_of_its_frequency():
    for rate in (22050, 44100):
        tone = np.sin(2 * np.pi * 3000 * np.arange(rate) / rate)
        energies = mel(np.abs(librosa.stft(tone)), sample_rate=rate, n_fft=2048, fmax=10000)
        centres = librosa.mel_frequencies(82, fmin=80, fmax=10000)[1:-1]
        assert abs(centres[energies.sum(axis=1).argmax()] - 3000) < 150


def test_mel_bands_above_half_the_rate_are_refused(noise):
    with pytest.raises(UsageError, match="16000 Hz of the mel bands is above half the sample rate"):
        mel(np.ones((1025, 1)), sample_rate=22050, n_fft=2048)


def test_nn_log_mel_is_log1p_of_mel(noise):
    spectrum = np.abs(librosa.stft(noise))
    expected = np.log1p(mel(spectrum, sample_rate=44100, n_fft=2048))
    np.testing.assert_array_equal(nn_log_mel(spectrum, sample_rate=44100, n_fft=2048), expected)
    assert not nn_log_mel(np.zeros((1025, 2)), sample_rate=44100, n_fft=2048).any()


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize(
    "given",
    [{"n_mels": 17}, {"fmin": 700}, {"fmax": 3000}, {"power": 1}, {"n_mels": 9, "fmin": 0}],
)
def test_every_keyword_of_the_mel_bands_is_librosas(noise, rate, given):
    given = {"fmax": 7000} | given
    spectrum = np.abs(librosa.stft(noise, n_fft=1024))
    options = {"n_mels": 80, "fmin": 80, "power": 2} | given
    theirs = librosa.feature.melspectrogram(y=noise, sr=rate, n_fft=1024, hop_length=256, **options)
    ours = mel(spectrum, sample_rate=rate, n_fft=1024, **given)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    logarithms = nn_log_mel(spectrum, sample_rate=rate, n_fft=1024, **given)
    np.testing.assert_allclose(logarithms, np.log1p(theirs), rtol=1e-4, atol=1e-6)


def test_defaults_of_the_bands_are_those_of_grill_and_schlueter():
    for name in ("mel", "nn_log_mel"):
        assert FEATURES[name].defaults == {"n_mels": 80, "fmin": 80, "fmax": 16000, "power": 2}
    assert FEATURES["chroma"].defaults == {"tuning": 0, "normalized": True}


@pytest.mark.parametrize("name", FEATURES.names())
def test_every_keyword_of_a_feature_changes_what_it_gives(noise, name):
    values = {"n_mels": 40, "fmin": 500, "fmax": 9000, "power": 1, "tuning": 0.4}
    values["normalized"] = False
    feature = FEATURES[name]
    spectrum = np.abs(librosa.stft(noise))
    usual = feature.function(spectrum, sample_rate=44100, n_fft=2048)
    for keyword, default in feature.defaults.items():
        given = feature.function(
            spectrum, sample_rate=44100, n_fft=2048, **{keyword: values[keyword]}
        )
        assert given.shape != usual.shape or not np.allclose(given, usual, rtol=0.01)
        same = feature.function(spectrum, sample_rate=44100, n_fft=2048, **{keyword: default})
        np.testing.assert_array_equal(same, usual)


def test_chroma_not_normalized_is_the_energy_and_normalized_has_a_peak_of_one(noise):
    spectrum = np.abs(librosa.stft(noise)) * np.linspace(0.5, 3, 59)
    energy = chroma(spectrum, sample_rate=22050, n_fft=2048, normalized=False)
    weights = librosa.filters.chroma(sr=22050, n_fft=2048, tuning=0)
    np.testing.assert_allclose(energy, weights @ spectrum**2, rtol=1e-4)
    shares = chroma(spectrum, sample_rate=22050, n_fft=2048)
    np.testing.assert_allclose(shares, energy / energy.max(axis=0), rtol=1e-5)


def test_chroma_is_librosas_with_the_tuning_given(noise):
    spectrum = np.abs(librosa.stft(noise))
    theirs = librosa.feature.chroma_stft(S=spectrum**2, sr=22050, n_fft=2048, tuning=0.2)
    ours = chroma(spectrum, sample_rate=22050, n_fft=2048, tuning=0.2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert not chroma(np.zeros((1025, 2)), sample_rate=22050, n_fft=2048).any()


def test_chroma_of_a_is_the_tenth_class():
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    energies = chroma(np.abs(librosa.stft(tone, n_fft=8192)), sample_rate=44100, n_fft=8192)
    assert (energies[:, 2:-2].argmax(axis=0) == 9).all()


@pytest.mark.parametrize("name", ["mel", "nn_log_mel", "chroma"])
def test_features_work_column_by_column_in_either_precision(noise, name):
    function = partial(FEATURES[name].function, sample_rate=44100, n_fft=2048)
    spectrum = np.abs(librosa.stft(noise))
    whole = function(spectrum)
    assert whole.dtype == np.float32
    assert (whole >= 0).all()
    np.testing.assert_allclose(function(spectrum[:, 5:6]), whole[:, 5:6], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(function(spectrum.astype(float)), whole, rtol=1e-4, atol=1e-6)


def test_bar_frames_by_hand():
    # bars of 1 s and 2 s, hop 0.1 s, four instants: every 2.5 and 5 frames, halves to even
    frames = bar_frames(
        np.array([0.5, 1.5, 3.5]), subdivision=4, hop=100, sample_rate=1000, n_samples=4000
    )
    np.testing.assert_array_equal(frames, [[5, 8, 10, 12], [15, 20, 25, 30]])


def test_instants_past_the_end_take_the_last_frame():
    frames = bar_frames(
        np.array([0, 5.0]), subdivision=5, hop=100, sample_rate=1000, n_samples=3000
    )
    np.testing.assert_array_equal(frames, [[0, 10, 20, 30, 30]])


@pytest.mark.parametrize("edges", [[], [1.0], [1.0, 1.0], [2.0, 1.0], [-1.0, 1.0], [1.0, 4.0, 5.0]])
def test_bars_that_are_none_are_refused(edges):
    with pytest.raises(UsageError):
        bar_frames(np.array(edges), subdivision=4, hop=100, sample_rate=1000, n_samples=4000)


def test_barwise_is_taken_from_the_whole_spectrogram():
    rate, hop, subdivision = 44100, 32, 96
    samples = np.random.default_rng(2).standard_normal(4 * rate).astype(np.float32)
    edges = np.array([0.3, 1.21, 2.5, 3.999])
    feature = partial(nn_log_mel, sample_rate=rate, n_fft=2048)
    V = barwise(
        samples, edges, feature, sample_rate=rate, n_fft=2048, hop=hop, subdivision=subdivision
    )
    assert V.shape == (80 * subdivision, 3)  # one column per bar, no more and no fewer

    whole = np.log1p(
        librosa.feature.melspectrogram(
            y=samples, sr=rate, n_fft=2048, hop_length=hop, n_mels=80, fmin=80, fmax=16000
        )
    )
    for bar, (start, end) in enumerate(pairwise(edges)):
        first, last = round(start * rate / hop), round(end * rate / hop)
        for k in range(subdivision):
            column = whole[:, round(first + k * (last - first) / subdivision)]
            np.testing.assert_allclose(V[k::subdivision, bar], column, rtol=1e-3, atol=1e-5)


def test_barwise_equals_as_seg_on_a_real_song(samples):
    peer = samples / "peer/structure"
    theirs = np.load(peer / "barwise_nn_log_mel_hop32_subdiv96_madmombars.npy")
    madmom = np.load(peer / "bars_madmom.npy")
    edges = np.append(madmom[1:, 0], madmom[-1, 1])  # as_seg leaves out a first bar from 0
    feature = partial(nn_log_mel, sample_rate=44100, n_fft=2048)

    def of(path):
        audio = read_audio(samples / path)
        mono = resample(to_mono(audio["samples"]), audio["sample_rate"], 44100)
        V = barwise(mono, edges, feature, sample_rate=44100, n_fft=2048, hop=32, subdivision=96)
        return V.T * 10 / np.log(10)  # theirs is in dB

    def distance(ours):
        return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)

    assert distance(of("salami/audio/176.mp3")) < 2e-6
    assert distance(of("rwcpop/audio/rwc-p-m01/1.wav")) < 0.005  # the same at 22.05 kHz


def test_bars_begin_at_downbeats_and_the_last_one_ends_with_the_signal():
    times, positions = np.arange(0.5, 8, 0.5), np.arange(15) % 4 + 1
    edges = bars.annotated_bars(times, positions, 8.0)
    np.testing.assert_allclose(edges, [0.5, 2.5, 4.5, 6.5, 8.0])


def test_a_rest_below_a_quarter_of_a_bar_joins_the_last_bar():
    downbeats = np.array([1.0, 3.0, 5.0])
    np.testing.assert_allclose(bars.edges_from_downbeats(downbeats, 5.49), [1, 3, 5.49])
    np.testing.assert_allclose(bars.edges_from_downbeats(downbeats, 5.5), [1, 3, 5, 5.5])


def test_a_bar_is_as_long_as_the_median_however_long_one_pause_is():
    downbeats = np.array([0.0, 1.0, 2.0, 3.0, 20.0])  # the median bar has 1 s, the mean 5 s
    np.testing.assert_allclose(bars.edges_from_downbeats(downbeats, 20.25), [0, 1, 2, 3, 20, 20.25])
    np.testing.assert_allclose(bars.edges_from_downbeats(downbeats, 20.24), [0, 1, 2, 3, 20.24])


def test_bars_of_several_metres_begin_where_the_annotation_says():
    positions = np.array([3, 1, 2, 3, 1, 2, 1, 2, 3, 4])
    edges = bars.annotated_bars(np.arange(10) * 0.5, positions, 6.0)
    np.testing.assert_allclose(edges, [0.5, 2, 3, 6])


def test_downbeats_outside_the_audio_are_left_out_and_logged(caplog):
    edges = bars.edges_from_downbeats(np.array([-0.2, 1.0, 3.0, 3.0, 9.0]), 4.0)
    np.testing.assert_allclose(edges, [1, 3, 4])
    assert "2 downbeats lie outside the audio" in caplog.text
    with pytest.raises(DataError, match="none of 1 downbeats lies within"):
        bars.edges_from_downbeats(np.array([9.0]), 4.0)


@pytest.mark.parametrize("phase", range(4))
def test_downbeats_are_where_chroma_changes(phase):
    beats = np.arange(10, 10 + 17 * 10, 10)
    chroma = np.zeros((12, 200))
    for beat in range(17):
        chroma[(beat - phase) // 4 % 12, beats[beat] : beats[beat] + 10] = 1
    assert bars.strongest_phase(chroma, beats) == phase


def test_the_phase_with_the_largest_mean_change_wins_and_before_the_first_beat_is_none():
    # Phase 1 has beats 1 and 5: a mean of 0.3 and a sum of 0.6; phase 2 has beat 2 alone: 0.4.
    # The change of 1 at beat 0 is from what is no beat: with it phase 0 would have a mean of 0.5.
    turns = {0: 1.0, 1: 0.3, 2: 0.4, 3: 0.1, 4: 0.0, 5: 0.3}  # cosine distance to the beat before
    vector, columns = np.zeros(12), []
    vector[0] = 1
    columns += [vector] * 10
    for beat, change in turns.items():
        vector = (1 - change) * vector
        vector[beat + 1] = np.sqrt(1 - (1 - change) ** 2)
        columns += [vector] * 10
    chroma = np.array(columns).T
    assert bars.strongest_phase(chroma, np.arange(10, 70, 10)) == 2


@pytest.mark.parametrize("rate", [11025, 44100])
def test_estimated_bars_are_in_seconds_at_every_rate(rate):
    edges = bars.estimated_bars(_metronome(rate)[None], rate)
    np.testing.assert_allclose(np.diff(edges[1:-1]), 2.0, atol=0.1)
    assert edges[-1] == 20
    assert len(edges) in (10, 11, 12)


def _metronome(rate):
    """Return 20 s of beats at 120 a minute, of another pitch every four."""
    samples, times = np.zeros(20 * rate, dtype=np.float32), np.arange(rate // 8) / rate
    for beat in range(39):
        pitch = 220 * 2 ** ((beat // 4 * 5 % 12) / 12)
        start = int((0.25 + beat / 2) * rate)
        samples[start : start + len(times)] += np.sin(2 * np.pi * pitch * times) * np.exp(
            -times * 30
        )
    return samples


def test_silence_and_a_few_samples_have_no_beats():
    for samples in (np.zeros((1, 220500)), np.zeros((2, 3)), np.ones((1, 100))):
        with pytest.raises(DataError, match="0 beats were found, too few for a bar"):
            bars.estimated_bars(samples.astype(np.float32), 22050)


def test_estimated_bars_follow_the_clicks_of_a_metronome():
    rate, period = 22050, 0.5
    samples = np.zeros(30 * rate, dtype=np.float32)
    time = np.arange(2000) / rate
    for beat in range(59):
        pitch = 220 * 2 ** ((beat // 4 * 5 % 12) / 12)  # another note every four beats
        start = int((0.25 + beat * period) * rate)
        samples[start : start + 2000] += np.sin(2 * np.pi * pitch * time) * np.exp(-time * 30)
    edges = bars.estimated_bars(samples[None], rate)
    inner = edges[1:-1]
    np.testing.assert_allclose(np.diff(inner), 4 * period, atol=0.1)
    late = (inner - 0.25) % (4 * period)
    assert np.minimum(late, 4 * period - late).max() < 0.1


def test_chords_are_told_apart_by_chroma_of_440_hz_whatever_the_tuning(monkeypatch):
    """A tuning estimated per recording would make bars depend on what else it holds."""
    asked, chroma_stft = [], librosa.feature.chroma_stft
    monkeypatch.setattr(
        librosa.feature, "chroma_stft", lambda **given: asked.append(given) or chroma_stft(**given)
    )
    bars.estimated_bars(_metronome(22050)[None], 22050)
    assert [(given["tuning"], given["sr"]) for given in asked] == [(0, 22050)]
