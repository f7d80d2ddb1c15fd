"""Transcription: which notes sound when, from a factorization of the spectrogram."""

from functools import partial
from typing import ClassVar

import numpy as np

from nmfab.algorithms import frame, isolated
from nmfab.algorithms.init import VERSION as TEMPLATES_VERSION
from nmfab.algorithms.init import harmonic_templates
from nmfab.base.errors import DataError
from nmfab.base.kinds import restored, stored
from nmfab.base.types import Node, Param
from nmfab.datasets import DATASETS
from nmfab.metrics import transcription as scoring
from nmfab.postprocessing import Choices
from nmfab.postprocessing import notes as noting
from nmfab.tasks import steps
from nmfab.tasks.contract import Metric, Task, task
from nmfab.tasks.nmf import NMF_PARAMS, form_of, kind_has, kind_of, kind_version, nmf_node, nmf_skip
from nmfab.tasks.steps import Offer, of_node, of_part
from nmfab.tasks.stft import NAME as STFT
from nmfab.tasks.stft import stft_node

_SOUND_RATE = 22050  # Hz, of notes played back
_SOUND_VERSION = 1
_TRANSFORM = ("sample_rate", "window", "n_fft", "hop", "power", "excerpt", "views")
_DICTIONARY, _PITCHES = "nmf.dictionary", "postprocessing.pitches"
_OWN = "own"  # in a dictionary's name: the instrument that plays the track


@task("transcription", version=1)
class Transcription(Task):
    """Notes by NMF of the magnitude spectrogram.

    Each template has one pitch, and its activation says when that pitch sounds. The row without
    NMF is chosen by ``baseline``: ``salience``, the product WᵀV of unit-norm harmonic templates
    with the spectrogram in the place of the activations. With a ``dictionary``, templates are
    learned on isolated notes and held fixed. Two decisions may be made with a look at the
    reference: ``pitch`` oracle names the templates, ``thresholding`` oracle chooses a threshold for
    each pitch. What such a row misses, the activations do not tell.
    """

    forms = ("matrix", "channels", "views")
    needs = ("audio", "notes")
    protocol = ("excerpt", "onset_tolerance", "pitch_unit")
    params: ClassVar = {
        **NMF_PARAMS,
        "rank": Param(88, "number of components; 88 are the keys of a piano"),
        "init": Param("harmonic", "starting factors", choices=NMF_PARAMS["init"].choices),
        "baseline": Param(
            None, "a row without NMF", choices=Choices("transcription", before=(None,))
        ),
        "dictionary": Param(
            None,
            "templates learned on isolated notes and held fixed: all the dataset has (isolated), "
            "those of one instrument, by name, of the instrument that plays the track (own; own:M "
            "where the dataset names loudnesses), or another dataset's (maps:isolated, "
            "maps:isolated:ENSTDkCl)",
        ),
        "pitch": Param("fixed", "what names the templates", choices=Choices("pitch")),
        "sample_rate": Param(16000, "rate that audio is resampled to, Hz; null keeps the track's"),
        "window": Param(2048, "length of the window, samples; null for n_fft"),
        "n_fft": Param(2048, "length of the transform, samples"),
        "hop": Param(320, "distance of the frames, samples"),
        "power": Param(1, "V is the modulus to this power", choices=(1, 2)),
        "views": Param(
            (4096, 1024), "lengths of the windows, samples, for an algorithm that takes views"
        ),
        "excerpt": Param(30, "seconds from the beginning; null for the whole recording"),
        "threshold": Param(
            0.1, "of activations, in parts of their global maximum; as a magnitude, whatever power"
        ),
        "thresholding": Param(
            "fixed",
            "notes begin above the threshold, or where they rise so much above their past average, "
            "or as fixed with the best threshold of each pitch (oracle)",
            choices=Choices("thresholding"),
        ),
        "average": Param(0.2, "length of that past average, s"),
        "gap": Param(0.05, "longest silence inside a note, s"),
        "shortest": Param(0.1, "shortest note, and shortest time between two of one pitch, s"),
        "onset_tolerance": Param(scoring.ONSET_TOLERANCE, "of onsets counted as right, s"),
        "pitch_unit": Param(
            "hz",
            "unit of the pitches given to mir_eval; midi lets semitones pass, to reproduce figures "
            "computed so",
            choices=scoring.PITCH_UNITS,
        ),
    }
    metrics: ClassVar = {
        "F": Metric("F of notes: pitch and onset"),
        "precision": Metric("precision of notes"),
        "recall": Metric("recall of notes"),
        "accuracy": Metric("notes found / (found + false + missed)"),
        "F_offset": Metric("F of notes: pitch, onset and offset"),
        "precision_offset": Metric("precision of notes, offset too"),
        "recall_offset": Metric("recall of notes, offset too"),
        "frame_F": Metric("F of pitches sounding every 10 ms, from counts over the recording"),
        "frame_precision": Metric("precision of those"),
        "frame_recall": Metric("recall of those"),
        "onset_deviation": Metric(
            "median of estimated − annotated onset of found notes", None, "s"
        ),
        "recall_ceiling": Metric(
            "share of notes whose pitch has a template: bound of recall", None
        ),
        "notes": Metric("number of notes estimated", None),
        "reference_notes": Metric("number of notes annotated", None),
    }

    def nodes(self, p):
        """Return spectrogram, factorization, pitches, notes and scores."""
        form = _form(p)
        spectrum = stft_node(p, _TRANSFORM, form=form, mono=form != "channels")
        named = [] if _own_pitches(p) else [_pitches_node(p)]
        return [spectrum, *_factorizing_nodes(p), *named, _notes_node(p), _metrics_node(p)]

    def sound_node(self, p):
        """Return a node that plays the estimated notes; no table needs it, and it is not kept."""
        return Node(
            name="postprocessing.sound",
            compute=_sound,
            inputs=("postprocessing.estimate",),
            versions={"postprocessing.sound": _SOUND_VERSION},
            returns=("samples", "sample_rate", "names"),
        )

    def kind(self, p):
        """Return ``"oracle"`` with a look at the reference, else ``"baseline"`` without NMF."""
        if steps.looks((*_naming(p), *_detecting(p), *_unfactorized(p))):
            return "oracle"
        return "" if p["baseline"] is None else "baseline"

    def skip(self, p):
        """Return why a setting cannot be computed, or None."""
        chain = (*_naming(p), *_detecting(p), *_unfactorized(p))
        if p["baseline"] is not None:
            return steps.skip(chain, p | {"init": "harmonic"}, _offers(p))
        held = p["dictionary"] is not None
        if held and _source(p["dictionary"])[0] is not None:
            DATASETS[_source(p["dictionary"])[0]]  # UsageError where there is none of that name
            if p["sample_rate"] is None:
                return "a dictionary of another dataset needs a sample_rate that both come to"
        forms = ("matrix",) if held else tuple(self.forms)
        needs = steps.methods(chain)
        reason = nmf_skip(p, frequencies=True, templates=held, forms=forms, needs=needs)
        return reason or steps.skip(chain, p | _start(p), _offers(p))


def _form(p):
    return "matrix" if p["baseline"] is not None else form_of(p)


def _start(p):
    """Return the start that the factorization reads, None for one that draws its own."""
    return {"init": nmf_node(p, source=STFT).params.get("init")}


def _own_pitches(p):
    """Tell whether components have pitches without a step: learned so, or by construction."""
    return p["baseline"] is None and (p["dictionary"] is not None or kind_has(p, "pitches"))


def _unfactorized(p):
    return () if p["baseline"] is None else (steps.choice("transcription", p, "baseline"),)


def _naming(p):
    """Return the step that names pitches, none where components have them."""
    if _own_pitches(p):
        return ()
    if p["baseline"] is not None:  # its templates are those of a harmonic start
        return (steps.always("pitch", "fixed"),)
    return (steps.choice("pitch", p, "pitch"),)


def _detecting(p):
    """Return the steps from activations to notes."""
    return steps.always("activity", "merged"), steps.choice("thresholding", p, "thresholding")


def _offers(p):
    """Return what transcription offers to its steps.

    Returns
    -------
    dict of str to Offer
        ``factorization``, ``pitches`` (MIDI, of its components), ``V``, ``frequencies`` (Hz, of its
        rows), ``harmonic_templates`` [shape=(m, 88)], ``step`` (s between frames), ``duration`` (s,
        of the excerpt), ``sample_rate`` (Hz), ``notes`` (the reference).
    """
    view = f".{p['views'][0]}" if _form(p) == "views" else ""
    frequencies = of_node(STFT, f"frequencies{view}")
    found = {
        "factorization": _factorization(p),
        "V": of_node(STFT, f"V{view}"),
        "frequencies": frequencies,
        "harmonic_templates": Offer(
            lambda params, arrays: harmonic_templates(frequencies.get(params, arrays)),
            inputs=(STFT,),
            versions={"nmf.init": TEMPLATES_VERSION},
        ),
        "step": of_node(STFT, "step"),
        "duration": of_node(STFT, "duration"),
        "sample_rate": of_node(STFT, "sample_rate"),
        "notes": of_part("notes"),
    }
    return found | {"pitches": _pitches(p, found["factorization"])}


def _factorization(p):
    if p["baseline"] is not None:
        return of_node("postprocessing.baseline")
    versions = kind_version(kind_of(p))
    return Offer(
        lambda params, arrays: arrays["factorize"], inputs=("nmf.factorize",), versions=versions
    )


def _pitches(p, factorization):
    if not _own_pitches(p):
        return of_node(_PITCHES, "pitches")
    if p["dictionary"] is not None:
        return of_node(_DICTIONARY, "pitches")
    return Offer(
        lambda params, arrays: np.asarray(factorization.get(params, arrays).pitches()),
        inputs=factorization.inputs,
        versions=factorization.versions,
    )


def _factorizing_nodes(p):
    if p["baseline"] is not None:
        return [_baseline_node(p)]
    if p["dictionary"] is None:
        return [nmf_node(p, source=STFT)]
    learned = _dictionary_node(p)
    return [learned, nmf_node(p, source=STFT, templates=learned.name)]


def _baseline_node(p):
    """Return what stands in the place of a factorization."""
    return steps.node(
        p,
        "postprocessing.baseline",
        _unfactorized(p),
        _offers(p),
        lambda values, params, arrays: stored(values["factorization"]),
        returns=("W", "H", "kind", "stopped", "filled", "batch", "scale"),
        decode=restored,
    )


def _dictionary_node(p):
    """Return templates learned on isolated notes, of several frames for a kind that spreads."""
    length = f"{p['algorithm']}.length" if kind_of(p).spreads else None
    own = {length: frame.parameters(p, held="all")[length]} if length else {}
    return Node(
        name=_DICTIONARY,
        compute=partial(_dictionary, length),
        params=_given(p, "dictionary", "beta") | own,
        parts=("notes",),
        inputs=(STFT,),
        versions={"nmf.isolated": isolated.VERSION},
        returns=("W", "pitches"),
        fit=partial(_isolated_tracks, p["dictionary"]),
    )


def _isolated_tracks(dictionary, dataset, track):
    """Return (dataset, track) of the isolated notes that templates are learned on.

    Of the track's own dataset none in the track's fold is among them.
    """
    source, subset = _source(dictionary)
    if subset.partition(":")[2].partition(":")[0] == _OWN:
        subset = subset.replace(_OWN, _instrument(dataset, track), 1)
    if source is not None:
        other = DATASETS[source](dataset.roots)
        return [(other.name, note) for note in other.track_ids(subset=subset)]
    fold = dataset.fold(track)
    notes = dataset.track_ids(subset=subset)
    return [(dataset.name, n) for n in notes if fold is None or dataset.fold(n) != fold]


def _instrument(dataset, track):
    found = dataset.instrument(track)
    if found is None:
        raise DataError(
            f"{dataset.name} {track}: it is not told which instrument plays; name one in the place "
            f"of dictionary {_OWN}"
        )
    return found


def _source(dictionary):
    """Return the name of another dataset, None for the track's own, and the subset to learn from.

    ``isolated``, ``INSTRUMENT``, ``own``, ``own:LOUDNESS``, ``DATASET:isolated`` or
    ``DATASET:isolated:INSTRUMENT``.
    """
    head, _, rest = dictionary.partition(":")
    if rest and head != _OWN:
        return head, rest
    return None, "isolated" if dictionary == "isolated" else f"isolated:{dictionary}"


def _dictionary(length, params, *, stft, notes):
    if length is None:
        return isolated.learn_templates(stft, notes, beta=params["beta"])
    learned = isolated.learn_kernels(stft, notes, length=params[length], beta=params["beta"])
    return {"W": learned["kernels"], "pitches": learned["pitches"]}


def _pitches_node(p):
    return steps.node(
        p,
        _PITCHES,
        _naming(p),
        _offers(p),
        lambda values, params, arrays: {"pitches": values["pitches"]},
        returns=("pitches",),
        small=True,
    )


def _notes_node(p):
    return steps.node(
        p,
        "postprocessing.estimate",
        _detecting(p),
        _offers(p),
        _detected,
        reads=("duration",),
        returns=("onsets", "offsets", "pitches", "available", "duration"),
        small=True,
    )


def _detected(values, params, arrays):
    """Return the notes and what they are scored with: the excerpt's length, templates' pitches."""
    onsets, offsets, pitches = values["notes"]
    return {
        "onsets": onsets,
        "offsets": offsets,
        "pitches": pitches,
        "available": values["activity"].pitches,
        "duration": values["duration"],
    }


def _sound(params, *, estimate):
    notes = (estimate[name] for name in ("onsets", "offsets", "pitches"))
    duration = float(estimate["duration"])
    samples = noting.sonify(*notes, sample_rate=_SOUND_RATE, duration=duration)
    return {
        "samples": samples[None, None],
        "sample_rate": _SOUND_RATE,
        "names": np.array(["notes"]),
    }


def _metrics_node(p):
    return Node(
        name="metrics.transcription",
        compute=_scores,
        params=_given(p, "onset_tolerance", "pitch_unit"),
        parts=("notes",),
        inputs=("postprocessing.estimate",),
        versions={"metrics.transcription": scoring.VERSION},
        libraries=scoring.LIBRARIES,
        returns=tuple(Transcription.metrics),
        small=True,
    )


def _scores(params, *, notes, estimate):
    return scoring.evaluate(
        np.column_stack([notes["onsets"], notes["offsets"]]),
        notes["pitches"],
        np.column_stack([estimate["onsets"], estimate["offsets"]]),
        estimate["pitches"],
        duration=float(estimate["duration"]),
        available_pitches=estimate["available"],
        **params,
    )


def _given(p, *names):
    return {name: p[name] for name in names}
