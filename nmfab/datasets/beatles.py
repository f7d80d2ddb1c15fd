"""The Beatles: 180 songs, sections and beats of Isophonics, as mirdata lays them out."""

import re
from functools import partial

from nmfab.base.types import Part
from nmfab.datasets.annotations import read_sections
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import LayoutDataset, annotation, audio_file, first_file, read_index
from nmfab.datasets.sections import read_beats

_SECTIONS = "annotations/seglab/The Beatles"
_BEATS = "annotations/beat/The Beatles"


@dataset("beatles", version=1)
class Beatles(LayoutDataset):
    """The Beatles: sections and beats of Isophonics.

    Ids are mirdata's: number of the album, of the disc where there are two, and of the song.
    """

    expected = 180
    reference = "sections"
    release = "Isophonics reference annotations 1.2"
    tasks = ("structure",)
    size = "about 4.5 GB of wav"
    licence = "annotations: none stated by Isophonics; audio: commercial CDs"
    source = "http://isophonics.net/content/reference-annotations-beatles"
    bibtex = """@inproceedings{mauch2009omras2,
  title = {{OMRAS2} metadata project 2009},
  author = {Mauch, Matthias and Cannam, Chris and Davies, Matthew and Dixon, Simon and Harte,
            Christopher and Kolozali, Sefki and Tidhar, Dan and Sandler, Mark},
  booktitle = {10th International Society for Music Information Retrieval Conference (ISMIR),
               late-breaking session},
  year = {2009}
}"""
    tree = """beatles/
  audio/01_-_Please_Please_Me/01_-_I_Saw_Her_Standing_There.wav ...         (or .flac, .mp3)
  annotations/seglab/The Beatles/01_-_Please_Please_Me/01_-_I_Saw_Her_Standing_There.lab ...
  annotations/beat/The Beatles/01_-_Please_Please_Me/01_-_I_Saw_Her_Standing_There.txt ...
  beatles_index_1.2.json                               (optional: mirdata's index)
"""
    steps = (
        "annotations: nmfab datasets get beatles (by hand: The Beatles Annotations.tar.gz of "
        "isophonics.net, unpacked into annotations/)",
        "audio: copy the CDs; albums and songs are named as the annotations are",
    )
    downloads = ("mirdata:beatles/annotations", "mirdata:beatles/index")
    no_download = "the audio is on commercial CDs"

    def find(self):
        """Return the songs that have sections, by mirdata's ids."""
        index = read_index(self.folder, "beatles_index_*.json")
        audio_of = {files.get("sections"): files.get("audio") for files in index.values()}
        tracks, missing = {}, []
        for path in sorted(self.folder.glob(f"{_SECTIONS}/*/*.lab")):
            place = path.relative_to(self.folder / _SECTIONS).with_suffix("")
            named = audio_of.get(path.relative_to(self.folder).as_posix())
            audio = first_file(self.folder, named) or audio_file(self.folder / "audio" / place)
            if audio is None:
                missing.append(f"audio/{place}.wav")
                continue
            parts = {
                "audio": Part((audio,), partial(read_audio, audio)),
                "sections": annotation(read_sections, path, audio),
            }
            beats = self.folder / _BEATS / place.with_name(place.name + ".txt")
            if beats.is_file():
                parts["beats"] = Part((beats,), partial(read_beats, beats))
            tracks[song_id(place)] = parts
        if not tracks and not missing:
            missing.append(f"{_SECTIONS}/ALBUM/SONG.lab")
        return tracks, missing


def song_id(place):
    """Return mirdata's id: ``10CD2_-_The_Beatles/CD2_-_01_-_Birthday`` is 10201.

    Parameters
    ----------
    place : Path
        Album and song; one that is not numbered so is its own id.

    Returns
    -------
    str
    """
    album = re.match(r"(\d+)(?:CD(\d))?_", place.parent.name)
    song = re.match(r"(?:CD\d_-_)?(\d+)_", place.name)
    if not (album and song):
        return place.as_posix()
    return "".join((album[1], album[2] or "", song[1]))
