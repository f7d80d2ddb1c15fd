"""The nouns that the layers hand to each other: parts and tracks, parameters and nodes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmfab.base.errors import ComputationError, DataError

STAGES = ("features", "nmf", "postprocessing", "metrics")
DECODER = "av"  # what reads audio files; the samples of a lossy one depend on its release
LOSSY = {".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".wma", ".webm"}


@dataclass(frozen=True)
class Part:
    """One part of a track (its audio, an annotation): read when needed, told apart by its bytes.

    Attributes
    ----------
    files : tuple of Path
        The files whose bytes make the fingerprint.
    read : callable
        Returns the part as a dict of arrays. ``audio`` gives ``samples`` (channels × samples,
        float32) and ``sample_rate`` (Hz); sections give ``intervals`` (n × 2, seconds) and
        ``labels`` (n,); beats give ``times`` (n,) in seconds and ``positions`` (n,), 1 on a
        downbeat.
    """

    files: tuple[Path, ...]
    read: Callable[[], Mapping[str, Any]]

    @property
    def libraries(self):
        """Names of the libraries whose release decides what is read: the decoder of lossy audio."""
        lossy = any(path.suffix.lower() in LOSSY for path in self.files)
        return (DECODER,) if lossy else ()


@dataclass(frozen=True)
class Track:
    """One recording with its reference annotations, each part read on demand."""

    dataset: str
    id: str
    parts: Mapping[str, Part]

    def part(self, name):
        """Return a part, or raise DataError naming the track and what it has."""
        if name not in self.parts:
            raise DataError(
                f"track {self.id} of {self.dataset} has no {name}: it has {', '.join(self.parts)}"
            )
        return self.parts[name]


@dataclass(frozen=True)
class Param:
    """A parameter of a task.

    Attributes
    ----------
    default : Any
        The value where neither experiment, plan nor command line gives one.
    help : str
        One line: meaning and unit.
    choices : sequence, optional
        The values that exist, where they are few.
    text : bool
        A parameter whose default is a number takes text too (``stop="10s"``).
    """

    default: Any
    help: str
    choices: Sequence[Any] | None = None
    text: bool = False


@dataclass(frozen=True)
class Node:
    """One computation inside a stage, and all that its result depends on.

    A task builds the nodes that one setting asks for. ``compute(params, **arrays)`` is a pure
    function: it receives one dict of arrays per part and per input node, under the part's name and
    the input's short name (``bars`` for ``features.bars``), and returns a dict of arrays (numbers
    and text included) without touching what it was given.

    Attributes
    ----------
    name : str
        ``stage.short_name``, the stage being one of `STAGES`.
    compute : callable
        See above. A fit node is given an iterable for each part and input, of one dict of arrays
        per track: they are loaded when their turn comes, anew each time it is gone through.
    params : mapping
        Name and value of every parameter that the result depends on.
    parts : tuple of str
        Parts of the track that are read. Those in `optional_parts` may be missing from a track,
        and are then passed as None.
    inputs : tuple of str
        Names of the nodes that are read.
    versions : mapping
        Version of every component in use, e.g. ``{"feature.log_mel": 1}``. The task's own is added.
    libraries : tuple of str
        Libraries whose release decides the result, by the names under which they are installed.
    optional_parts : tuple of str
        See `parts`.
    small : bool
        Kept in the job's shard (estimates, scores) and not in a file of its own.
    transient : bool
        Not kept at all, but made again for each reader: the sound of estimates.
    batch : tuple of str
        Parameters whose settings may share one call of `compute_batch`.
    compute_batch : callable, optional
        ``compute_batch(list_of_params, **arrays)`` returns a list of dicts, or of exceptions.
    returns : tuple of str
        Names of the arrays that `compute` returns, which is checked; a trailing ``?`` marks one
        that may be missing. Empty: not declared.
    decode : callable, optional
        ``decode(arrays)`` makes of the stored arrays what readers are given in their place (a
        factorization of its kind). It is called once per artifact; its result is not to be changed.
    fit : callable, optional
        Makes this a fit node: ``fit(dataset, track)`` names the tracks that it learns from for a
        track, as (name of the dataset, track) pairs; `dataset` is the track's own, an object. There
        is one artifact per set of pairs.
    """

    name: str
    compute: Callable[..., Mapping[str, Any]]
    params: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)
    optional_parts: tuple[str, ...] = ()
    small: bool = False
    transient: bool = False
    batch: tuple[str, ...] = ()
    compute_batch: Callable[..., Sequence[Any]] | None = None
    libraries: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    decode: Callable[[Mapping[str, Any]], Any] | None = None
    fit: Callable[[Any, str], Sequence[tuple[str, str]]] | None = None

    def check_returned(self, names):
        """Raise ComputationError where `compute` returned other arrays than `returns` declares."""
        if not self.returns:
            return
        declared = {name.removesuffix("?") for name in self.returns}
        wanted = {name for name in self.returns if not name.endswith("?")}
        lacking, unknown = sorted(wanted - set(names)), sorted(set(names) - declared)
        told = [f"it returned no {name}" for name in lacking]
        told += [f"it returned {name}, which it does not declare" for name in unknown]
        if told:
            raise ComputationError("; ".join(told))

    @property
    def stage(self):
        """The stage that the node belongs to."""
        return self.name.partition(".")[0]

    @property
    def short_name(self):
        """The name under which a reader receives the node's arrays."""
        return self.name.partition(".")[2]


def file_digest(path):
    """Return the BLAKE2b digest of a file's bytes, 32 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
