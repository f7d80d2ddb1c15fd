"""GuitarSet: 360 excerpts of acoustic guitar with the notes of each string; mirdata's layout."""

from functools import partial

from nmfab.base.types import Part
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import LayoutDataset, annotation, first_file
from nmfab.datasets.notes import read_jams_notes


@dataset("guitarset", version=1)
class GuitarSet(LayoutDataset):
    """GuitarSet: audio of the reference microphone, notes of the six strings together.

    The six players are its folds (Wiggins and Kim, "Guitar tablature estimation with a
    convolutional neural network", ISMIR 2019).
    """

    expected = 360
    reference = "notes"
    release = "GuitarSet 1.1.0"
    tasks = ("transcription",)
    size = "0.7 GB as zip"
    licence = "MIT, as mirdata states; the Zenodo record: CC BY 4.0"
    source = "https://zenodo.org/records/3371780"
    bibtex = """@inproceedings{xi2018guitarset,
  title = {{GuitarSet}: A Dataset for Guitar Transcription},
  author = {Xi, Qingyang and Bittner, Rachel M. and Pauwels, Johan and Ye, Xuzhou and
            Bello, Juan P.},
  booktitle = {19th International Society for Music Information Retrieval Conference (ISMIR)},
  year = {2018}
}"""
    tree = """guitarset/
  annotation/00_BN1-129-Eb_comp.jams ...
  audio_mono-mic/00_BN1-129-Eb_comp_mic.wav ...       (or audio_mono-pickup_mix/..._mix.wav)
"""
    steps = (
        "nmfab datasets get guitarset (by hand: annotation.zip and audio_mono-mic.zip, each "
        "unpacked into a folder of its own name)",
    )
    downloads = ("mirdata:guitarset/annotations", "mirdata:guitarset/audio_mic")

    def fold(self, track_id):
        """Return the player, ``"00"`` to ``"05"``."""
        return track_id.partition("_")[0]

    def find(self):
        """Return the excerpts, by the names of their annotations."""
        tracks, missing = {}, []
        for path in sorted(self.folder.glob("annotation/[!.]*.jams")):
            name = path.stem
            wanted = f"audio_mono-mic/{name}_mic.wav"
            audio = first_file(self.folder, wanted, f"audio_mono-pickup_mix/{name}_mix.wav")
            if audio is None:
                missing.append(wanted)
                continue
            tracks[name] = {
                "audio": Part((audio,), partial(read_audio, audio)),
                "notes": annotation(read_jams_notes, path, audio),
            }
        return tracks, missing or ([] if tracks else ["annotation/NAME.jams"])
