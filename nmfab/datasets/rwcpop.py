"""RWC Popular Music Database: 100 songs, MIREX10 sections, AIST beats.

The files lie as mirdata 1.0 (``rwc_popular``) wants them, flat, or as the release of 2026 unpacks;
all are read as they lie, since the layouts are fixed, and no index is needed. Where mirdata's index
lies in the dataset's folder it is used first: it names the files of each track.
"""

import json
from functools import cached_property, partial

from nmfab.base.errors import DataError
from nmfab.base.types import Part, Track
from nmfab.datasets.annotations import read_aist_beats, read_sections
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import Dataset, Status, dataset
from nmfab.datasets.layout import annotation

_TRACKS = [f"RM-P{number:03d}" for number in range(1, 101)]
_DISCS = (16, 16, 16, 16, 16, 10, 10)  # tracks on each disc
_SECTION_FOLDERS = ("annotations/mirex10_sections-main", "annotations/mirex10_sections")
_BEAT_FOLDER = "annotations/AIST.RWC-MDB-P-2001.BEAT"
_CHORUS_FOLDER = "annotations/AIST.RWC-MDB-P-2001.CHORUS"
_SUFFIXES = (".wav", ".flac", ".mp3")
_INDEX = "rwc_popular_index_1.0.json"


@dataset("rwcpop", version=1)
class RWCPop(Dataset):
    """The RWC Popular Music Database.

    Each track has ``audio`` and, where the files are there, ``sections`` (MIREX10, whole song, also
    as ``sections.mirex10``), ``sections.aist`` and ``beats`` (AIST).
    """

    annotators = ("mirex10", "aist")
    annotator = "mirex10"

    release = "RWC-MDB-P-2001, MIREX10 sections, AIST annotation of beats"
    tasks = ("structure",)
    size = "4.1 GB as zip"
    steps = (
        "audio: nmfab datasets get rwcpop fetches RWC-P.zip of the release of 2026 (by hand: "
        "https://zenodo.org/records/18656623, unpacked into rwcpop/); who has the seven CDs copies "
        "each disc's tracks as 1.wav, 2.wav ... into audio/rwc-p-m01 to audio/rwc-p-m07, and those "
        "are taken first: the annotations were made on them",
        "annotations: the same command fetches the MIREX10 sections and the AIST beats and "
        "sections (by hand: the archive of the repository's branch main, and the two zips of "
        "AIST, unpacked into annotations/)",
    )
    downloads = (
        "zenodo:18656623/RWC-P.zip",
        "https://github.com/ax-le/mirex10_sections/archive/refs/heads/main.zip -> annotations",
        "mirdata:rwc_popular/annotations_beat",
        "mirdata:rwc_popular/annotations_sections",
        "mirdata:rwc_popular/index",
    )
    licence = (
        "audio (release of 2026): CC BY-NC 4.0; MIREX10 sections: CC BY-NC-SA 3.0; beats: AIST, "
        "for research"
    )
    source = (
        "audio https://zenodo.org/records/18656623 and https://staff.aist.go.jp/m.goto/RWC-MDB/; "
        "sections "
        "https://github.com/ax-le/mirex10_sections; beats "
        "https://staff.aist.go.jp/m.goto/RWC-MDB/AIST-Annotation/"
    )
    bibtex = """@inproceedings{goto2002rwc,
  title = {{RWC} Music Database: Popular, Classical and Jazz Music Databases},
  author = {Goto, Masataka and Hashiguchi, Hiroki and Nishimura, Takuichi and Oka, Ryuichi},
  booktitle = {3rd International Conference on Music Information Retrieval (ISMIR)},
  year = {2002}
}
@inproceedings{bimbot2010decomposition,
  title = {Decomposition into Autonomous and Comparable Blocks: A Structural Description of Music
           Pieces},
  author = {Bimbot, Fr{\\'e}d{\\'e}ric and Le Blouch, Olivier and Sargent, Gabriel and Vincent,
            Emmanuel},
  booktitle = {11th International Society for Music Information Retrieval Conference (ISMIR)},
  year = {2010}
}
@article{balke2026rwc,
  title = {{RWC} Revisited: Towards a Community-Driven {MIR} Corpus},
  author = {Balke, Stefan and Zeitler, Johannes and Arifi-M{\\"u}ller, Vlora and McFee, Brian and
            Nakano, Tomoyasu and Goto, Masataka and M{\\"u}ller, Meinard},
  journal = {Transactions of the International Society for Music Information Retrieval},
  volume = {9}, number = {1}, pages = {21--35},
  year = {2026}
}"""
    tree = """rwcpop/
  audio/rwc-p-m01/1.wav ... 16.wav      discs m01 to m05 hold 16 tracks, m06 and m07 hold 10
  (or audio/RM-P001.wav ... RM-P100.wav, .flac or .mp3)
  (or RWC-P/RWC_P001.wav ... RWC_P100.wav, as the release of 2026 unpacks)
  annotations/mirex10_sections-main/RM-P001.BLOCKS.lab ...
  annotations/AIST.RWC-MDB-P-2001.BEAT/RM-P001.BEAT.TXT ...        (optional: annotated bars)
  annotations/AIST.RWC-MDB-P-2001.CHORUS/RM-P001.CHORUS.TXT ...    (optional: other sections)
"""

    def status(self):
        """Return what of the 100 tracks is here: each needs its audio and its sections."""
        if self.folder is None:
            roots = " or ".join(map(str, self.roots))
            return Status("absent", f"no folder {self.name} in {roots}: {_WANTED}", _ALL)
        missing = [_disc_path(track) for track in _TRACKS if self._audio(track) is None]
        missing += [_section_path(track) for track in _TRACKS if self._sections(track) is None]
        complete = len(self.track_ids(needs=("audio", "sections")))
        if complete == len(_TRACKS):
            return Status("installed", f"{complete} tracks in {self.folder}")
        return Status(
            "partial" if complete else "absent",
            f"{complete} of {len(_TRACKS)} tracks in {self.folder} have audio and "
            f"sections: {_WANTED}",
            missing,
        )

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the tracks with audio and every part in `needs`, sorted."""
        self.check_subset(subset)
        if self.folder is None:
            return []
        wanted = {"audio", *needs}
        return [track_id for track_id in _TRACKS if wanted <= self._files(track_id).keys()]

    def load(self, track_id):
        """Return a track: ``audio`` and, where their files are, ``sections`` and ``beats``.

        Raises
        ------
        DataError
            If there is no such track, or its audio is missing.
        """
        if track_id not in _TRACKS:
            raise DataError(f"rwcpop has no track {track_id!r}: they are RM-P001 to RM-P100")
        if self.folder is None:
            raise DataError(f"{self.name}: {self.status().message}")
        files = self._files(track_id)
        if "audio" not in files:
            raise DataError(
                f"rwcpop {track_id}: {self.folder / _disc_path(track_id)} is missing (so is "
                f"{self.folder}/audio/{track_id}.wav): put the audio there"
            )
        audio = files.pop("audio")
        parts = {"audio": Part((audio,), partial(read_audio, audio))}
        for name, path in files.items():
            parts[name] = annotation(_READERS[name], path, audio)
        return Track(self.name, track_id, parts)

    def _files(self, track_id):
        found = {
            "audio": self._audio(track_id),
            "sections": self._sections(track_id),
            "sections.mirex10": self._sections(track_id),
            "sections.aist": self._aist_sections(track_id),
            "beats": self._beats(track_id),
        }
        return {name: path for name, path in found.items() if path is not None}

    def _audio(self, track_id):
        flat = (f"audio/{track_id}{suffix}" for suffix in _SUFFIXES)
        released = f"RWC-P/RWC_P{track_id[-3:]}.wav"
        return self._first(self._indexed(track_id, "audio"), _disc_path(track_id), *flat, released)

    def _sections(self, track_id):
        return self._first(*(f"{folder}/{track_id}.BLOCKS.lab" for folder in _SECTION_FOLDERS))

    def _aist_sections(self, track_id):
        place = f"{_CHORUS_FOLDER}/{track_id}.CHORUS.TXT"
        return self._first(self._indexed(track_id, "sections"), place)

    def _beats(self, track_id):
        place = f"{_BEAT_FOLDER}/{track_id}.BEAT.TXT"
        return self._first(self._indexed(track_id, "beats"), place)

    def _first(self, *places):
        paths = (self.folder / place for place in places if place)
        return next((path for path in paths if path.is_file()), None)

    def _indexed(self, track_id, name):
        return self._index.get(track_id, {}).get(name, [None])[0]

    @cached_property
    def _index(self):
        path = self.folder / _INDEX
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))["tracks"]
        except (ValueError, KeyError) as error:
            raise DataError(
                f"{path} is no index of mirdata: remove it or fetch it again"
            ) from error


def _disc_path(track_id):
    """Return where mirdata has the audio of a track: RM-P017 is the first of the second disc."""
    place = int(track_id[-3:]) - 1
    for disc, count in enumerate(_DISCS, start=1):
        if place < count:
            return f"audio/rwc-p-m{disc:02d}/{place + 1}.wav"
        place -= count
    raise DataError(f"rwcpop has no track {track_id!r}: they are RM-P001 to RM-P100")


def _section_path(track_id):
    return f"{_SECTION_FOLDERS[0]}/{track_id}.BLOCKS.lab"


_READERS = {
    "sections": read_sections,
    "sections.mirex10": read_sections,
    "sections.aist": partial(read_sections, unit=0.01),
    "beats": read_aist_beats,
}
_WANTED = (
    "put RWC-P/RWC_P001.wav ... (or audio/RM-P001.wav ...) and "
    "annotations/mirex10_sections-main/RM-P001.BLOCKS.lab ... there; nmfab datasets get rwcpop "
    "fetches them"
)
_ALL = [*map(_disc_path, _TRACKS), *map(_section_path, _TRACKS)]
