"""What datasets that are found by their files on disk share: states, ids, loading."""

import json
import logging
from functools import cached_property, partial
from typing import ClassVar

from nmfab.base.errors import DataError
from nmfab.base.registry import unknown
from nmfab.base.types import Part, Track
from nmfab.datasets.audio import audio_duration
from nmfab.datasets.contract import Dataset, Status

_log = logging.getLogger(__name__)
_CLOSE = 0.05  # seconds past the end that rounding and the padding of codecs explain
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".aif", ".aiff")


class LayoutDataset(Dataset):
    """A dataset whose tracks are what files there are.

    A subclass fills the header and `find`.

    Attributes
    ----------
    expected : int or None
        Number of complete tracks; None where any number is complete.
    reference : str
        The part, beside its audio, without which a track is not complete; empty for none.
    """

    expected: ClassVar[int | None] = None
    reference: ClassVar[str] = ""

    def find(self):
        """Return what is in the folder, without reading it.

        Returns
        -------
        tracks : dict of str to dict of str to Part
            Per id the parts that are there; a track has ``audio``.
        missing : list of str
            What incomplete tracks lack, as paths below the folder.
        """
        raise NotImplementedError

    @cached_property
    def _found(self):
        return ({}, []) if self.folder is None else self.find()

    def status(self):
        """Return how many tracks are complete, and what the others lack."""
        if self.folder is None:
            return self.absent()
        needs = (self.reference,) if self.reference else ()
        count, missing = len(self.track_ids(needs)), self._found[1]
        wanted = f"{count} of {self.expected}" if self.expected else str(count)
        message = f"{wanted} tracks in {self.folder}"
        if count == 0:
            hint = f"nmfab datasets {self.name} shows the files wanted"
            return Status("absent", f"{message}: {hint}", missing)
        complete = count >= (self.expected or 1) and not (self.expected is None and missing)
        return Status("installed" if complete else "partial", message, missing)

    def subset_of(self, track_id):
        """Return the split that a track is in; for a dataset that has `splits`."""
        raise NotImplementedError

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the tracks with audio and every part in `needs`, sorted."""
        self.check_subset(subset)
        wanted = {"audio", *needs}
        return sorted(
            name
            for name, parts in self._found[0].items()
            if wanted <= parts.keys() and (subset is None or self.subset_of(name) == subset)
        )

    def load(self, track_id):
        """Return a `Track` with the parts that are there.

        Raises
        ------
        DataError
            If there is no such track, or its audio is missing.
        """
        if self.folder is None:
            raise DataError(f"{self.name}: {self.absent().message}")
        parts = self._found[0].get(track_id)
        if parts is None:
            known = [*self._found[0]]
            told = unknown(f"track of {self.name}", track_id, known[:3])
            raise DataError(f"{told} ... ({len(known)} in {self.folder})")
        if "audio" not in parts:
            raise DataError(
                f"{self.name} {track_id}: its audio is missing below {self.folder}; nmfab datasets "
                f"{self.name} shows where it goes"
            )
        return Track(self.name, track_id, parts)


def read_index(folder, pattern):
    """Return mirdata's index where it lies in a dataset's folder.

    Parameters
    ----------
    folder : Path
        The dataset's.
    pattern : str
        What the index file is called, e.g. ``"salami_index_*.json"``; the last one is taken.

    Returns
    -------
    dict
        Track id → part → (path below the folder or None, md5); {} where there is none.

    Raises
    ------
    DataError
        If the file is no index.
    """
    places = [path for path in sorted(folder.glob(pattern)) if "sample" not in path.name]
    if not places:
        return {}
    try:
        tracks = json.loads(places[-1].read_text(encoding="utf-8"))["tracks"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{places[-1]} is no index of mirdata: remove it or fetch it again"
        ) from error
    return {
        track: {part: entry[0] for part, entry in files.items()} for track, files in tracks.items()
    }


def annotation(read, path, audio):
    """Return the part that an annotation is, beside a recording.

    Parameters
    ----------
    read : callable
        Reads the file.
    path, audio : Path
        The file, and the recording that it annotates: times past its end are kept and logged.

    Returns
    -------
    Part
        Its fingerprint is that of the annotation alone: nothing is changed by the recording.
    """
    return Part((path,), partial(_read_beside, read, path, audio))


def _read_beside(read, path, audio):
    found = read(path)
    ends = found["intervals"][:, 1] if "intervals" in found else found.get("onsets", ())
    length = audio_duration(audio) if len(ends) else None
    if length is not None and max(ends) > length + _CLOSE:
        what = "sections end" if "intervals" in found else "notes begin"
        late = [end - length for end in ends if end > length + _CLOSE]
        _log.warning(
            "%s: %d %s after the audio, by up to %.2f s, and are kept",
            path,
            len(late),
            what,
            max(late),
        )
    return found


def first_file(folder, *places):
    """Return the first of the files below a folder that is there, or None."""
    paths = (folder / place for place in places if place)
    return next((path for path in paths if path.is_file()), None)


def audio_file(stem):
    """Return the audio file with this path but for its suffix, or None."""
    paths = (stem.with_name(stem.name + suffix) for suffix in AUDIO_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
