"""Audio files as arrays: every format through PyAV, whose wheels carry ffmpeg's libraries.

Conventions: float32 in [-1, 1), channels × samples, at the file's own rate. Integer samples of b
bits are divided by 2**(b - 1), as soundfile does, so that a wav is read exactly. The padding that
encoders of mp3 and aac put around the music is left out where the file states it (LAME tag, edit
list), as libsndfile and ffmpeg do; without that statement it stays.
"""

import logging
import struct
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError

_log = logging.getLogger(__name__)
_SHORTEST = 0.1  # seconds below which a recording is more likely a mistake
_SLACK = 4096  # samples by which a container's statement of length may be off: two codec frames


def read_audio(path, *, stream=0):
    """Read an audio file.

    Parameters
    ----------
    path : path
        A wav, flac, mp3, ogg, mp4/m4a file, or another that ffmpeg's libraries know.
    stream : int
        Which of the file's audio streams (the stems of a ``.stem.mp4``).

    Returns
    -------
    dict
        ``samples`` [shape=(channels, samples), dtype=float32] and ``sample_rate`` (int, Hz).

    A recording that is silent or shorter than 0.1 s is read, and logged.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated, no audio, or holds NaN or infinite samples. A
        file is called truncated when it holds fewer samples than its header states; ogg and mp3
        files without a Xing or Info header state nothing.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: put the audio file there")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: fetch it again")
    try:
        with av.open(str(path)) as container:
            chunks, rate, stated = _decode(container, stream, path)
    except av.error.FFmpegError as error:
        raise DataError(
            f"{path} cannot be read as audio ({error.strerror}): fetch it again"
        ) from error
    length = sum(chunk.shape[1] for chunk in chunks)
    if stated is not None and length + _SLACK < stated:
        raise DataError(
            f"{path} is truncated: {length / rate:.2f} s of the {stated / rate:.2f} s that its "
            "header states; fetch it again"
        )
    samples = _joined(chunks, length, path)
    if not samples.any():
        _log.warning("%s is silent throughout", path)
    elif length < _SHORTEST * rate:
        _log.warning("%s holds %d samples, %.3g s", path, length, length / rate)
    return {"samples": samples, "sample_rate": rate}


def audio_duration(path):
    """Return the length that an audio file states, in seconds, without decoding it.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    float or None
        None where it cannot be read, or states nothing.
    """
    import av

    try:
        with av.open(str(path)) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.error.FFmpegError, OSError):
        return None  # read_audio tells what is wrong


def _decode(container, index, path):
    """Return the decoded chunks, the rate (Hz), and the length that the file states (samples)."""
    import av

    streams = container.streams.audio
    if not streams:
        raise DataError(f"{path} holds no audio: check that it is the right file")
    if index >= len(streams):
        raise DataError(
            f"{path} has {len(streams)} audio streams, and stream {index} was asked for"
        )
    stream = streams[index]
    chunks, formats, failed = [], set(), 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            failed += 1
            continue
        for frame in frames:
            formats.add((frame.layout.nb_channels, frame.sample_rate))
            chunks.append(_channels(frame))
    if not chunks:
        raise DataError(f"{path} holds no audio samples: fetch it again")
    if len(formats) > 1:
        raise DataError(f"{path} changes its channels or sample rate midway: convert it first")
    if failed:
        _log.warning("%s: %d packets cannot be decoded and are left out", path, failed)
    rate = formats.pop()[1]
    return chunks, rate, _stated_length(container, stream, rate, path)


def _channels(frame):
    """Return a frame as channels × samples, in its own type."""
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        return samples
    return samples.reshape(-1, frame.layout.nb_channels).T


def _stated_length(container, stream, rate, path):
    """Return how many samples the header states, or None where it states nothing."""
    if stream.duration is None or container.format.name == "ogg":
        return None
    if container.format.name == "wav":
        return _wav_length(path)  # ffmpeg reports what is there
    if container.format.name == "mp3" and not _has_mp3_header(path):
        return None  # ffmpeg guesses from the bit rate, which a variable one makes wrong
    return float(stream.duration * stream.time_base) * rate


def _wav_length(path):
    """Return the length that the data chunk of a wav states; writers to a pipe do not know it."""
    with open(path, "rb") as file:
        if file.read(4) != b"RIFF":
            return None
        file.seek(12)
        block = None
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                known = block and 0 < size < 0x7FFFFFFF
                return size // block if known else None
            if name == b"fmt ":
                block = struct.unpack("<12xH", file.read(14))[0]
                size -= 14
            file.seek(size + size % 2, 1)
    return None


def _has_mp3_header(path):
    """Tell whether the first frame of an mp3, behind its ID3v2 tag, states the number of frames."""
    with open(path, "rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3":
            start = 10 + sum(
                (byte & 0x7F) << shift
                for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False)
            )
        file.seek(start)
        first = file.read(4096)
    return b"Xing" in first or b"Info" in first


def _joined(chunks, length, path):
    """Concatenate chunks as float32, each released as soon as it is copied."""
    samples = np.empty((chunks[0].shape[0], length), dtype=np.float32)
    end = length
    while chunks:
        chunk = chunks.pop()
        samples[:, end - chunk.shape[1] : end] = _as_float(chunk)
        end -= chunk.shape[1]
    if not np.isfinite(samples).all():
        count = int((~np.isfinite(samples)).sum())
        raise DataError(f"{path} holds {count} NaN or infinite samples: repair or replace the file")
    return samples


def _as_float(chunk):
    if chunk.dtype == np.uint8:
        return (chunk.astype(np.float32) - 128) / 128
    if np.issubdtype(chunk.dtype, np.integer):
        return chunk / float(2 ** (8 * chunk.dtype.itemsize - 1))
    return chunk
