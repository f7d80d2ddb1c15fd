"""MUSDB18-HQ: the songs of MUSDB18 as folders of uncompressed wav files."""

from nmfab.datasets.contract import dataset
from nmfab.datasets.musdb18 import STEMS, MusdbBase

_FILES = ("mixture", *STEMS)


@dataset("musdb18hq", version=1)
class Musdb18HQ(MusdbBase):
    """MUSDB18-HQ: 16-bit stereo at 44.1 kHz, with the full bandwidth."""

    release = "MUSDB18-HQ 1.0, Zenodo 3338373"
    size = "22.7 GB"
    source = "https://zenodo.org/records/3338373"
    downloads = ("zenodo:3338373/musdb18hq.zip",)
    steps = (
        "download musdb18hq.zip from the page above (nmfab datasets get musdb18hq does all this)",
        "unzip it into a folder named musdb18hq, so that musdb18hq/train and musdb18hq/test are "
        "there",
    )
    bibtex = """@misc{rafii2019musdb18hq,
  author = {Rafii, Zafar and Liutkus, Antoine and St{\\"o}ter, Fabian-Robert and
            Mimilakis, Stylianos Ioannis and Bittner, Rachel},
  title = {{MUSDB18-HQ}, an uncompressed version of {MUSDB18}},
  year = {2019}, doi = {10.5281/zenodo.3338373}
}"""
    tree = """musdb18hq/
  train/NAME/mixture.wav, drums.wav, bass.wav, other.wav, vocals.wav    100 tracks
  test/NAME/mixture.wav, drums.wav, bass.wav, other.wav, vocals.wav      50 tracks
"""

    def _names(self, folder):
        return [path.name for path in _folders(folder) if not _lost(path)]

    def _incomplete(self):
        """Return missing files of folders that hold some wav files, as ``train/NAME/bass.wav``."""
        if self.folder is None:
            return []
        return sorted(
            f"{subset}/{path.name}/{name}.wav"
            for subset in ("train", "test")
            for path in _folders(self.folder / subset)
            if len(_lost(path)) < len(_FILES)
            for name in _lost(path)
        )

    def _sources(self, place):
        return {name: (place / f"{name}.wav", 0) for name in _FILES}


def _folders(folder):
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _lost(path):
    return [name for name in _FILES if not (path / f"{name}.wav").is_file()]
