"""Source separation: components of a spectrogram grouped into stems, heard through masks."""

from dataclasses import replace
from typing import ClassVar

from nmfab.algorithms import frame
from nmfab.base.errors import DataError
from nmfab.base.types import Node, Param
from nmfab.datasets import DATASETS
from nmfab.metrics import bss_eval
from nmfab.metrics import separation as scoring
from nmfab.postprocessing import Choices, masking
from nmfab.postprocessing.contract import Step
from nmfab.tasks import separation_nodes as compute
from nmfab.tasks import steps
from nmfab.tasks.contract import Metric, Task, task
from nmfab.tasks.nmf import NMF_PARAMS, form_of, kind_has, nmf_node, nmf_skip
from nmfab.tasks.stft import EXCERPT, NAME, VERSIONS, stft_node

STEMS = ("drums", "bass", "other", "vocals")
_STFT = (*EXCERPT, "n_fft", "hop", "power", "views")
_OWN_FILTER = Step(
    "masking", "own", masking.own_filter, version=1, calls=("separate",), gives="sound"
)
_HELP = {
    "si_sdr": "scale-invariant SDR of the whole track",
    "sdr": "SDR of the whole track, scale included",
    "bss_sdr": "BSS Eval v4 SDR, median over frames in which the stem sounds",
    "bss_isr": "BSS Eval v4 ISR, the same frames",
    "bss_sir": "BSS Eval v4 SIR, the same frames",
    "bss_sar": "BSS Eval v4 SAR, the same frames",
    "museval_sdr": "BSS Eval v4 SDR, median over the frames that museval keeps",
    "museval_isr": "BSS Eval v4 ISR, the frames that museval keeps",
    "museval_sir": "BSS Eval v4 SIR, the frames that museval keeps",
    "museval_sar": "BSS Eval v4 SAR, the frames that museval keeps",
}


def _metrics():
    shown = ("si_sdr", "sdr", "bss_sdr", "bss_sir", "bss_sar", "museval_sdr")
    metrics = {
        name: Metric(f"{text}, mean over stems", unit="dB", detail=name not in shown)
        for name, text in _HELP.items()
    }
    for name, text in _HELP.items():
        for stem in STEMS:
            detail = name != "bss_sdr"
            metrics[f"{name}_{stem}"] = Metric(f"{text}, {stem}", unit="dB", detail=detail)
    gain = "mean improvement of {} over the mixture taken for every stem"
    for name in ("si_sdr", "sdr"):
        text = gain.format(name.upper().replace("_", "-"))
        metrics[f"{name}_gain"] = Metric(text, unit="dB", detail=True)
    return metrics | {
        "silent_stems": Metric("stems silent throughout, left out", higher_is_better=None),
        "missing_estimates": Metric(
            "stems given the mixture / J for want of an estimate", higher_is_better=False
        ),
    }


@task("separation", version=1)
class Separation(Task):
    """Stems by NMF of a spectrogram: components grouped, estimates through masks of the mixture.

    Rows without a blind factorization are chosen by ``baseline``: the ``mixture`` divided by the
    number of stems, ``silence``, harmonic and percussive sound (``hpss``); and the oracles, ideal
    binary masks (``ibm1``, ``ibm2``) and ratio masks (``irm1``, ``irm2``) of SiSEC 2018, and
    templates learned from the true stems and held fixed (``dictionary``).

    What is kept of an estimate is the group of each component; `sound_node` gives its sound.
    """

    forms = ("matrix", "channels", "mixture", "views")
    needs = ("audio", "stems")
    protocol = ("subset", *EXCERPT)
    params: ClassVar = {
        **NMF_PARAMS,
        "baseline": Param(
            None,
            "a row without blind NMF",
            choices=Choices("separation", before=(None,), after=("dictionary",)),
        ),
        "subset": Param("test", "subset of a dataset that has some: train, valid, test"),
        "mono": Param(False, "mean of the channels", choices=(False, True)),
        "start": Param(0, "where the excerpt begins, s"),
        "duration": Param(None, "length of the excerpt, s; null for the rest of the track"),
        "n_fft": Param(2048, "length of the window, samples"),
        "hop": Param(512, "distance of the frames, samples"),
        "power": Param(1, "V is |X| to that power", choices=(1, 2)),
        "views": Param(
            (4096, 1024), "lengths of the windows, samples, for an algorithm that takes views"
        ),
        "factors": Param(
            "shared",
            "factors of the mean over channels, or of each channel",
            choices=("shared", "per_channel"),
        ),
        "grouping": Param(
            "mfcc",
            "k-means on the templates' MFCC, or by the true stems (oracle)",
            choices=Choices("grouping"),
        ),
        "n_sources": Param(
            None, "number of groups; null for the number of reference stems that sound"
        ),
        "kmeans_seed": Param(0, "seed of the 10 starts of k-means"),
        "masking": Param(
            "wiener2", "Wiener mask of exponent 1 or 2, or W·H itself", choices=Choices("masking")
        ),
        "bss_backend": Param("nmfab", "who computes BSS Eval", choices=scoring.BACKENDS),
    }
    metrics: ClassVar = _metrics()

    def tracks(self, dataset, p):
        """Return the tracks of the subset, where the dataset has splits.

        Raises
        ------
        DataError
            If the dataset is here and has no track of that subset.
        """
        ids = dataset.track_ids(needs=self.needs)
        if not ids or not dataset.splits:
            return ids
        chosen = dataset.track_ids(self.needs, p["subset"])
        if not chosen:
            counts = {name: len(dataset.track_ids(self.needs, name)) for name in dataset.splits}
            there = ", ".join(f"{count} of {name}" for name, count in counts.items() if count)
            raise DataError(
                f"{dataset.name} in {dataset.folder} has no track of the subset {p['subset']}, but "
                f"{there}: --set subset=NAME chooses another"
            )
        return chosen

    def nodes(self, p):
        """Return spectrogram, factorization, grouping, estimates and scores."""
        return [*_factorizing_nodes(p), _estimates_node(p), _metrics_node(p)]

    def sound_node(self, p):
        """Return a node that gives the estimates' sound; no table needs it, and it is not kept.

        Its inputs are among `nodes`. It returns ``samples`` [shape=(estimates, channels, samples),
        dtype=float32], ``sample_rate`` (Hz) and ``names``: the stem that each estimate is matched
        to, empty for one that is left over.
        """
        return Node(
            name="postprocessing.sound",
            compute=compute.sound,
            params=_given(p, *EXCERPT),
            parts=("audio", "stems"),
            inputs=("postprocessing.estimates",),
            versions=VERSIONS | {"metrics.separation": scoring.VERSION},
            returns=("samples", "sample_rate", "names"),
        )

    def kind(self, p):
        """Return ``"oracle"`` where the true stems are looked at, ``"baseline"`` without NMF."""
        if p["baseline"] == "dictionary" or steps.looks((*_grouping(p), *_estimating(p))):
            return "oracle"
        return "" if p["baseline"] is None else "baseline"

    def notes(self, results):
        """Return where the number of groups comes from, where it comes from the reference."""
        told = any("n_sources" in _read(self, s.parameters, null=True) for s, _ in results)
        line = "k-means makes as many groups as the reference has stems that sound"
        return [line] if told else []

    def skip(self, p):
        """Return why a setting cannot be computed, or None."""
        sizes = p["views"] if _factorized(p) and form_of(p) == "views" else (p["n_fft"],)
        if any(size % 2 or p["hop"] > size // 2 for size in sizes):
            return "n_fft must be even and hop at most half of it, or sound is lost between frames"
        chain = (*_grouping(p), *_estimating(p))
        reason = steps.skip(chain, p, compute.offers(p))
        if reason or not _factorized(p):
            return reason
        if compute.per_channel(p) and p["mono"]:
            return "factors per_channel needs more than one channel, and mono makes one"
        if p["baseline"] == "dictionary":
            if p["factors"] == "per_channel":
                return "the dictionary row has shared factors: per_channel is not for it"
            learning = nmf_skip(p, forms=("matrix",), needs=("templates",))
            return learning or nmf_skip(
                p, templates=True, forms=("matrix",), needs=steps.methods(chain)
            )
        return nmf_skip(p, frequencies=True, forms=tuple(self.forms), needs=steps.methods(chain))


def _read(task, p, null=False):
    """Return the parameters that a setting reads, with `null` those alone whose value is null."""
    found = {name for node in task.nodes(p) for name in node.params}
    return {name for name in found if not null or p.get(name) is None}


def _factorized(p):
    return p["baseline"] in (None, "dictionary")


def _grouping(p):
    """Return the step that groups components, none where they have their groups."""
    if p["baseline"] is not None or compute.own_groups(p):
        return ()
    return (steps.choice("grouping", p, "grouping"),)


def _estimating(p):
    """Return the step that gives sound."""
    if not _factorized(p):
        return (steps.choice("separation", p, "baseline"),)
    if kind_has(p, "separate"):
        return (steps.Chosen(_OWN_FILTER),)
    return (steps.choice("masking", p, "masking"),)


def _factorizing_nodes(p):
    """Return the nodes before the estimates: none where nothing is factorized."""
    if not _factorized(p):
        return []
    if p["baseline"] == "dictionary":
        fixed = nmf_node(p, source=NAME, templates=compute.DICTIONARY)
        return [stft_node(p, _STFT), _dictionary_node(p), fixed]
    form = "sides" if compute.per_channel(p) else form_of(p)
    factors = [nmf_node(p, source=NAME)]
    if form == "sides":
        right = nmf_node(p, source=NAME, V="V_right")
        factors.append(replace(right, name=compute.FACTORS[1]))
    grouping = [_grouping_node(p)] if _grouping(p) else []
    return [stft_node(p, _STFT, form=form), *factors, *grouping]


def _dictionary_node(p):
    """Return templates learned on the true stems, each on its own."""
    return Node(
        name=compute.DICTIONARY,
        compute=compute.dictionary,
        params=frame.parameters(p) | _given(p, *EXCERPT, "n_fft", "hop", "power"),
        parts=("stems",),
        versions=frame.versions(p) | VERSIONS | {"metrics.separation": scoring.VERSION},
        returns=("W", "groups"),
    )


def _grouping_node(p):
    return steps.node(
        p,
        compute.GROUPING,
        _grouping(p),
        compute.offers(p),
        lambda values, params, arrays: {"groups": values["groups"]},
        params=_given(p, "factors") if form_of(p) == "matrix" else {},
        returns=("groups",),
        small=True,
    )


def _estimates_node(p):
    """Return the sound of the estimates, made where it is scored or heard, and not kept."""
    factorized = _factorized(p)
    return steps.node(
        p,
        "postprocessing.estimates",
        _estimating(p),
        compute.offers(p),
        compute.masked if factorized else compute.unfactorized,
        params=_given(p, "baseline"),
        versions={"metrics.separation": scoring.VERSION} if factorized else {},
        returns=("samples", "present"),
        transient=True,
    )


def _metrics_node(p):
    subset = ("subset",) if DATASETS[p["dataset"]].splits else ()
    return Node(
        name="metrics.separation",
        compute=compute.scores,
        params=_given(p, *EXCERPT, *subset, "bss_backend"),
        parts=("audio", "stems"),
        inputs=("postprocessing.estimates",),
        versions={
            "metrics.separation": scoring.VERSION,
            "metrics.bss_eval": bss_eval.VERSION,
            **VERSIONS,
        },
        libraries=scoring.LIBRARIES[p["bss_backend"]],
        small=True,
    )


def _given(p, *names):
    return {name: p[name] for name in names}
