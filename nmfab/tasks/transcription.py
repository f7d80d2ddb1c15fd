"""Transcription: which notes sound when, from a factorization of the spectrogram."""

from functools import partial
from typing import ClassVar

import numpy as np

from nmfab.algorithms import isolated
from nmfab.algorithms.init import VERSION as TEMPLATES_VERSION
from nmfab.algorithms.init import harmonic_templates
from nmfab.base.kinds import LowRank, restored, stored
from nmfab.base.spectrum import RESAMPLER, frame_count, magnitudes, resample, to_mono
from nmfab.base.types import Node, Param
from nmfab.metrics import transcription as scoring
from nmfab.postprocessing import notes as noting
from nmfab.postprocessing import pitch as naming
from nmfab.postprocessing import thresholds
from nmfab.tasks.contract import Metric, Task, task
from nmfab.tasks.nmf import NMF_PARAMS, nmf_node, nmf_skip

STFT_VERSION = 1
_SOUND_RATE = 22050  # Hz, of notes played back
_STFT = ("sample_rate", "window", "n_fft", "hop", "power", "excerpt")
_NOTES = ("power", "thresholding", "average", "gap", "shortest")
_PITCH = ("fixed", "autocorrelation", "harmonic", "oracle")
_NMF = {"source": "features.stft"}


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

    needs = ("audio", "notes")
    protocol = ("excerpt", "onset_tolerance", "pitch_unit")
    params: ClassVar = {
        **NMF_PARAMS,
        "rank": Param(88, "number of components; 88 are the keys of a piano"),
        "init": Param("harmonic", "starting factors", choices=NMF_PARAMS["init"].choices),
        "baseline": Param(None, "a row without NMF", choices=(None, "salience")),
        "dictionary": Param(
            None,
            "templates learned on isolated notes and held fixed: all the dataset has (isolated), "
            "or those of one instrument, by name",
        ),
        "pitch": Param("fixed", "what names the templates", choices=_PITCH),
        "sample_rate": Param(16000, "rate that audio is resampled to, Hz; null keeps the track's"),
        "window": Param(2048, "length of the window, samples; null for n_fft"),
        "n_fft": Param(2048, "length of the transform, samples"),
        "hop": Param(320, "distance of the frames, samples"),
        "power": Param(1, "V is the modulus to this power", choices=(1, 2)),
        "excerpt": Param(30, "seconds from the beginning; null for the whole recording"),
        "threshold": Param(
            0.1, "of activations, in parts of their global maximum; as a magnitude, whatever power"
        ),
        "thresholding": Param(
            "fixed",
            "notes begin above the threshold, or where they rise so much above their past average, "
            "or as fixed with the best threshold of each pitch (oracle)",
            choices=(*noting.THRESHOLDS, "oracle"),
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
        if p["baseline"] == "salience":
            between, named = [_salience_node()], _plain_pitches("postprocessing.salience", {})
        elif p["dictionary"] is not None:
            learned = _dictionary_node(p)
            between = [learned, nmf_node(p, source="features.stft", templates=learned.name)]
            named = _dictionary_pitches(learned.name)
        else:
            between = [nmf_node(p, **_NMF)]
            named = _pitches_node(p)
        factors = between[-1].name
        return [_stft_node(p), *between, named, _notes_node(p, factors), _metrics_node(p)]

    def sound_node(self, p):
        """Return a node that plays the estimated notes; no table needs it, and it is not kept."""
        return Node(
            name="postprocessing.sound",
            compute=_sound,
            inputs=("postprocessing.estimate",),
            versions={"postprocessing.notes": noting.VERSION},
        )

    def kind(self, p):
        """Return ``"oracle"`` with a look at the reference, else ``"baseline"`` without NMF."""
        if p["thresholding"] == "oracle":
            return "oracle"
        if p["baseline"] is not None:
            return "baseline"
        return "oracle" if p["dictionary"] is None and p["pitch"] == "oracle" else ""

    def skip(self, p):
        """Return why a setting cannot be computed, or None."""
        if p["baseline"] is not None:
            return None
        if p["dictionary"] is not None:
            return nmf_skip(p, templates=True)
        reason = nmf_skip(p, frequencies=True)
        if reason is None and p["pitch"] == "fixed":
            harmonic = nmf_node(p, **_NMF).params.get("init") == "harmonic"
            reason = None if harmonic else "pitch fixed goes with the templates of init harmonic"
        return reason


def _stft_node(p):
    return Node(
        name="features.stft",
        compute=_stft,
        params=_given(p, *_STFT),
        parts=("audio",),
        versions={"features.stft": STFT_VERSION},
        libraries=() if p["sample_rate"] is None else (RESAMPLER,),
    )


def _stft(params, *, audio):
    """Return ``V``, ``frequencies`` (Hz) of its rows, ``step`` and ``duration`` (s)."""
    own = int(audio["sample_rate"])
    samples = to_mono(audio["samples"])
    if params["excerpt"] is not None:
        samples = samples[: round(params["excerpt"] * own)]
    rate = params["sample_rate"] or own
    duration = len(samples) / own
    samples = resample(samples, own, rate)
    n_fft, hop = params["n_fft"], params["hop"]
    frames = np.arange(frame_count(len(samples), hop))
    chunks = magnitudes(samples, frames, n_fft=n_fft, hop=hop, window=params["window"])
    V = np.hstack(list(chunks)) ** params["power"]
    frequencies = np.arange(len(V)) * rate / n_fft
    return {"V": V, "frequencies": frequencies, "step": hop / rate, "duration": duration}


def _salience_node():
    return Node(
        name="postprocessing.salience",
        compute=_salience,
        params={"baseline": "salience"},
        inputs=("features.stft",),
        versions={"nmf.init": TEMPLATES_VERSION},
        decode=restored,
    )


def _salience(params, *, stft):
    W = naming.unit_columns(harmonic_templates(stft["frequencies"]))[0].astype(stft["V"].dtype)
    return stored(LowRank(W, W.T @ stft["V"]))


def _dictionary_node(p):
    return Node(
        name="nmf.dictionary",
        compute=_dictionary,
        params=_given(p, "dictionary", "beta"),
        parts=("notes",),
        inputs=("features.stft",),
        versions={"nmf.isolated": isolated.VERSION},
        fit=partial(_isolated_tracks, p["dictionary"]),
    )


def _isolated_tracks(dictionary, dataset, track):
    """Return (dataset, track) of the isolated notes that templates are learned on."""
    subset = "isolated" if dictionary == "isolated" else f"isolated:{dictionary}"
    return [(dataset.name, note) for note in dataset.track_ids(subset=subset)]


def _dictionary(params, *, stft, notes):
    return isolated.learn_templates(stft, notes, beta=params["beta"])


def _pitches_node(p):
    if p["pitch"] == "fixed":
        return _plain_pitches("nmf.factorize", {"pitch": "fixed"})
    computes = {
        "autocorrelation": _autocorrelation_pitches,
        "harmonic": _harmonic_pitches,
        "oracle": _oracle_pitches,
    }
    return Node(
        name="postprocessing.pitches",
        compute=computes[p["pitch"]],
        params=_given(p, "pitch", *(("power",) if p["pitch"] == "autocorrelation" else ())),
        parts=("notes",) if p["pitch"] == "oracle" else (),
        inputs=("features.stft", "nmf.factorize"),
        versions={"postprocessing.pitch": naming.VERSION},
        small=True,
    )


def _plain_pitches(factors, params):
    return Node(
        name="postprocessing.pitches",
        compute=_fixed_pitches,
        params=params,
        inputs=(factors,),
        versions={"postprocessing.pitch": naming.VERSION},
        small=True,
    )


def _dictionary_pitches(dictionary):
    return Node(
        name="postprocessing.pitches",
        compute=_learned_pitches,
        inputs=(dictionary,),
        small=True,
    )


def _learned_pitches(params, *, dictionary):
    return {"pitches": dictionary["pitches"]}


def _fixed_pitches(params, **factors):
    (given,) = factors.values()
    return {"pitches": naming.fixed_pitches(given.rank)}


def _autocorrelation_pitches(params, *, stft, factorize):
    frequencies = stft["frequencies"]
    n_fft = 2 * (len(frequencies) - 1)
    rate = float(frequencies[1]) * n_fft
    found = naming.autocorrelation_pitches(
        factorize.templates(), sample_rate=rate, n_fft=n_fft, power=params["power"]
    )
    return {"pitches": found}


def _harmonic_pitches(params, *, stft, factorize):
    templates = harmonic_templates(stft["frequencies"])
    pitches = naming.fixed_pitches(templates.shape[1])
    return {"pitches": naming.harmonic_pitches(factorize.templates(), templates, pitches)}


def _oracle_pitches(params, *, stft, factorize, notes):
    H = factorize.activations()
    intervals = np.column_stack([notes["onsets"], notes["offsets"]])
    times = np.arange(H.shape[1]) * float(stft["step"])
    return {"pitches": naming.oracle_pitches(H, intervals, notes["pitches"], times)}


def _notes_node(p, factors):
    oracle = p["thresholding"] == "oracle"
    read = (*_NOTES, "onset_tolerance") if oracle else (*_NOTES, "threshold")
    versions = {"postprocessing.notes": noting.VERSION}
    return Node(
        name="postprocessing.estimate",
        compute=_estimate_by_oracle if oracle else _estimate,
        params=_given(p, *read),
        parts=("notes",) if oracle else (),
        inputs=("features.stft", "postprocessing.pitches", factors),
        versions=versions | ({"postprocessing.thresholds": thresholds.VERSION} if oracle else {}),
        small=True,
    )


def _estimate(params, *, stft, pitches, **factors):
    options, activity, names = _activity(params, stft, pitches, factors)
    return _detected(stft, activity, names, options)


def _estimate_by_oracle(params, *, stft, pitches, notes, **factors):
    options, activity, names = _activity(params, stft, pitches, factors)
    options["thresholding"] = "fixed"
    inside = notes["onsets"] < float(stft["duration"])
    options["threshold"] = thresholds.oracle_thresholds(
        activity,
        names,
        notes["onsets"][inside],
        notes["pitches"][inside],
        tolerance=options.pop("onset_tolerance"),
        **options,
    )
    return _detected(stft, activity, names, options)


def _activity(params, stft, pitches, factors):
    """Return options of the detection, activations as magnitudes, and their pitches."""
    (given,) = factors.values()
    activity, names = noting.merge_pitches(
        given.templates(), given.activations(), pitches["pitches"]
    )
    options = dict(params) | {"step": float(stft["step"])}
    return options, activity ** (1 / options.pop("power")), names


def _detected(stft, activity, names, options):
    """Return the notes and what they are scored with: the excerpt's length, templates' pitches."""
    onsets, offsets, found = noting.detect_notes(activity, names, **options)
    return {
        "onsets": onsets,
        "offsets": offsets,
        "pitches": found,
        "available": names,
        "duration": stft["duration"],
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
