"""What holds for every dataset, ours and a user's alike: its header, how tracks are read."""

import tempfile
from typing import NamedTuple

import numpy as np

from nmfab.base.errors import DataError, NmfabError
from nmfab.base.types import Track


class Result(NamedTuple):
    """What one check gave; `passed` is None where it had nothing to look at."""

    name: str
    passed: bool | None
    detail: str


class Failed(Exception):
    """A check that does not hold; its text says what was seen."""


def check(dataset, roots):
    """Run every check on a class of datasets.

    Parameters
    ----------
    dataset : type
        A subclass of `Dataset`.
    roots : sequence of Path
        Folders in which it is looked for. Where it is in none, its tracks are not checked.

    Yields
    ------
    Result
    """
    for name, function in CHECKS.items():
        try:
            detail, passed = function(dataset, roots), True
            if detail is None:
                detail, passed = "the dataset is not on this machine", None
        except (Failed, NmfabError) as error:
            detail, passed = str(error), False
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises is its answer
            detail, passed = repr(error), False
        yield Result(name, passed, detail)


def _header(dataset, roots):
    lacking = [
        name for name in ("tasks", "tree", "source", "licence") if not getattr(dataset, name)
    ]
    if lacking:
        raise Failed(f"empty: {', '.join(lacking)}")
    return f"for {', '.join(dataset.tasks)}"


def _absent(dataset, roots):
    with tempfile.TemporaryDirectory() as empty:
        made = dataset([empty])
        status = made.status()
        if status.state != "absent" or not status.message or "\n" in status.message:
            raise Failed(f"in an empty folder its status is {status.state!r}: {status.message!r}")
        if list(made.track_ids()):
            raise Failed("in an empty folder it has tracks")
        try:
            made.load("none")
        except DataError:
            return "status, ids and loading say so"
        raise Failed("in an empty folder it loads a track: raise DataError")


def _tracks(dataset, roots):
    made = dataset(roots)
    ids = list(made.track_ids())
    if not ids:
        return None
    if ids != sorted(set(ids)) or not all(type(name) is str for name in ids):
        raise Failed(f"ids are not sorted texts, each once: {ids[:3]}")
    if list(dataset(roots).track_ids(("no such part",))):
        raise Failed("track_ids(needs) names tracks that lack a part in needs")
    state = made.status().state
    if state not in ("installed", "partial"):
        raise Failed(f"it has {len(ids)} tracks, and its status is {state!r}")
    return f"{len(ids)}, {state}"


def _loading(dataset, roots):
    made = dataset(roots)
    ids = list(made.track_ids())
    if not ids:
        return None
    track = made.load(ids[0])
    if not isinstance(track, Track) or (track.dataset, track.id) != (dataset.name, ids[0]):
        raise Failed(f"load({ids[0]!r}) gives {track!r}")
    for name, part in track.parts.items():
        lost = [str(file) for file in part.files if not file.is_file()]
        if lost or not part.files:
            raise Failed(f"part {name} of {track.id} names no file that is there: {lost}")
        _part(track, name, part.read())
    return f"{track.id}: {', '.join(track.parts)}"


def _part(track, name, found):
    if not found or not all(isinstance(key, str) for key in found):
        raise Failed(f"part {name} of {track.id} is no dict of arrays: {found!r}")
    if name == "audio":
        samples = np.asarray(found.get("samples"))
        if samples.ndim != 2 or samples.dtype != np.float32 or not found.get("sample_rate", 0) > 0:
            raise Failed(
                f"audio of {track.id}: samples (channels × samples, float32) and sample_rate (Hz) "
                f"are needed, not {samples.dtype} of shape {samples.shape}"
            )


CHECKS = {
    "header": _header,
    "absent": _absent,
    "tracks": _tracks,
    "loading": _loading,
}
