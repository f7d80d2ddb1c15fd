"""Miniatures: the official layout of every dataset, with seconds of synthesised sound.

Folders, names and forms of files are those of the real thing, and so are the quirks of its
annotations: sections of no length, repeated times, CRLF, a missing second annotator. What is heard
is made here and free; no figure computed on it means anything.
"""

from pathlib import Path

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.datasets.mini import anuraset, notes, own, sections, stems

_WRITERS = {
    "anuraset": anuraset.write,
    "beatles": sections.write_beatles,
    "folder": own.write,
    "guitarset": notes.write_guitarset,
    "maestro": notes.write_maestro,
    "maps": notes.write_maps,
    "musdb18": stems.write_musdb18,
    "musdb18hq": stems.write_musdb18hq,
    "rwcpop": sections.write_rwcpop,
    "salami": sections.write_salami,
    "slakh": stems.write_slakh,
}
NAMES = tuple(_WRITERS)


def write(name, root):
    """Write a miniature.

    Parameters
    ----------
    name : str
        A dataset of `NAMES`.
    root : path
        The folder in which a folder named like the dataset is made: what ``--data`` names.

    Returns
    -------
    Path
        The dataset's folder.

    Raises
    ------
    UsageError
        If there is no such miniature, or the dataset's folder is there and not empty.
    """
    if name not in _WRITERS:
        raise UsageError(unknown("miniature", name, NAMES))
    folder = Path(root) / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    _WRITERS[name](folder)
    return folder
