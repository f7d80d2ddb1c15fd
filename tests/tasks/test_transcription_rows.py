"""Rows of transcription worked out by hand, on files whose rate is not the one asked for."""

import librosa
import numpy as np
import pytest
from tasks import made
from tasks.conftest import NOTES, RATE, played

STFT, PITCHES, ESTIMATE = "features.stft", "postprocessing.pitches", "postprocessing.estimate"
KEYS = np.arange(21, 109)


@pytest.fixture
def bench(registered, tmp_path):
    """A function that writes a piece and isolated notes, and returns its bench."""

    def make(notes=NOTES, seconds=2.2, isolated=None, timbre="piano", loudness=None, **base):
        folder = tmp_path / "data" / "made"
        made.write(folder, "song", **played(notes, seconds, timbre, loudness=loudness))
        for instrument, pitches in (isolated or {}).items():
            for pitch in pitches:
                note = played([(0.1, 0.5, pitch)], 0.7, instrument)
                made.write(folder, f"isolated/{instrument}_{pitch:03}", **note)
        small = {"sample_rate": 8000, "window": 800, "n_fft": 1024, "hop": 80, "excerpt": 1.5}
        return made.Bench("transcription", tmp_path, **{**small, "stop": 60, "seed": 1, **base})

    return make


def found(bench, **given):
    """Return the notes of a setting as (onset in s, pitch), rounded to 0.1 s."""
    notes = bench.arrays(ESTIMATE, **given)
    return [
        (round(float(o), 1), int(p)) for o, p in zip(notes["onsets"], notes["pitches"], strict=True)
    ]


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("rate", [8000, None])
def test_spectrogram_is_librosas_at_the_rate_asked_for(transcription, rate, power):
    given = {"sample_rate": rate, "power": power, "baseline": "salience"}
    stft = transcription.arrays(STFT, **given)
    import soxr

    samples = played(NOTES, 2.2)["audio"]["samples"][0, : round(1.5 * RATE)]
    samples = samples if rate is None else soxr.resample(samples, RATE, rate, "HQ")
    expected = np.abs(librosa.stft(samples, n_fft=1024, hop_length=80, win_length=800))
    np.testing.assert_allclose(stft["V"], expected**power, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(stft["frequencies"], np.arange(513) * (rate or RATE) / 1024)
    assert stft["step"] == pytest.approx(80 / (rate or RATE))
    assert stft["duration"] == pytest.approx(1.5, abs=1e-3)


def test_channels_are_averaged_before_the_transform(bench, tmp_path):
    """3 and −1 are 1 on average; of magnitudes it would be 2."""
    made_up = bench()
    parts = played(NOTES, 2.2)
    mono = made_up.arrays(STFT, baseline="salience")["V"]
    once = parts["audio"]["samples"]
    parts["audio"]["samples"] = np.concatenate([3 * once, -once])
    made.write(tmp_path / "data" / "made", "stereo", audio=parts["audio"], notes=parts["notes"])
    stereo = made_up.arrays(STFT, "stereo", baseline="salience")["V"]
    np.testing.assert_allclose(stereo, mono, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [8000, None])
def test_harmonic_templates_lie_at_the_frequencies_of_v(bench, rate):
    """One tone of 440 Hz is MIDI 69 whatever the file's rate: by start, by likeness, by period."""
    made_up = bench([(0.2, 1.4, 69)], sample_rate=rate, stop=40)
    W = made_up.arrays("nmf.factorize")["W"]
    bins = W[:, 69 - 21].argmax() * (rate or RATE) / 1024
    assert bins == pytest.approx(440, abs=12)
    notes = found(made_up, threshold=0.5)
    assert notes[0] == (0.2, 69)
    assert {pitch for _, pitch in notes} == {69}
    for pitch in ("harmonic", "autocorrelation"):
        given = {"init": "nndsvda", "rank": 1, "pitch": pitch}
        assert made_up.arrays(PITCHES, **given)["pitches"].tolist() == [69]


@pytest.mark.parametrize("power", [1, 2])
def test_autocorrelation_knows_the_power(bench, power):
    """Partials of .4, 1 and .3: at half the period the sum of squares is .6, of fourth powers .94.

    Shorter periods are taken from .85 on: squares of a power spectrogram would be an octave off.
    """
    made_up = bench([(0.2, 1.4, 57)], timbre="octave", power=power, init="nndsvda", rank=1)
    assert made_up.arrays(PITCHES, pitch="autocorrelation")["pitches"].tolist() == [57]


def test_salience_is_the_product_of_unit_templates_and_spectrogram(transcription):
    given = {"baseline": "salience"}
    V, found = (transcription.arrays(n, **given) for n in (STFT, "postprocessing.baseline"))
    np.testing.assert_allclose(np.linalg.norm(found["W"], axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(found["H"], found["W"].T @ V["V"], rtol=1e-4, atol=1e-4)
    peaks = found["W"].argmax(axis=0) * 8000 / 1024
    middle = slice(48 - 21, 84 - 21)
    expected = 440 * 2 ** ((KEYS - 69) / 12)
    assert (np.abs(peaks - expected) < 4 + 0.0289 * expected)[middle].all()  # half a semitone
    assert transcription.arrays(PITCHES, **given)["pitches"].tolist() == KEYS.tolist()


def test_dictionary_of_one_instrument(transcription):
    """Each template is that of the instrument: for β = 1 the sum over a note's frames."""
    for instrument in ("piano", "flute"):
        learned = transcription.arrays("nmf.dictionary", dictionary=instrument)
        assert learned["pitches"].tolist() == [60, 62, 67, 72]
        for pitch, w in zip(learned["pitches"], learned["W"].T, strict=True):
            V = note_spectrum(instrument, pitch)
            expected = V.sum(axis=1) / np.linalg.norm(V.sum(axis=1))
            np.testing.assert_allclose(w, expected, atol=2e-3)
    everything = transcription.arrays("nmf.dictionary", dictionary="isolated")
    assert everything["pitches"].tolist() == [60, 61, 62, 67, 68, 72, 73]
    # pitch 60 by two instruments: learned from both together
    both = np.hstack([note_spectrum(i, 60) for i in ("flute", "piano")]).sum(axis=1)
    np.testing.assert_allclose(everything["W"][:, 0], both / np.linalg.norm(both), atol=2e-3)


def note_spectrum(instrument, pitch, power=1):
    """Return the magnitudes of the frames of an isolated note, from 0.1 to 0.5 s."""
    import soxr

    samples = played([(0.1, 0.5, pitch)], 0.7, instrument)["audio"]["samples"][0]
    samples = soxr.resample(samples, RATE, 8000, "HQ")
    V = np.abs(librosa.stft(samples, n_fft=1024, hop_length=80, win_length=800)) ** power
    return V[:, 10:51]


def test_beta_decides_what_an_isolated_note_teaches(transcription):
    """β = 2 is the leading singular vector, β = 1 the sum over frames: partials decay unequally."""
    V = note_spectrum("piano", 60)
    leading = np.abs(np.linalg.svd(V)[0][:, 0])
    total = V.sum(axis=1) / np.linalg.norm(V.sum(axis=1))
    learned = {
        beta: transcription.arrays("nmf.dictionary", dictionary="piano", beta=beta)["W"][:, 0]
        for beta in (1, 2)
    }
    np.testing.assert_allclose(learned[2], leading, atol=1e-3)
    np.testing.assert_allclose(learned[1], total, atol=1e-3)
    assert np.abs(leading - total).max() > 4e-3


@pytest.mark.parametrize("power", [1, 2])
def test_a_threshold_is_one_of_magnitudes(bench, power):
    """A note of three tenths of the loudest is above .15 and below .5, whatever the power."""
    notes = [(0.2, 0.5, 60), (0.8, 1.1, 67)]
    made_up = bench(notes, isolated={"piano": (60, 67)}, loudness=(0.3, 0.09))
    given = {"dictionary": "piano", "power": power, "gap": 0.0}
    assert found(made_up, **given, threshold=0.15) == [(0.2, 60), (0.8, 67)]
    assert found(made_up, **given, threshold=0.5) == [(0.2, 60)]


def test_onset_tolerance_decides_what_is_right(bench, tmp_path):
    notes = [(0.2, 0.5, 60), (0.8, 1.1, 67)]
    made_up = bench(notes, isolated={"piano": (60, 67)}, dictionary="piano", threshold=0.2)
    late = played(notes, 2.2)["notes"]
    late["onsets"] = late["onsets"] + 0.08
    made.write(tmp_path / "data" / "made", "song", notes=late)
    assert made_up.scores(onset_tolerance=0.05)["F"] == 0
    assert made_up.scores(onset_tolerance=0.15)["F"] == 1
    # the oracle's thresholds have the same tolerance: with nothing right it takes no note
    oracle = {"thresholding": "oracle"}
    assert found(made_up, **oracle, onset_tolerance=0.05) == []
    assert found(made_up, **oracle, onset_tolerance=0.15) == [(0.2, 60), (0.8, 67)]


def test_semitones_pass_with_the_unit_of_older_figures(transcription):
    given = {"dictionary": "sharp", "threshold": 0.2}
    assert transcription.scores(**given, pitch_unit="hz")["F"] == 0
    assert transcription.scores(**given, pitch_unit="midi")["F"] > 0
    assert transcription.scores(**given)["recall_ceiling"] == 0


def test_oracles_do_not_hear_of_notes_behind_the_excerpt(bench, tmp_path):
    """A pitch that is played after the excerpt alone names no template and moves no threshold."""
    inside = [note for note in NOTES if note[0] < 1.5]
    options = {"init": "nndsvda", "rank": 4}
    for given in ({"pitch": "oracle", **options}, {"thresholding": "oracle"}):
        many = bench(**given)
        with_later = {name: many.arrays(name) for name in (PITCHES, ESTIMATE)}
        made.write(tmp_path / "data" / "made", "song", notes=played(inside, 2.2)["notes"])
        many.anew()
        without = {name: many.arrays(name) for name in (PITCHES, ESTIMATE)}
        for name in with_later:
            assert made.same(with_later[name], without[name])
        assert many.scores()["reference_notes"] == len(inside)


def test_many_notes_behind_the_excerpt_leave_the_oracles_thresholds(bench):
    """Twenty notes behind the excerpt would make every false one look cheap."""
    later = [(1.6 + 0.02 * k, 1.61 + 0.02 * k, 30 + k) for k in range(20)]
    short = [note for note in NOTES if note[0] < 1.5]
    first = bench(short, thresholding="oracle")
    thresholds = found(first)
    second = bench(short, thresholding="oracle")
    assert thresholds == found(second)
    third = bench([*short, *later], loudness=[0.2] * 4 + [0.0] * 20, thresholding="oracle")
    third.anew()
    assert found(third) == thresholds


def test_oracle_names_a_template_by_what_sounds_when_it_does(bench):
    """Two tones that take turns: each template gets the pitch annotated then, be it false."""
    made_up = bench([(0.2, 0.6, 60), (0.8, 1.3, 67)], init="nndsvda", rank=2, pitch="oracle")
    W = made_up.arrays("nmf.factorize")["W"]
    low = W.argmax(axis=0) * 8000 / 1024 < 330
    assert made_up.arrays(PITCHES)["pitches"].tolist() == np.where(low, 60, 67).tolist()


def test_fixed_adaptive_gap_and_shortest(bench):
    """A repeated note, a short one, and a pause of 60 ms."""
    notes = [(0.2, 0.6, 60), (0.66, 1.0, 60), (1.2, 1.26, 67)]
    made_up = bench(notes, isolated={"piano": (60, 67)}, dictionary="piano", threshold=0.25)
    both = [(0.2, 60), (0.7, 60)]
    assert found(made_up, shortest=0.2) == both
    assert [n for n in found(made_up, shortest=0.03) if n[1] == 67]
    assert found(made_up, shortest=0.2, thresholding="adaptive", average=0.1) == both


def test_rows_count_their_notes_and_the_length_of_the_excerpt(transcription):
    given = {"dictionary": "piano", "threshold": 0.2}
    notes = transcription.arrays(ESTIMATE, **given)
    scores = transcription.scores(**given)
    assert float(notes["duration"]) == pytest.approx(1.5, abs=1e-3)
    assert notes["available"].tolist() == [60, 62, 67, 72]
    assert scores["notes"] == len(notes["onsets"])
    assert scores["reference_notes"] == 4
    assert scores["recall_ceiling"] == 1
    assert scores["F"] == 1
    assert abs(scores["onset_deviation"]) < 0.03
    sound = transcription.sound(**given)
    assert sound["samples"].shape[-1] == pytest.approx(1.5 * sound["sample_rate"], abs=30)
    assert sound["names"].tolist() == ["notes"]
