"""The embedded dataset: short pieces written as scores in code, rendered by sampled instruments.

Songs with sections and beats, for structure; piano pieces with their notes, and isolated notes of
the same piano, for transcription; mixes with their four stems, for separation. Everything is
rendered into ``data/demo`` the first time it is loaded, the same bits every time.
"""

import logging
from functools import cache, partial

from nmfab.base.errors import DataError
from nmfab.base.types import Part, Track
from nmfab.base.values import digest
from nmfab.datasets import contract
from nmfab.datasets.contract import Dataset, Status, dataset
from nmfab.datasets.demo import files, tracks
from nmfab.datasets.demo.sampler import INSTALL, soundfont

_log = logging.getLogger("nmfab")


@dataset("demo", version=1)
class Demo(Dataset):
    """Songs, piano pieces and mixes that come with nmfab; see `tracks` for what each kind holds."""

    extras = ("isolated", "isolated:piano")
    release = "pieces written as scores in code"
    tasks = ("structure", "transcription", "separation")
    size = "about 80 MB"
    steps = ("nothing: it is rendered where it is first loaded, and offline",)
    licence = (
        "Scores: BSD-3-Clause, as nmfab. Sound: rendered on the user's machine with TimGM6mb.sf2 "
        "by Tim Brechbill from pretty_midi's wheel; the wheel is MIT and states no licence for "
        "the soundfont, which Debian (timgm6mb-soundfont) distributes as GPL-2. nmfab ships "
        "neither the soundfont nor the rendered sound."
    )
    bibtex = """@software{nmfab,
  title = {nmfab: a benchmark of nonnegative matrix factorization for audio},
  author = {{The nmfab developers}},
  license = {BSD-3-Clause}
}"""
    source = f"rendered where it is first loaded; {INSTALL}"
    tree = """demo/
    <song>/    audio.wav  sections.lab  beats.txt
    <piano>/   audio.wav  notes.txt
    <isol_NNN>/audio.wav  notes.txt
    <mix>/     audio.wav  drums.wav  bass.wav  other.wav  vocals.wav"""

    @property
    def folder(self):
        """The dataset's folder in the repository's data, whatever the roots."""
        return contract.repository_data() / "demo"

    def status(self):
        """Return the `Status`: installed where it can be rendered or has been."""
        missing = [name for name in tracks.all_ids() if not self._rendered(name)]
        if not missing:
            return Status("installed", f"rendered in {self.folder}")
        try:
            soundfont()
        except DataError:
            state = "absent" if len(missing) == len(tracks.all_ids()) else "partial"
            return Status(state, f"{len(missing)} tracks to render: {INSTALL}", missing)
        return Status("installed", f"rendered into {self.folder} when first loaded")

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the songs, piano pieces and mixes that have the parts named.

        The subset ``isolated`` is one note for each key of the piano, from the lowest.

        Raises
        ------
        DataError
            If there is no such subset.
        """
        self.check_subset(subset)
        named = tracks.listed_ids()
        if subset is not None:
            named = [name for name in tracks.all_ids() if name.startswith("isol_")]
        return [name for name in named if {*needs} <= {*tracks.kind(name).parts}]

    def instrument(self, track_id):
        """Return piano for the pieces and the isolated notes, None for songs and mixes."""
        return "piano" if "notes" in tracks.kind(track_id).parts else None

    def load(self, track_id):
        """Return a `Track`, rendered if it has not been.

        Raises
        ------
        DataError
            If there is no such track, or it cannot be rendered here.
        """
        kind = tracks.kind(track_id)
        folder = self.folder / track_id
        if not self._rendered(track_id):
            _log.info("rendering %s into %s", track_id, folder)
            soundfont()
            kind.render(track_id, folder)
            with files.written_whole(folder / "score") as file:  # last: all the rest is there
                file.write(_score(track_id).encode())
        parts = {
            name: Part(tuple(folder / file for file in part.files), partial(part.read, folder))
            for name, part in kind.parts.items()
        }
        return Track(self.name, track_id, parts)

    def _rendered(self, track_id):
        """Tell whether the files were made from the score as it is now."""
        mark = self.folder / track_id / "score"
        return mark.is_file() and mark.read_text() == _score(track_id)


@cache
def _score(track_id):
    """Return the digest of what a track is rendered from."""
    return digest(tracks.kind(track_id).score(track_id))
