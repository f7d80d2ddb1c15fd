"""Small made-up tracks of every task: what is usually equal differs in them.

Excerpts begin at 0.37 s, files have another rate than the one asked for, channels differ, notes lie
behind the excerpt, and two instruments play isolated notes.
"""

import numpy as np
import pytest
from tasks import made


def tone(frequency, time, partials=(1.0,)):
    """Return a sum of harmonics."""
    return sum(a * np.sin(2 * np.pi * k * frequency * time) for k, a in enumerate(partials, 1))


@pytest.fixture(scope="module")
def registered():
    with pytest.MonkeyPatch.context() as patch:
        made.register(patch)
        yield


def stems_song(seed=0, rate=6000, seconds=1.6):
    """Return audio and two stems, stereo, at 6 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    bass = tone(110, time, (1, 0.4)) * (0.6 + np.sin(2 * np.pi * 1.3 * time)) * 0.2
    vocals = tone(700 + 180 * np.sin(7 * time), time) * (time % 0.5 < 0.3) * 0.15
    vocals = vocals + 0.01 * rng.standard_normal(len(time))
    samples = np.stack([np.outer((0.9, 0.5), bass), np.outer((0.2, 0.7), vocals)])
    samples[1, 1] = np.roll(samples[1, 1], 40)  # no channel is a multiple of the other
    samples = samples.astype(np.float32)
    return {
        "audio": {"samples": samples.sum(axis=0), "sample_rate": rate},
        "stems": {"samples": samples, "names": np.array(["bass", "vocals"]), "sample_rate": rate},
    }


@pytest.fixture(scope="module")
def separation(registered, tmp_path_factory):
    """Separation of the excerpt from 0.37 to 1.17 s of a stereo song with two stems."""
    root = tmp_path_factory.mktemp("separation")
    for dataset, tracks in (("made", ("song",)), ("subsets", ("test a", "train b"))):
        for seed, track in enumerate(tracks):
            made.write(root / "data" / dataset, track, **stems_song(seed))
    small = {"n_fft": 256, "hop": 64, "rank": 6, "stop": 12, "init": "random", "seed": 1}
    where = {"start": 0.37, "duration": 0.8, "n_sources": 2}
    return made.Bench("separation", root, **small, **where)


RATE = 11025  # of the file; 8000 Hz is asked for
NOTES = [  # onset, offset, MIDI number; the excerpt ends at 1.5 s
    (0.2, 0.5, 60), (0.5, 0.9, 60), (0.7, 1.2, 67), (1.0, 1.4, 72), (1.6, 2.0, 62), (1.7, 2.1, 60)
]  # fmt: skip
TIMBRES = {"piano": (1.0, 0.5, 0.3, 0.1), "flute": (1.0, 0.05, 0.4), "sharp": (1.0, 0.5, 0.3)}
TIMBRES |= {"octave": (0.4, 1.0, 0.3)}
INSTRUMENTS = {"piano": (60, 62, 67, 72), "flute": (60, 62, 67, 72), "sharp": (61, 68, 73)}


def played(notes, seconds, timbre="piano", rate=RATE, loudness=None, noise=1e-4):
    """Return audio (mono) and notes; the upper partials of a note decay faster than the lower."""
    rng = np.random.default_rng(len(notes))
    sound = noise * rng.standard_normal(round(seconds * rate))
    for index, (onset, offset, pitch) in enumerate(notes):
        first, count = round(onset * rate), round((offset - onset) * rate)
        time = np.arange(min(count, len(sound) - first)) / rate
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        gain = 0.2 if loudness is None else loudness[index]
        for k, a in enumerate(TIMBRES[timbre], 1):
            decay = np.exp(-2 * k * time) * np.clip(time / 0.01, 0, 1)
            sound[first : first + len(time)] += gain * a * decay * np.sin(2 * np.pi * k * f0 * time)
    onsets, offsets, pitches = np.array(notes, dtype=float).reshape(-1, 3).T
    return {
        "audio": {"samples": sound[None].astype(np.float32), "sample_rate": rate},
        "notes": {"onsets": onsets, "offsets": offsets, "pitches": pitches.astype(int)},
    }


@pytest.fixture(scope="module")
def transcription(registered, tmp_path_factory):
    """Transcription of the first 1.5 s of a piece of 2.2 s, resampled to 8 kHz."""
    root = tmp_path_factory.mktemp("transcription")
    folder = root / "data" / "made"
    made.write(folder, "song", **played(NOTES, 2.2))
    for instrument, pitches in INSTRUMENTS.items():
        for pitch in pitches:
            note = played([(0.1, 0.5, pitch)], 0.7, instrument)
            made.write(folder, f"isolated/{instrument}_{pitch:03}", **note)
    small = {"sample_rate": 8000, "window": 800, "n_fft": 1024, "hop": 80, "excerpt": 1.5}
    return made.Bench("transcription", root, stop=8, seed=1, **small)


BAR, FIRST = 0.5, 0.37
SECTIONS = {  # in bars from the first downbeat
    "sections": (0, 8, 16), "sections.1.upper": (0, 8, 16), "sections.1.lower": (0, 4, 8, 12, 16),
    "sections.2.upper": (0, 5, 16),
}  # fmt: skip


def song_of_bars(rate=8000, n_bars=16):
    """Return audio (stereo), beats and sections of a song whose first bar begins at 0.37 s."""
    rng = np.random.default_rng(3)
    length = round((FIRST + n_bars * BAR) * rate)
    time = np.arange(length) / rate
    sound = 0.01 * rng.standard_normal((2, length))
    for bar in range(n_bars):
        on = (time >= FIRST + bar * BAR) & (time < FIRST + (bar + 1) * BAR)
        chord = ((220, 330), (294, 440), (392, 494), (262, 880))[(bar // 4 + bar % 2) % 4]
        gone = np.exp(-5 * ((time - FIRST) % BAR))
        sound[bar % 2] += on * gone * sum(tone(f, time, (1, 0.5)) for f in chord) * 0.1
        sound[0] += on * tone(chord[0] / 2, time) * 0.05
    for beat in np.arange(FIRST, length / rate, BAR / 4):
        first = round(beat * rate)
        click = (
            rng.standard_normal(200)[: length - first]
            * np.exp(-np.arange(200) / 30)[: length - first]
        )
        sound[:, first : first + len(click)] += 0.2 * click
    count = 4 * n_bars
    beats = FIRST + np.arange(count) * BAR / 4
    parts = {
        "audio": {"samples": sound.astype(np.float32), "sample_rate": rate},
        "beats": {"times": beats, "positions": np.arange(count) % 4 + 1},
    }
    for name, edges in SECTIONS.items():
        times = FIRST + BAR * np.array(edges)
        parts[name] = {
            "intervals": np.column_stack([times[:-1], times[1:]]),
            "labels": np.array(["x"] * (len(times) - 1)),
        }
    return parts


@pytest.fixture(scope="module")
def structure(registered, tmp_path_factory):
    """Structure of a song of 16 bars of half a second from 0.37 s on, resampled to 6 kHz."""
    root = tmp_path_factory.mktemp("structure")
    song = song_of_bars()
    made.write(
        root / "data" / "made", "song", **{n: song[n] for n in ("audio", "beats", "sections")}
    )
    made.write(root / "data" / "annotated", "song", **song)
    alone = {n: part for n, part in song.items() if not n.startswith("sections.1")}
    made.write(root / "data" / "annotated", "song without 1", **alone)
    small = {"sample_rate": 6000, "n_fft": 256, "subdivision": 8, "stop": 12, "rank": 4}
    band = {"nn_log_mel.fmax": 3000, "nn_log_mel.n_mels": 20}
    return made.Bench("structure", root, init="random", seed=1, max_size=12, **small, **band)
