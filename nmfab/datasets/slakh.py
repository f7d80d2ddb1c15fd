"""Slakh2100 and BabySlakh: songs synthesised from MIDI, with the sound and notes of each part."""

import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.types import Part
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import LayoutDataset, audio_file
from nmfab.datasets.notes import read_midi_notes

STEMS = ("drums", "bass", "guitar", "piano", "other")
_PROGRAMS = {"piano": range(8), "guitar": range(24, 32), "bass": range(32, 40)}
_log = logging.getLogger(__name__)


@dataset("slakh", version=1)
class Slakh(LayoutDataset):
    """Slakh2100 (flac, redux) or BabySlakh (16 kHz): songs with ``audio``, ``stems`` and ``notes``.

    The sounds of a song, a dozen, are summed into `STEMS` by their General MIDI program, as
    mirdata groups them. Songs are in ``train``, ``validation``, ``test`` and ``omitted``; those of
    BabySlakh, which has no subsets, are in ``test``.
    """

    reference = "stems"
    splits: ClassVar = ("train", "validation", "test", "omitted")
    release = "Slakh2100-redux (Zenodo 4599666) or BabySlakh (Zenodo 4603870)"
    tasks = ("separation", "transcription")
    size = "105 GB as archive; BabySlakh: 0.9 GB"
    licence = "CC BY 4.0"
    source = "http://www.slakh.com"
    bibtex = """@inproceedings{manilow2019cutting,
  title = {Cutting Music Source Separation Some {Slakh}: A Dataset to Study the Impact of Training
           Data Quality and Quantity},
  author = {Manilow, Ethan and Wichern, Gordon and Seetharaman, Prem and Le Roux, Jonathan},
  booktitle = {IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA)},
  year = {2019}
}"""
    tree = """slakh/
  slakh2100_flac_redux/{train,validation,test,omitted}/Track00001/
      mix.flac  metadata.yaml  stems/S00.flac ...  MIDI/S00.mid ...
  (or babyslakh_16k/Track00001/ with mix.wav, stems/S00.wav ...)
"""
    steps = (
        "nmfab datasets get slakh fetches BabySlakh, 20 songs",
        "all 1710: slakh2100_flac_redux.tar.gz of https://zenodo.org/records/4599666, unpacked "
        "into slakh/",
    )
    downloads = ("mirdata:slakh/baby",)

    def find(self):
        """Return the songs, as ``train/Track00001``, or ``Track00001`` of BabySlakh."""
        tracks, missing = {}, []
        places = [
            *self.folder.glob("slakh2100_flac_redux/*/Track*"),
            *self.folder.glob("babyslakh_16k/Track*"),
        ]
        for place in sorted(places):
            audio, table = audio_file(place / "mix"), place / "metadata.yaml"
            if audio is None or not table.is_file():
                lost = place / "mix.flac" if audio is None else table
                missing.append(lost.relative_to(self.folder).as_posix())
                continue
            tracks[_name(place)] = _parts(place, audio, table)
        return tracks, missing or ([] if tracks else ["slakh2100_flac_redux/train/Track00001 ..."])

    @property
    def expected(self):
        """Number of songs in the release that is here."""
        return 1710 if (self.folder / "slakh2100_flac_redux").is_dir() else 20

    def subset_of(self, track_id):
        """Return the subset; ``test`` for BabySlakh."""
        return track_id.partition("/")[0] if "/" in track_id else "test"


def _name(place):
    subset = place.parent.name
    return place.name if subset == "babyslakh_16k" else f"{subset}/{place.name}"


def _parts(place, audio, table):
    stems = [path for path in sorted((place / "stems").glob("S*")) if not path.name.startswith(".")]
    midi = sorted((place / "MIDI").glob("S*.mid"))
    parts = {"audio": Part((audio,), partial(read_audio, audio))}
    if stems:
        parts["stems"] = Part((table, *stems), partial(read_stems, audio, table, stems))
    if midi:
        parts["notes"] = Part((table, *midi), partial(_read_notes, table, midi))
    return parts


def read_stems(mix, table, stems):
    """Read the sounds of a song, summed into `STEMS`.

    Parameters
    ----------
    mix : path
        The mixture, which all are as long as.
    table : path
        ``metadata.yaml``.
    stems : sequence of Path
        The sounds.

    Returns
    -------
    dict
        ``samples`` [shape=(n, channels, samples), dtype=float32], ``names`` (n,) and
        ``sample_rate`` (Hz); groups without a sound are left out.

    Raises
    ------
    DataError
        If a file cannot be read, or one has another rate than the mixture.
    """
    audio, entries = read_audio(mix), _entries(table)
    shape, rate = audio["samples"].shape, audio["sample_rate"]
    groups, cut = {}, 0
    for path in stems:
        sound = read_audio(path)
        if sound["sample_rate"] != rate:
            raise DataError(f"{path} has {sound['sample_rate']} Hz and its mixture {rate} Hz")
        sum_ = groups.setdefault(_group(entries.get(path.stem, {})), np.zeros(shape, np.float32))
        length = min(shape[1], sound["samples"].shape[1])
        cut += length < sound["samples"].shape[1]
        sum_[:, :length] += sound["samples"][:, :length]
    if cut:
        _log.warning("%s: %d stems are longer than the mixture and are cut", Path(mix).parent, cut)
    names = [name for name in STEMS if name in groups]
    samples = np.stack([groups[name] for name in names])
    return {"samples": samples, "names": np.array(names), "sample_rate": rate}


def _read_notes(table, midi):
    entries = _entries(table)
    pitched = [path for path in midi if not entries.get(path.stem, {}).get("is_drum")]
    if not pitched:
        raise DataError(f"{table.parent} has no pitched part: leave it out")
    return read_midi_notes(*pitched)


def _entries(table):
    import yaml

    try:
        return yaml.safe_load(table.read_text(encoding="utf-8"))["stems"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{table} is no metadata of Slakh: fetch it again") from error


def _group(entry):
    if entry.get("is_drum"):
        return "drums"
    program = entry.get("program_num", -1)
    return next((name for name, programs in _PROGRAMS.items() if program in programs), "other")
