"""Structure analysis: where sections begin, from one column of V per bar."""

from functools import partial
from typing import ClassVar

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.registry import version_of
from nmfab.base.spectrum import RESAMPLER, resample, to_mono
from nmfab.base.types import Node, Param
from nmfab.datasets import DATASETS, Dataset
from nmfab.features import FEATURES, bars, barwise, trackers
from nmfab.metrics import downbeats
from nmfab.metrics import structure as scoring
from nmfab.postprocessing import Choices, cbm
from nmfab.tasks import steps
from nmfab.tasks.contract import Metric, Task, task
from nmfab.tasks.nmf import NMF_PARAMS, form_of, kind_of, kind_version, nmf_node, nmf_skip
from nmfab.tasks.steps import Offer, of_node

_BARWISE = ("subdivision", "n_fft", "hop", "sample_rate")
_BARS_NODE, _MATRIX = "features.bars", "features.barwise"
_BARS = ("annotated", "librosa", *trackers.TRACKERS)
_MOST_NAMES = 3
_METRIC = {
    "F": "F of boundaries found within {} s",
    "P": "precision of boundaries found within {} s",
    "R": "recall of boundaries found within {} s",
}


@task("structure", version=1)
class Structure(Task):
    """Boundaries of sections by barwise NMF and Correlation Block-Matching.

    V has one column per bar; the bars are compared by their activations, and the blocks of the
    self-similarity are the sections. They span the recording: the first bar begins at the first
    downbeat, the last one ends with the audio, and what precedes the first downbeat is a section of
    its own. Rows without NMF are chosen by ``baseline``: ``regular``
    segments, CBM on a ``constant`` similarity (what the prior on sizes alone gives), CBM on the
    ``signal`` (the columns of V in place of the activations), and the ``oracle``, the reference
    snapped to the bars.
    """

    forms = ("matrix", "bars", "views")
    needs = ("audio", "sections")
    protocol = ("trim", "annotator", "level")
    params: ClassVar = {
        **NMF_PARAMS,
        "baseline": Param(None, "a row without NMF", choices=Choices("structure", before=(None,))),
        "bars": Param(
            "auto",
            "bars: annotated, librosa's beats in fours, madmom's or beat_this's where installed; "
            "auto: annotated where there, else librosa's",
            choices=("auto", *_BARS),
        ),
        "feature": Param("nn_log_mel", "feature: mel, nn_log_mel (log(1 + mel)), chroma"),
        "subdivision": Param(96, "instants per bar"),
        "sample_rate": Param(44100, "rate that audio is resampled to, Hz; null keeps the track's"),
        "n_fft": Param(2048, "length of the window, samples"),
        "hop": Param(32, "distance of the frames that instants are rounded to, samples"),
        "scale": Param(
            "W", "what has unit norm: templates (W), rows of H, none", ("W", "H", "none")
        ),
        "views": Param(
            (4096, 1024), "lengths of the windows, samples, for an algorithm that takes views"
        ),
        "similarity": Param("cosine", "self-similarity of bars", choices=Choices("similarity")),
        "segmentation": Param("cbm", "how blocks become sections", choices=Choices("segmentation")),
        "bands": Param(7, "bands of the kernel on each side of the diagonal; null for all"),
        "penalty": Param("modulo8", "penalty on sizes of segments", choices=(*cbm.PENALTIES,)),
        "penalty_weight": Param(1, "weight of that penalty"),
        "max_size": Param(32, "largest segment, bars"),
        "trim": Param(False, "leave out the first and the last boundary", choices=(False, True)),
        "annotator": Param(
            None,
            "whose sections, where a dataset has several: 1 or 2 of salami, mirex10 or aist of "
            "rwcpop; better: each, and for each window the one that agrees more; null: the usual",
        ),
        "level": Param(
            "upper", "which of their sections, of salami", choices=("upper", "lower", "functions")
        ),
    }
    metrics: ClassVar = {
        f"{letter}{name}": Metric(help.format(name))
        for name in scoring.WINDOWS
        for letter, help in _METRIC.items()
    } | {
        "segments": Metric("number of sections that are estimated", higher_is_better=None),
        "downbeat_F": Metric(
            "F of estimated bars: annotated downbeats found within 70 ms", detail=True
        ),
        "annotated_bars": Metric(
            "1 where bars are annotated, 0 where they are estimated",
            higher_is_better=None,
            detail=True,
        ),
        **{
            f"F{name}_annotator{number}": Metric(
                f"F within {name} s against annotator {number} of several", detail=True
            )
            for name in scoring.WINDOWS
            for number in (1, 2)
        },
    }

    def nodes(self, p):
        """Return bars, barwise matrix, factorization, segments and scores."""
        segments = _segments_node(p)
        matrix = [_barwise_node(p)] if p["baseline"] is None or _MATRIX in segments.inputs else []
        factors = [nmf_node(p, source=_MATRIX)] if p["baseline"] is None else []
        return [_bars_node(p), *matrix, *factors, segments, _metrics_node(p)]

    def kind(self, p):
        """Return ``"oracle"`` where the reference is looked at, ``"baseline"`` without NMF."""
        if steps.looks(_chain(p)):
            return "oracle"
        return "" if p["baseline"] is None else "baseline"

    def skip(self, p):
        """Return why a setting cannot be factorized or scored, or None."""
        known = _dataset(p).annotators
        if p["annotator"] not in (None, *known, *(("better",) if known else ())):
            told = f"those of {', '.join(map(str, known))}" if known else "one annotation"
            return f"{p['dataset']} has {told}: there is no annotator {p['annotator']}"
        lacking = trackers.missing(p["bars"]) if p["bars"] in trackers.TRACKERS else None
        if lacking is not None:
            return f"bars={p['bars']}: {lacking}"
        chain = _chain(p)
        reason = steps.skip(chain, p, _offers(p))
        if reason or p["baseline"] is not None:
            return reason
        needs = steps.methods(chain)
        return nmf_skip(p, forms=tuple(self.forms), needs=needs)

    def tracks(self, dataset, p):
        """Return the ids of the tracks with sections by one of the annotators asked for."""
        having = {track for part in _references(p) for track in dataset.track_ids(("audio", part))}
        return [track for track in dataset.track_ids() if track in having]

    def notes(self, results):
        """Return where bars come from: with ``auto`` that differs from track to track."""
        found = {}
        for setting, scores in results:
            if setting.parameters["bars"] == "auto" or "bars" not in setting.values:
                told = _bars_told(setting.parameters["bars"], scores)
                found.setdefault(told, None)
        return list(found)

    def protocol_of(self, p):
        """Return what of `protocol` is read: whose sections, where a dataset has several."""
        return {"trim": p["trim"], **_whose(p)}


def _bars_told(bars, scores):
    if bars != "auto":
        return "bars annotated" if bars == "annotated" else f"bars estimated by {bars}"
    having = [track for track, found in scores.items() if found.get("annotated_bars") == 1]
    others = sorted(scores.keys() - having)
    if not others:
        return "bars annotated"
    if not having:
        return "bars estimated by librosa, for none are annotated"
    named = ", ".join(others[:_MOST_NAMES])
    more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
    return (
        f"bars annotated on {len(having)} of {len(scores)} tracks, "
        f"estimated by librosa on {named}{more}"
    )


def _dataset(p):
    return DATASETS[p["dataset"]] if "dataset" in p else Dataset


def _whose(p):
    """Return annotator and level, as far as the dataset has several."""
    dataset = _dataset(p)
    if not dataset.annotators:
        return {}
    asked = dataset.annotator if p["annotator"] is None else p["annotator"]
    return {"annotator": asked, **({"level": p["level"]} if dataset.levels else {})}


def _references(p):
    """Return the parts that hold the sections asked for: several for the better of them."""
    whose = _whose(p)
    if not whose:
        return ("sections",)
    names = _dataset(p).annotators if whose["annotator"] == "better" else (whose["annotator"],)
    level = f".{whose['level']}" if "level" in whose else ""
    return tuple(f"sections.{name}{level}" for name in names)


def _bars_node(p):
    beats = ("beats",) if p["bars"] in ("auto", "annotated") else ()
    versions = {"features.bars": bars.VERSION}
    if p["bars"] in trackers.TRACKERS:
        versions |= {"features.trackers": trackers.VERSION} | trackers.versions(p["bars"])
    tracked = p["bars"] in ("auto", "librosa")
    libraries = (RESAMPLER,) if p["bars"] == "madmom" else ()
    return Node(
        name="features.bars",
        compute=_bars,
        params={"bars": p["bars"]},
        parts=("audio", *beats),
        optional_parts=beats if p["bars"] == "auto" else (),
        versions=versions,
        libraries=bars.LIBRARIES if tracked else libraries,
        returns=("times", "source"),
    )


def _bars(params, *, audio, beats=None):
    samples, rate = audio["samples"], audio["sample_rate"]
    if beats is None:
        source = "librosa" if params["bars"] == "auto" else params["bars"]
        estimate = trackers.TRACKERS.get(source, bars.estimated_bars)
        return {"times": estimate(samples, rate), "source": source}
    duration = samples.shape[1] / rate
    times = bars.annotated_bars(beats["times"], beats["positions"], duration)
    return {"times": times, "source": "annotated"}


def _barwise_node(p):
    feature = FEATURES[p["feature"]]
    names = {name: f"{feature.name}.{name}" for name in feature.defaults}
    own = {name: p.get(full, feature.defaults[name]) for name, full in names.items()}
    form = "matrix" if p["baseline"] is not None else form_of(p)
    views = form == "views"
    read = [name for name in _BARWISE if not (views and name == "n_fft")]
    return Node(
        name=_MATRIX,
        compute=partial(_barwise, feature.function, tuple(own)),
        params={
            "feature": feature.name,
            **{names[name]: value for name, value in own.items()},
            **_given(p, *read, *(("views",) if views else ())),
            "form": form,
        },
        parts=("audio",),
        inputs=(_BARS_NODE,),
        versions={
            "features.barwise": barwise.VERSION,
            f"feature.{feature.name}": version_of(feature),
        },
        libraries=(*feature.libraries, *(() if p["sample_rate"] is None else (RESAMPLER,))),
        returns=tuple(f"V.{size}" for size in p["views"]) if views else ("V",),
    )


def _barwise(function, own, params, *, audio, bars):
    """Return ``V`` [shape=(m, bars)], its rows feature by feature, instant by instant.

    In the form bars it is folded, [shape=(features, instants, bars)]; in views there is one for
    each length of the window, ``V.LENGTH``.
    """
    rate = params["sample_rate"] or int(audio["sample_rate"])
    mono = resample(to_mono(audio["samples"]), int(audio["sample_rate"]), rate)
    keywords = {name: params[f"{params['feature']}.{name}"] for name in own}

    def made(n_fft):
        return barwise.barwise(
            mono,
            bars["times"],
            partial(function, sample_rate=rate, n_fft=n_fft, **keywords),
            sample_rate=rate,
            n_fft=n_fft,
            hop=params["hop"],
            subdivision=params["subdivision"],
        )

    if params["form"] == "views":
        return {f"V.{size}": made(size) for size in params["views"]}
    V = made(params["n_fft"])
    return {
        "V": V.reshape(-1, params["subdivision"], V.shape[1]) if params["form"] == "bars" else V
    }


def _chain(p):
    """Return the steps from a factorization, or from what stands in its place, to boundaries."""
    usual = (
        steps.always("columns", "activations"),
        steps.choice("similarity", p, "similarity"),
        steps.choice("segmentation", p, "segmentation"),
    )
    if p["baseline"] is None:
        return usual
    first = steps.choice("structure", p, "baseline")
    given = [chosen.step.gives for chosen in usual]
    return (first, *usual[given.index(first.step.gives) + 1 :])


def _offers(p):
    """Return what structure analysis offers to its steps.

    Returns
    -------
    dict of str to Offer
        ``factorization``, ``V`` [shape=(m, bars)], ``edges`` (where bars begin and the last one
        ends, s), ``sections`` (of several annotators, those of the first there is).
    """
    references = _references(p)
    return {
        "factorization": Offer(
            lambda params, arrays: arrays["factorize"],
            inputs=("nmf.factorize",),
            versions=kind_version(kind_of(p)),
        ),
        "V": of_node(_MATRIX, "V"),
        "edges": of_node(_BARS_NODE, "times"),
        "sections": Offer(
            lambda params, arrays: next(iter(_there(arrays, references).values())),
            params=_whose(p),
            parts=references,
            optional_parts=references if len(references) > 1 else (),
        ),
    }


def _segments_node(p):
    return steps.node(
        p,
        "postprocessing.segments",
        _chain(p),
        _offers(p),
        lambda values, params, arrays: {"boundaries": _from_zero(values["boundaries"])},
        returns=("boundaries",),
        small=True,
    )


def _there(arrays, references):
    found = {part: arrays[part] for part in references if arrays[part] is not None}
    if not found:
        raise DataError(f"the track has none of {', '.join(references)}: choose another annotator")
    return found


def _from_zero(times):
    """Return boundaries with 0 among them: what precedes the first downbeat is a section too."""
    return np.unique(np.append(0.0, times))


def _metrics_node(p):
    references = _references(p)
    beats = () if p["bars"] in ("auto", "annotated") else ("beats",)
    return Node(
        name="metrics.structure",
        compute=_scores,
        params={"trim": p["trim"], **_whose(p)},
        parts=(*references, *beats),
        optional_parts=(*(references if len(references) > 1 else ()), *beats),
        inputs=("postprocessing.segments", "features.bars"),
        versions={
            "metrics.structure": scoring.VERSION,
            "metrics.downbeats": downbeats.VERSION,
        },
        libraries=tuple({*scoring.LIBRARIES, *downbeats.LIBRARIES}),
        returns=tuple(Structure.metrics),
        small=True,
    )


def _scores(params, *, segments, bars, beats=None, **references):
    times = segments["boundaries"]
    estimate = np.column_stack([times[:-1], times[1:]])
    scores = {
        part: scoring.evaluate(sections["intervals"], estimate, trim=params["trim"])
        for part, sections in _there(references, tuple(references)).items()
    }
    found = dict.fromkeys(Structure.metrics, np.nan) | scoring.better(list(scores.values()))
    if len(references) > 1:
        for number, part in enumerate(references, start=1):
            for window in scoring.WINDOWS if part in scores else ():
                found[f"F{window}_annotator{number}"] = scores[part][f"F{window}"]
    found["annotated_bars"] = float(str(bars["source"]) == "annotated")
    if beats is not None:
        annotated = beats["times"][beats["positions"] == 1]
        found["downbeat_F"] = downbeats.f_measure(annotated, bars["times"][:-1])
    return found


def _given(p, *names):
    return {name: p[name] for name in names}
