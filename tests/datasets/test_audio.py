"""read_audio against soundfile, on every format that the datasets come in, and on broken files."""

import logging
from fractions import Fraction

import numpy as np
import pytest
import soundfile

from nmfab.base.errors import DataError
from nmfab.datasets.audio import read_audio

RATE = 44100


@pytest.fixture
def music():
    """Two channels that differ, 1.3 s: a sum of sines and noise, loud but below full scale."""
    rng = np.random.default_rng(0)
    time = np.arange(int(1.3 * RATE)) / RATE
    left = 0.4 * np.sin(2 * np.pi * 440 * time) + 0.05 * rng.standard_normal(len(time))
    right = 0.3 * np.sin(2 * np.pi * 660 * time) + 0.05 * rng.standard_normal(len(time))
    return np.stack([left, right], axis=1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_U8"),
        ("wav", "PCM_16"),
        ("wav", "PCM_24"),
        ("wav", "PCM_32"),
        ("wav", "FLOAT"),
        ("wav", "DOUBLE"),
        ("flac", "PCM_16"),
        ("flac", "PCM_24"),
    ],
)
def test_lossless_files_equal_soundfile_exactly(tmp_path, music, suffix, subtype, channels):
    path = tmp_path / f"music.{suffix}"
    soundfile.write(path, music[:, :channels], RATE, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    audio = read_audio(path)
    assert audio["sample_rate"] == RATE
    assert audio["samples"].dtype == np.float32
    np.testing.assert_array_equal(audio["samples"], expected.T)


def test_sixteen_bits_are_divided_by_32768(tmp_path):
    path = tmp_path / "steps.wav"
    integers = np.array([-32768, -1, 0, 1, 16384, 32767], dtype=np.int16)
    soundfile.write(path, integers, 8000)
    np.testing.assert_array_equal(read_audio(path)["samples"][0], integers / 32768)


@pytest.mark.parametrize(("suffix", "tolerance"), [("ogg", 1e-5), ("mp3", 1e-4)])
def test_lossy_files_agree_with_libsndfile(tmp_path, music, suffix, tolerance):
    path = tmp_path / f"music.{suffix}"
    soundfile.write(path, music, RATE)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    samples = read_audio(path)["samples"]
    assert samples.shape == expected.T.shape
    assert np.abs(samples - expected.T).max() < tolerance


def test_padding_of_an_mp3_with_a_lame_tag_is_left_out(tmp_path):
    silence, burst = np.zeros(RATE), 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    path = tmp_path / "burst.mp3"
    soundfile.write(path, np.concatenate([silence, burst]), RATE)
    samples = read_audio(path)["samples"][0]
    assert len(samples) == 2 * RATE
    onset = np.flatnonzero(np.abs(samples) > 0.25)[0]
    assert abs(onset - RATE) < 40  # a quarter period is 11 samples; the padding would be 1105


def _write_stems(path, stems):
    """Write an mp4 with one AAC stream per stem."""
    import av

    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=RATE, layout="stereo") for _ in stems]
        for stream, stem in zip(streams, stems, strict=True):
            for start in range(0, stem.shape[1], 1024):
                block = np.ascontiguousarray(stem[:, start : start + 1024], dtype=np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def test_streams_of_an_mp4_are_told_apart_and_aligned(tmp_path, music):
    path = tmp_path / "song.stem.mp4"
    stems = [music.T, music.T[::-1] * 0.5]
    _write_stems(path, stems)
    for index, stem in enumerate(stems):
        samples = read_audio(path, stream=index)["samples"][:, : stem.shape[1]]
        # AAC keeps tones, not noise: correlated at lag 0, and not with the other stem
        own = [np.corrcoef(a, b)[0, 1] for a, b in zip(samples, stem, strict=True)]
        other = [np.corrcoef(a, b)[0, 1] for a, b in zip(samples, stem[::-1], strict=True)]
        assert min(own) > 0.9
        assert max(other) < 0.2
    with pytest.raises(DataError, match="has 2 audio streams, and stream 2 was asked for"):
        read_audio(path, stream=2)


def test_one_sample_and_silence_are_audio(tmp_path):
    path = tmp_path / "one.wav"
    soundfile.write(path, np.array([0.5]), 8000)
    assert read_audio(path)["samples"].shape == (1, 1)
    soundfile.write(path, np.zeros((100, 2)), 8000)
    assert not read_audio(path)["samples"].any()


def test_missing_empty_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "x.wav"
    with pytest.raises(DataError, match=r"x\.wav does not exist"):
        read_audio(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"x\.wav is empty"):
        read_audio(path)
    path.write_text("no audio at all\n" * 100)
    with pytest.raises(DataError, match=r"x\.wav cannot be read as audio"):
        read_audio(path)


def test_a_wav_without_samples_is_refused(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"x\.wav holds no audio samples"):
        read_audio(path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_truncated_files_are_refused(tmp_path, music, suffix):
    path = tmp_path / f"music.{suffix}"
    soundfile.write(path, np.tile(music, (4, 1)), RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"music\.\w+ is truncated: 2\.\d+ s of the 5\.2\d s"):
        read_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinite_samples_are_refused_and_counted(tmp_path, value):
    path = tmp_path / "x.wav"
    samples = np.zeros(1000)
    samples[[3, 500]] = value
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"x\.wav holds 2 NaN or infinite samples"):
        read_audio(path)


def test_damage_in_the_middle_of_an_mp3_is_logged(tmp_path, music, caplog):
    path = tmp_path / "music.mp3"
    soundfile.write(path, np.tile(music, (4, 1)), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        samples = read_audio(path)["samples"]
    assert samples.shape[1] > 4.5 * RATE


def test_real_recordings(samples):
    wav = samples / "rwcpop/audio/rwc-p-m01/1.wav"
    expected, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    audio = read_audio(wav)
    assert audio["sample_rate"] == rate == 22050
    np.testing.assert_array_equal(audio["samples"], expected.T)

    mp3 = samples / "salami/audio/176.mp3"
    expected, _ = soundfile.read(mp3, dtype="float32", always_2d=True)
    assert np.abs(read_audio(mp3)["samples"] - expected.T).max() < 1e-5


def test_stems_of_a_real_mp4_equal_their_wav_to_one_step(samples):
    stems = samples / "musdb18/train/Music Delta - 80s Rock.stem.mp4"
    folder = samples / "musdb18hq/train/Music Delta - 80s Rock"
    for index, name in enumerate(["mixture", "drums", "bass", "other", "vocals"]):
        expected = read_audio(folder / f"{name}.wav")["samples"]
        found = read_audio(stems, stream=index)["samples"]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1.1 / 32768
