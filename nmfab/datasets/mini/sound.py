"""Sound for miniatures: decaying tones and noise, and the files that they are written to."""

import json
import wave
from fractions import Fraction

import numpy as np

RATE = 22050  # Hz
TEMPO = 120  # beats a minute
BEAT = 60 / TEMPO  # seconds
BAR = 4 * BEAT


def tone(pitch, seconds, rate=RATE):
    """Return a decaying tone of five partials [shape=(samples,)], `pitch` in MIDI."""
    times = np.arange(round(seconds * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    partials = [np.sin(2 * np.pi * frequency * k * times) / k for k in range(1, 6)]
    return sum(partials) * np.exp(-3 * times) * 0.2


def noise(seconds, seed, rate=RATE):
    """Return a decaying noise [shape=(samples,)], the same for one seed."""
    times = np.arange(round(seconds * rate)) / rate
    return np.random.default_rng(seed).normal(size=len(times)) * np.exp(-30 * times) * 0.1


def play(notes, seconds, rate=RATE):
    """Return notes heard together [shape=(samples,)].

    Parameters
    ----------
    notes : sequence of (float, float, int)
        Onset and offset in seconds, MIDI pitch.
    seconds : float
        Length of the sound.
    rate : int
        Hz.
    """
    sound = np.zeros(round(seconds * rate))
    for onset, offset, pitch in notes:
        start = round(onset * rate)
        heard = tone(pitch, max(offset - onset, 0), rate)[: max(len(sound) - start, 0)]
        sound[start : start + len(heard)] += heard
    return sound


def beats(seconds, rate=RATE):
    """Return a noise on every beat, louder on the first of four [shape=(samples,)]."""
    sound = np.zeros(round(seconds * rate))
    for number, time in enumerate(np.arange(0, seconds - 0.05, BEAT)):
        start = round(time * rate)
        heard = noise(0.1, number, rate) * (2 if number % 4 == 0 else 1)
        sound[start : start + len(heard)] += heard[: len(sound) - start]
    return sound


def song(letters, bars=2, rate=RATE):
    """Return a song [shape=(samples,)]: each letter is a chord, held for some bars, with beats."""
    roots = {letter: 48 + 5 * number for number, letter in enumerate(sorted(set(letters)))}
    length = len(letters) * bars * BAR
    chords = [
        (section * bars * BAR + beat * BEAT, section * bars * BAR + (beat + 1) * BEAT, root + step)
        for section, root in enumerate(roots[letter] for letter in letters)
        for beat in range(4 * bars)
        for step in (0, 4, 7)
    ]
    return play(chords, length, rate) + beats(length, rate)


def write_wav(path, samples, rate=RATE):
    """Write 16-bit samples [shape=(samples,) or (channels, samples)]; values beyond ±1 are cut."""
    samples = np.atleast_2d(samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(_integers(samples).T).tobytes())


def write_encoded(path, sounds, rate=RATE, codec="libmp3lame"):
    """Write sounds [shape=(channels, samples) each] as the streams of one encoded file.

    Parameters
    ----------
    path : Path
        Its suffix names the container.
    sounds : sequence of np.ndarray
        One per stream.
    rate : int
        Hz.
    codec : {"libmp3lame", "aac", "flac"}
        Of all streams.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format={".mp4": "mp4"}.get(path.suffix)) as file:
        streams = [file.add_stream(codec, rate=rate, layout="stereo") for _ in sounds]
        for stream, samples in zip(streams, sounds, strict=True):
            data = _integers(np.broadcast_to(samples, (2, np.shape(samples)[-1])))
            packed = np.ascontiguousarray(data.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
            frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            converter = av.AudioResampler(
                stream.format.name, "stereo", rate, frame_size=stream.frame_size or None
            )
            for piece in [*converter.resample(frame), *converter.resample(None)]:
                file.mux(stream.encode(piece))
            file.mux(stream.encode(None))


def write_text(path, *lines, end="\n", bom=False):
    """Write lines of text, as UTF-8, with the line ends of whoever made the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ("\ufeff" if bom else "") + "".join(line + end for line in lines)
    path.write_bytes(text.encode())


def write_midi(path, notes, channel=0, program=0):
    """Write notes (onset, offset in seconds, MIDI pitch) as a MIDI file of one track."""
    import mido

    path.parent.mkdir(parents=True, exist_ok=True)
    ticks, events = 480, []
    for onset, offset, pitch in notes:
        start, end = (round(time * ticks * TEMPO / 60) for time in (onset, offset))
        # A key is released before it is struck again, but a note of no length begins first.
        events += [(start, 1, "note_on", pitch), (end, 0 if end > start else 2, "note_off", pitch)]
    track, now = mido.MidiTrack(), 0
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO)))
    track.append(mido.Message("program_change", channel=channel, program=program))
    for tick, _, kind, pitch in sorted(events):
        message = mido.Message(kind, note=pitch, velocity=80, channel=channel, time=tick - now)
        track.append(message)
        now = tick
    mido.MidiFile(ticks_per_beat=ticks, tracks=[track]).save(str(path))


def jams_text(annotations):
    """Return the text of a JAMS file.

    Parameters
    ----------
    annotations : sequence of (str, str, sequence of (float, float, value))
        Namespace, source, and time, duration and value of each observation.
    """
    listed = [
        {
            "namespace": namespace,
            "annotation_metadata": {"data_source": source},
            "data": [
                {"time": time, "duration": duration, "value": value, "confidence": None}
                for time, duration, value in rows
            ],
            "sandbox": {},
        }
        for namespace, source, rows in annotations
    ]
    return json.dumps({"annotations": listed, "file_metadata": {}, "sandbox": {}})


def _integers(samples):
    return np.round(np.clip(samples, -1, 32767 / 32768) * 32768).astype("<i2")
