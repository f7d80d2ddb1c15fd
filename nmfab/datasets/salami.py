"""SALAMI: popular, jazz, classical and world music, most of it annotated by two people.

The annotations are those of its public repository, as mirdata unpacks them
(``salami-data-public-hierarchy-corrections``) or as cloned (``salami-data-public``).
"""

from functools import partial

from nmfab.base.types import Part
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import LayoutDataset, annotation, audio_file, first_file, read_index
from nmfab.datasets.sections import read_boundaries

_FOLDERS = (
    "salami-data-public-hierarchy-corrections",
    "salami-data-public",
    "salami-data-public-master",
)
_FILES = {"upper": "uppercase", "lower": "lowercase", "functions": "functions"}


@dataset("salami", version=1)
class Salami(LayoutDataset):
    """SALAMI: sections by two annotators, on two levels and by function.

    A track has ``audio`` and, for each annotation there is, ``sections.ANNOTATOR.LEVEL``;
    ``sections`` is the upper level of the first annotator, or of the second where that is all.
    """

    annotators = (1, 2)
    annotator = "better"
    levels = tuple(_FILES)
    expected = 1359
    reference = "sections"
    release = "SALAMI 2.0, corrected hierarchies"
    tasks = ("structure",)
    size = "about 12 GB of mp3"
    licence = "annotations: CC0 1.0; audio: each recording its own, most of it not to be had freely"
    source = "https://github.com/DDMAL/salami-data-public"
    bibtex = """@inproceedings{smith2011salami,
  title = {Design and creation of a large-scale database of structural annotations},
  author = {Smith, Jordan B. L. and Burgoyne, J. Ashley and Fujinaga, Ichiro and De Roure, David and
            Downie, J. Stephen},
  booktitle = {12th International Society for Music Information Retrieval Conference (ISMIR)},
  year = {2011}
}"""
    tree = """salami/
  audio/2.mp3, 3.mp3 ...                        named by SALAMI's ids (or .wav, .flac)
  salami-data-public-hierarchy-corrections/
    annotations/2/parsed/textfile1_uppercase.txt, textfile1_lowercase.txt, textfile1_functions.txt
    annotations/2/parsed/textfile2_uppercase.txt ...              where a second person annotated
  salami_index_2.0-corrected.json               (optional: mirdata's index)
"""
    steps = (
        "annotations: nmfab datasets get salami (by hand: the archive of the branch "
        "hierarchy-corrections of https://github.com/bmcfee/salami-data-public, unpacked)",
        "audio: part of it (ids with source IA) is on the Internet Archive, at the addresses in "
        "the repository's metadata/id_index_internetarchive.csv; the rest are commercial "
        "recordings; put each as audio/ID.mp3",
    )
    downloads = ("mirdata:salami/annotations", "mirdata:salami/index")
    no_download = "most of the audio is commercial, and the rest is on the Internet Archive"

    def find(self):
        """Return the annotated tracks, by SALAMI's ids."""
        index = read_index(self.folder, "salami_index_*.json")
        root = next((self.folder / n for n in _FOLDERS if (self.folder / n).is_dir()), None)
        places = root.glob("annotations/*/parsed") if root else ()
        tracks, missing = {}, []
        for place in sorted(places, key=lambda path: path.parent.name.zfill(6)):
            track = place.parent.name
            audio = first_file(self.folder, index.get(track, {}).get("audio"))
            audio = audio or audio_file(self.folder / "audio" / track)
            if audio is None:
                missing.append(f"audio/{track}.mp3")
                continue
            parts = _sections(place, audio)
            if "sections" not in parts:
                missing.append(f"{place.relative_to(self.folder)}/textfile1_uppercase.txt")
            tracks[track] = {"audio": Part((audio,), partial(read_audio, audio)), **parts}
        if root is None:
            missing.append(f"{_FOLDERS[0]}/annotations")
        return tracks, missing


def _sections(place, audio):
    """Return the parts of one track's annotations."""
    parts = {}
    for annotator in Salami.annotators:
        for level, name in _FILES.items():
            path = place / f"textfile{annotator}_{name}.txt"
            if path.is_file():
                part = annotation(read_boundaries, path, audio)
                parts[f"sections.{annotator}.{level}"] = part
    main = parts.get("sections.1.upper") or parts.get("sections.2.upper")
    return parts | {"sections": main} if main else parts
