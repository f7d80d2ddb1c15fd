"""Rows of separation worked out by hand, on excerpts that begin at 0.37 s of stereo stems."""

import librosa
import numpy as np
import pytest
from tasks import made

from nmfab.metrics.separation import museval_module
from nmfab.plan.grid import Setting

RATE, START, DURATION = 6000, 0.37, 0.8
N_FFT, HOP = 256, 64


@pytest.fixture
def bench(registered, tmp_path):
    """A function that writes a song of given stems, and returns its bench."""

    def make(stems, names=None, mixture=None, **base):
        stems = np.asarray(stems, dtype=np.float32)
        names = ["drums", "bass", "other", "vocals"][: len(stems)] if names is None else names
        mixture = stems.sum(axis=0) if mixture is None else mixture
        made.write(
            tmp_path / "data" / "made",
            "song",
            audio={"samples": mixture, "sample_rate": RATE},
            stems={"samples": stems, "names": np.array(names), "sample_rate": RATE},
        )
        small = {"n_fft": N_FFT, "hop": HOP, "stop": 60, "init": "random", "rank": 6}
        where = {"start": START, "duration": DURATION}
        return made.Bench("separation", tmp_path, **{**small, **where, **base})

    return make


def tones(frequencies, gains, when=None, seconds=1.6):
    """Return a stem [shape=(2, samples)] of tones, each with its gain on the left and the right."""
    time = np.arange(round(seconds * RATE)) / RATE
    sound = sum(
        np.outer(g, np.sin(2 * np.pi * f * time)) for f, g in zip(frequencies, gains, strict=True)
    )
    return sound if when is None else sound * when(time)


def inside(signal, mono=False):
    """Return the excerpt in double precision."""
    first = round(START * RATE)
    part = np.asarray(signal, dtype=np.float64)[..., first : first + round(DURATION * RATE)]
    return part.mean(axis=-2, keepdims=True) if mono else part


def ratio(signal, error):
    return 10 * np.log10(np.sum(signal**2) / np.sum(error**2))


def spectra(signal):
    options = {"n_fft": N_FFT, "hop_length": HOP, "pad_mode": "constant"}
    return librosa.stft(np.asarray(signal, dtype=np.float64), **options)


def heard(spectrum, length):
    return librosa.istft(spectrum, n_fft=N_FFT, hop_length=HOP, length=length)


# Louder, and others, outside of the excerpt: an excerpt that begins elsewhere has other scores.
UNEVEN = np.stack(
    [
        tones([300], [(0.3, 0.1)], lambda t: np.where(t < 0.37, 2.0, 0.5 + t)),
        tones([900, 1700], [(0.1, 0.2), (0.05, 0.0)], lambda t: 1.5 - t),
        np.zeros((2, round(1.6 * RATE))),
        tones([2400], [(-0.02, 0.2)], lambda t: (t % 0.3 < 0.2) * 1.0),
    ]
)


@pytest.mark.parametrize("mono", [False, True])
def test_mixture_and_silence(bench, mono):
    made_up = bench(UNEVEN, mono=mono)
    stems = inside(UNEVEN, mono)
    mixture = stems.sum(axis=0)
    scores = made_up.scores(baseline="mixture")
    sounding = [0, 1, 3]
    # a quarter of the mixture for each of four stems, of which the silent one is not scored
    expected = [ratio(stems[j], stems[j] - mixture / 4) for j in sounding]
    assert scores["sdr"] == pytest.approx(np.mean(expected), abs=1e-4)
    for j, name in zip(sounding, ("drums", "bass", "vocals"), strict=True):
        along = np.sum(stems[j] * mixture) / np.sum(stems[j] ** 2) * stems[j]
        assert scores[f"sdr_{name}"] == pytest.approx(expected[sounding.index(j)], abs=1e-4)
        assert scores[f"si_sdr_{name}"] == pytest.approx(ratio(along, mixture - along), abs=1e-3)
    assert np.isnan(scores["sdr_other"])
    assert scores["silent_stems"] == 1
    assert scores["missing_estimates"] == 0
    assert scores["si_sdr_gain"] == pytest.approx(0, abs=1e-6)
    silence = made_up.scores(baseline="silence")
    assert silence["sdr"] == pytest.approx(0, abs=1e-9)
    whole = [ratio(stems[j], stems[j] - mixture) for j in sounding]
    assert silence["sdr_gain"] == pytest.approx(-np.mean(whole), abs=1e-3)


@pytest.mark.parametrize("kind", ["ibm1", "ibm2", "irm1", "irm2"])
def test_ideal_masks(bench, kind):
    """SiSEC 2018: at least half of the mixture, or the share of the sum; each channel its own."""
    rng = np.random.default_rng(2)
    stems = 0.1 * rng.standard_normal((3, 2, round(1.6 * RATE)))
    made_up = bench(stems)
    found = made_up.sound(baseline=kind)
    stems, exponent = inside(np.float32(stems)), int(kind[-1])
    assert found["names"].tolist() == ["drums", "bass", "other"]
    assert found["sample_rate"] == RATE
    for channel in range(2):
        X = spectra(stems.sum(axis=0)[channel])
        S = np.abs(spectra(stems[:, channel])) ** exponent
        gains = np.abs(X) ** exponent / 2 <= S if kind[:3] == "ibm" else S / S.sum(axis=0)
        expected = heard(gains * X, stems.shape[-1])
        wrong = np.abs(found["samples"][:, channel] - expected)
        assert np.quantile(wrong, 0.99) < 1e-5  # a bin at just half may fall either way


def test_hpss(bench):
    made_up = bench(UNEVEN[[0, 1]])
    found = made_up.sound(baseline="hpss")
    mixture = inside(np.float32(UNEVEN[[0, 1]])).sum(axis=0)
    for channel in range(2):
        X = spectra(mixture[channel])
        expected = [heard(part, mixture.shape[-1]) for part in librosa.decompose.hpss(X)]
        np.testing.assert_allclose(found["samples"][:, channel], expected, atol=1e-5)
    assert made_up.scores(baseline="hpss")["missing_estimates"] == 0


def wiener(models, exponent):
    powers = models**exponent
    return powers / np.maximum(powers.sum(axis=0), 1e-300)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("masking", ["wiener1", "wiener2", "direct"])
@pytest.mark.parametrize("factors", ["shared", "per_channel"])
def test_estimates_are_masked_by_the_models_of_their_groups(bench, factors, masking, power):
    rng = np.random.default_rng(5)
    noise = 0.02 * rng.standard_normal((2, 2, round(1.6 * RATE)))
    stems = UNEVEN[[0, 1]] + noise
    # float64, so that the reference below is that of the stored factors to many digits
    given = {"power": power, "masking": masking, "factors": factors, "grouping": "oracle"}
    made_up = bench(stems, **given, dtype="float64")
    found = made_up.sound()["samples"]
    groups = made_up.arrays("postprocessing.grouping")["groups"]
    mixture = inside(np.float32(stems)).sum(axis=0)
    X = spectra(mixture)
    nodes = ["nmf.factorize", "nmf.factorize_right"][: 1 if factors == "shared" else 2]
    groups = groups.reshape(len(nodes), -1)
    found_by = [made_up.arrays(node) for node in nodes]
    V = np.abs(X) ** power
    observed = [V.mean(axis=0)] * 2 if factors == "shared" else V
    for channel in range(2):
        place = 0 if factors == "shared" else channel
        W, H = found_by[place]["W"], found_by[place]["H"]
        models = np.stack([W[:, groups[place] == g] @ H[groups[place] == g] for g in range(2)])
        magnitudes = models ** (1 / power)
        if masking == "direct":
            gains = magnitudes / observed[channel] ** (1 / power)
        else:
            gains = wiener(magnitudes, int(masking[-1]))
        expected = heard(gains * X[channel], mixture.shape[-1])
        np.testing.assert_allclose(found[:, channel], expected, atol=2e-4)
    node = "features.stft"
    stored = made_up.arrays(node)
    np.testing.assert_allclose(stored["V"], observed[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mono", [False, True])
def test_spectrogram_is_the_mean_over_channels_of_the_excerpt(bench, mono):
    made_up = bench(UNEVEN, mono=mono)
    mixture = inside(np.float32(UNEVEN), mono).sum(axis=0)
    for power in (1, 2):
        expected = (np.abs(spectra(mixture)) ** power).mean(axis=0)
        V = made_up.arrays("features.stft", power=power)["V"]
        np.testing.assert_allclose(V, expected, rtol=1e-3, atol=1e-4)


def test_dictionary_gives_each_stem_its_own_templates_though_one_is_silent(bench):
    stems = np.stack(
        [
            tones([300, 420], [(0.2, 0.1), (0.05, 0.1)], lambda t: 1.1 + np.sin(9 * t)),
            np.zeros((2, round(1.6 * RATE))),
            tones([1100, 1500], [(0.1, 0.2)] * 2, lambda t: 1.1 + np.cos(7 * t)),
            tones([2400], [(0.1, 0.1)], lambda t: t % 0.3 < 0.2),
        ]
    )
    made_up = bench(stems, rank=8)
    learned = made_up.arrays("nmf.dictionary", baseline="dictionary")
    # eight templates for three stems that sound: three, three and two
    assert learned["groups"].tolist() == [0, 0, 0, 2, 2, 2, 3, 3]
    np.testing.assert_allclose(learned["W"].mean(axis=0), 1, rtol=1e-5)  # alike at the start
    peaks = np.round(learned["W"].argmax(axis=0) * RATE / N_FFT)
    near = {0: (300, 420), 2: (1100, 1500), 3: (2400,)}
    for peak, group in zip(peaks, learned["groups"], strict=True):
        assert min(abs(peak - f) for f in near[int(group)]) < 2 * RATE / N_FFT
    scores = made_up.scores(baseline="dictionary")
    for name in ("drums", "other", "vocals"):
        assert scores[f"si_sdr_{name}"] > 18
    assert (scores["silent_stems"], scores["missing_estimates"]) == (1, 0)
    sound = made_up.sound(baseline="dictionary")
    assert sound["names"].tolist() == ["drums", "", "other", "vocals"]
    held = made_up.arrays("nmf.factorize", baseline="dictionary")["W"]
    np.testing.assert_allclose(held, learned["W"], rtol=1e-5)


def test_oracle_groups_by_the_sound_of_each_channel(bench):
    """Two stems change sides: what is drums on the left is bass on the right."""
    low, high = (np.sin(2 * np.pi * f * np.arange(9600) / RATE) for f in (400, 1900))
    on = np.arange(9600) % 1500 < 700
    stems = 0.2 * np.stack([[low * on, high], [high, low * on]])
    made_up = bench(stems, rank=2, factors="per_channel", grouping="oracle", stop=100)
    groups = made_up.arrays("postprocessing.grouping")["groups"].reshape(2, -1)
    for place, node in enumerate(("nmf.factorize", "nmf.factorize_right")):
        W = made_up.arrays(node)["W"]
        lows = W.argmax(axis=0) * RATE / N_FFT < 1000
        # on the left the low tone is drums, group 0; on the right it is bass
        assert groups[place].tolist() == np.where(lows, place, 1 - place).tolist()
    assert made_up.scores()["si_sdr_gain"] > 3


def test_oracle_groups_by_energy_whatever_the_power_of_the_model(bench):
    """A short loud tone against a long soft one: energy 9 · 1 to 1 · 5, magnitude 3 to 5."""
    time = np.arange(9600) / RATE
    tone = np.sin(2 * np.pi * 750 * time)

    def swell(first, last):  # no edge that clicks
        place = np.clip((time - START - first) / (last - first), 0, 1)
        return np.sin(np.pi * place) ** 2

    stems = np.stack([0.3 * tone * swell(0.05, 0.17), 0.1 * tone * swell(0.17, 0.77)])
    sums = [np.abs(spectra(inside(stem))) for stem in stems]
    assert (sums[0] ** 2).sum() > 1.5 * (sums[1] ** 2).sum()
    assert 1.2 * sums[0].sum() < sums[1].sum()
    for power in (1, 2):
        made_up = bench(stems[:, None] * np.ones((1, 2, 1)), rank=1, grouping="oracle", power=power)
        assert made_up.arrays("postprocessing.grouping")["groups"].ravel().tolist() == [0]


def test_oracle_grouping_hears_the_excerpt(bench):
    """Before the excerpt the second stem is the louder one at that frequency."""
    time = np.arange(9600) / RATE
    tone = np.sin(2 * np.pi * 750 * time)
    stems = np.stack([0.1 * tone * (time > START), 0.5 * tone * (time < START - 0.05)])
    made_up = bench(stems[:, None] * np.ones((1, 2, 1)), rank=1, grouping="oracle")
    assert made_up.arrays("postprocessing.grouping")["groups"].tolist() == [0]


def test_k_means_is_given_its_seed_its_starts_and_its_number_of_groups(bench, monkeypatch):
    import sklearn.cluster

    told, original = [], sklearn.cluster.KMeans

    def spy(**options):
        told.append(options)
        return original(**options)

    monkeypatch.setattr(sklearn.cluster, "KMeans", spy)
    made_up = bench(UNEVEN, rank=9, n_sources=3, kmeans_seed=7)
    groups = made_up.arrays("postprocessing.grouping")["groups"]
    assert told == [{"n_clusters": 3, "n_init": 10, "random_state": 7}]
    assert set(groups.ravel()) == {0, 1, 2}


def test_groups_are_as_many_as_stems_that_sound_in_the_excerpt_unless_a_number_is_given(bench):
    """Of four stems one is silent, and another one from the excerpt's beginning on."""
    stems = UNEVEN.copy()
    stems[1, :, round(START * RATE) - 5 :] = 0
    made_up = bench(stems, rank=9)
    groups = {
        n: made_up.arrays("postprocessing.grouping", n_sources=n)["groups"] for n in (None, 5)
    }
    assert set(groups[None]) == {0, 1}
    assert set(groups[5]) == {0, 1, 2, 3, 4}
    assert made_up.scores(n_sources=None)["silent_stems"] == 2
    assert "stems" in made_up.nodes(n_sources=None)["postprocessing.grouping"].parts
    assert "stems" not in made_up.nodes(n_sources=5)["postprocessing.grouping"].parts


def test_a_table_says_that_the_number_of_groups_comes_from_the_reference(bench):
    made_up = bench(UNEVEN[[0, 1]])

    def notes(**given):
        parameters = made_up.parameters(**given)
        return made_up.task.notes([(Setting(parameters, parameters), {})])

    told = ["k-means makes as many groups as the reference has stems that sound"]
    assert notes() == told
    for given in ({"n_sources": 4}, {"grouping": "oracle"}, {"baseline": "mixture"}):
        assert notes(**given) == []


def test_each_channel_is_factorized_by_itself(bench):
    """A low tone on the left alone, a high one on the right alone."""
    stems = [tones([300], [(0.3, 0)]), tones([2400], [(0, 0.2)])]
    made_up = bench(stems, rank=2, factors="per_channel")
    for node, frequency in (("nmf.factorize", 300), ("nmf.factorize_right", 2400)):
        W = made_up.arrays(node)["W"]
        assert abs(W.sum(axis=1).argmax() * RATE / N_FFT - frequency) < RATE / N_FFT


def test_templates_of_both_channels_are_grouped_together(bench):
    """The same sounds on both sides: a group is the same stem in either."""
    low = tones([300], [(0.3, 0.1)], lambda t: t % 0.4 < 0.2)
    high = tones([2200], [(0.1, 0.3)], lambda t: t % 0.3 < 0.1)
    made_up = bench([low, high], rank=2, factors="per_channel", n_sources=2, stop=150)
    groups = made_up.arrays("postprocessing.grouping")["groups"].reshape(2, -1)
    W = [made_up.arrays(n)["W"] for n in ("nmf.factorize", "nmf.factorize_right")]
    lows = [factor.argmax(axis=0) * RATE / N_FFT < 1000 for factor in W]
    assert len({int(g) for side, row in zip(lows, groups, strict=True) for g in row[side]}) == 1
    assert made_up.scores()["si_sdr"] > 10


def test_mfcc_are_those_of_the_tracks_own_rate_and_power(bench, monkeypatch):
    """librosa's mel bands of that rate, of magnitudes whatever the power of the model."""
    told, original = [], librosa.filters.mel
    monkeypatch.setattr(librosa.filters, "mel", lambda **o: told.append(o) or original(**o))
    made_up = bench(UNEVEN[[0, 1]], n_sources=2)
    made_up.arrays("postprocessing.grouping")
    assert (told[0]["sr"], told[0]["n_fft"]) == (RATE, N_FFT)


def test_a_group_without_components_is_missing_and_an_estimate_is_named_once(bench):
    made_up = bench(UNEVEN[[0, 1, 3]], rank=2, grouping="oracle")
    scores, sound = made_up.scores(), made_up.sound()
    groups = set(made_up.arrays("postprocessing.grouping")["groups"].ravel().tolist())
    assert scores["missing_estimates"] == 3 - len(groups) > 0
    named = [name for name in sound["names"] if name]
    assert len(named) == len(set(named)) == len(groups)
    for name, estimate in zip(sound["names"], sound["samples"], strict=True):
        if name:
            stem = inside(UNEVEN[[0, 1, 3]])[["drums", "bass", "other"].index(str(name))]
            along = np.sum(stem * estimate) / np.sum(stem**2) * stem
            assert scores[f"si_sdr_{name}"] == pytest.approx(
                ratio(along, estimate - along), abs=1e-3
            )
        else:
            assert not estimate.any()


def test_frames_of_bss_eval_are_seconds_of_the_track(bench):
    """Estimates that are right in the first second, fair in the second, poor in the third."""
    rng = np.random.default_rng(4)
    first = 0.1 * rng.standard_normal((2, 3 * RATE))
    second = 0.1 * rng.standard_normal((2, 3 * RATE)) * np.repeat([0.1, 0.5, 2], RATE)
    stems = np.float32([first, second])
    made_up = bench(stems, start=0, duration=None)
    found = np.stack([stems.sum(axis=0) / 2] * 2)
    true, found = (np.swapaxes(x, 1, 2).astype(float) for x in (stems, found))
    sdr = museval_module().bss_eval(true, found, window=RATE, hop=RATE)[0]
    assert sdr.shape == (2, 3)
    assert np.ptp(sdr[0]) > 3
    scores = made_up.scores(baseline="mixture")
    assert scores["museval_sdr"] == pytest.approx(np.median(sdr, axis=1).mean(), abs=1e-2)


def test_who_computes_bss_eval(separation):
    ours, theirs = (
        separation.scores(baseline="mixture", bss_backend=b) for b in ("nmfab", "museval")
    )
    assert np.isfinite(ours["bss_sdr"])
    assert np.isnan(theirs["bss_sdr"])
    assert theirs["museval_sdr"] == pytest.approx(ours["museval_sdr"], abs=1e-4, nan_ok=True)
