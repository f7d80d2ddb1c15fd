"""MUSDB18: full songs with four stems, as .stem.mp4 files; and what it shares with MUSDB18-HQ.

A stem file holds five audio streams: mixture, drums, bass, other, vocals. They are read with PyAV,
which gives the samples that musdb gives where ffmpeg is installed; values beyond ±1 are kept where
16-bit readers clip them.
"""

from functools import partial

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.types import Part, Track
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import Dataset, Status, dataset

STEMS = ("drums", "bass", "other", "vocals")
COUNTS = {"train": 100, "valid": 14, "test": 50}
# The validation part of train that musdb.DB(split="valid") gives.
VALIDATION = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)


class MusdbBase(Dataset):
    """The folders ``train`` and ``test`` of either form; a subclass says what a track is there.

    A track's id is ``train/NAME`` or ``test/NAME``. Its splits are ``train`` (100 tracks),
    ``valid`` (14 of those) and ``test`` (50).
    """

    licence = (
        "each track its own, for education and research only: mostly from MedleyDB and DSD100, "
        "CC BY-NC-SA 4.0"
    )
    tasks = ("separation",)
    splits = tuple(COUNTS)
    bibtex: str

    def status(self):
        """Return how many tracks of train and test are here; a track that lacks a file is named."""
        if self.folder is None:
            return self.absent()
        counts = {subset: len(self.track_ids(subset=subset)) for subset in ("train", "test")}
        message = (
            f"{counts['train']} of 100 in train, {counts['test']} of 50 in test: {self.folder}"
        )
        if counts == {"train": 100, "test": 50}:
            return Status("installed", message)
        missing = [
            f"{subset}: {COUNTS[subset] - count} of {COUNTS[subset]} tracks"
            for subset, count in counts.items()
            if count < COUNTS[subset]
        ]
        state = "partial" if any(counts.values()) else "absent"
        return Status(state, message, missing + self._incomplete())

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the tracks that are here, sorted; ``valid`` ones are in ``train`` too.

        Raises
        ------
        DataError
            If there is no such subset.
        """
        self.check_subset(subset)
        if self.folder is None or not {*needs} <= {"audio", "stems"}:
            return []
        folders = {None: ("train", "test"), "test": ("test",)}.get(subset, ("train",))
        return sorted(
            f"{folder}/{name}"
            for folder in folders
            if (self.folder / folder).is_dir()
            for name in self._names(self.folder / folder)
            if subset != "valid" or name in VALIDATION
        )

    def load(self, track_id):
        """Return a `Track` with ``audio`` (the mixture) and ``stems``.

        ``stems`` gives ``samples`` [shape=(4, channels, samples), dtype=float32], ``names`` and
        ``sample_rate`` (Hz).

        Raises
        ------
        DataError
            If there is no such track, or one of its files is missing.
        """
        if self.folder is None:
            raise DataError(f"{self.name}: {self.status().message}")
        if track_id not in self.track_ids():
            lost = [path for path in self._incomplete() if path.startswith(f"{track_id}/")]
            if lost:
                raise DataError(f"{self.folder / lost[0]} is missing: fetch {track_id} again")
            raise DataError(
                f"{self.name} has no track {track_id!r} in {self.folder}: ids are train/NAME and "
                "test/NAME"
            )
        sources = self._sources(self.folder / track_id)
        files = {
            "audio": (sources["mixture"][0],),
            "stems": tuple(dict.fromkeys(sources[name][0] for name in STEMS)),
        }
        reads = {
            "audio": partial(_read, sources["mixture"]),
            "stems": partial(_read_stems, self.name, track_id, sources),
        }
        parts = {name: Part(files[name], read) for name, read in reads.items()}
        return Track(self.name, track_id, parts)

    def _names(self, folder):
        """Return the names of the complete tracks in ``train`` or ``test``."""
        raise NotImplementedError

    def _incomplete(self):
        """Return the missing files of tracks that are here in part, below the folder."""
        return []

    def _sources(self, place):
        """Return (file, stream) of the mixture and of each stem."""
        raise NotImplementedError


def _read(source):
    path, stream = source
    return read_audio(path, stream=stream)


def _read_stems(dataset_name, track_id, sources):
    read = [_read(sources[name]) for name in STEMS]
    shapes = {(stem["samples"].shape, stem["sample_rate"]) for stem in read}
    if len(shapes) > 1:
        raise DataError(
            f"the stems of {dataset_name}/{track_id} differ in length, channels or rate: fetch the "
            "track again"
        )
    return {
        "samples": np.stack([stem["samples"] for stem in read]),
        "names": np.array(STEMS),
        "sample_rate": read[0]["sample_rate"],
    }


@dataset("musdb18", version=1)
class Musdb18(MusdbBase):
    """MUSDB18 as stem files: AAC at 256 kbit/s, nothing above 16 kHz."""

    release = "MUSDB18 1.0, Zenodo 1117372"
    size = "4.7 GB"
    source = "https://zenodo.org/records/1117372"
    downloads = ("zenodo:1117372/musdb18.zip",)
    steps = (
        "download musdb18.zip from the page above (nmfab datasets get musdb18 does all this)",
        "unzip it into a folder named musdb18, so that musdb18/train and musdb18/test are there",
    )
    bibtex = """@misc{rafii2017musdb18,
  author = {Rafii, Zafar and Liutkus, Antoine and St{\\"o}ter, Fabian-Robert and
            Mimilakis, Stylianos Ioannis and Bittner, Rachel},
  title = {The {MUSDB18} corpus for music separation},
  year = {2017}, doi = {10.5281/zenodo.1117372}
}"""
    tree = """musdb18/
  train/NAME.stem.mp4    100 tracks
  test/NAME.stem.mp4      50 tracks
"""
    _suffix = ".stem.mp4"

    def _names(self, folder):
        return [
            path.name.removesuffix(self._suffix)
            for path in folder.glob(f"*{self._suffix}")
            if path.is_file() and not path.name.startswith(".")
        ]

    def _sources(self, place):
        path = place.with_name(place.name + self._suffix)
        return {name: (path, stream) for stream, name in enumerate(("mixture", *STEMS))}
