"""Source separation: components of a spectrogram grouped into stems, heard through masks."""

from dataclasses import replace
from typing import ClassVar

from nmfab.algorithms import frame
from nmfab.base import stft
from nmfab.base.errors import DataError
from nmfab.base.types import Node, Param
from nmfab.datasets import DATASETS
from nmfab.metrics import bss_eval
from nmfab.metrics import separation as scoring
from nmfab.postprocessing import grouping, masking
from nmfab.tasks import separation_nodes as compute
from nmfab.tasks.contract import Metric, Task, task
from nmfab.tasks.nmf import NMF_PARAMS, nmf_node, nmf_skip

STEMS = ("drums", "bass", "other", "vocals")
_BASELINES = (None, "mixture", "silence", "hpss", *masking.IDEAL, "dictionary")
_ORACLES = (*masking.IDEAL, "dictionary")
_EXCERPT = ("mono", "start", "duration")
_TRANSFORM = ("n_fft", "hop")
_STFT = {"features.stft": compute.STFT_VERSION, "base.stft": stft.VERSION}
_OWN = {"task.separation": compute.VERSION}
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

    needs = ("audio", "stems")
    protocol = ("subset", *_EXCERPT)
    params: ClassVar = {
        **NMF_PARAMS,
        "baseline": Param(None, "a row without blind NMF", choices=_BASELINES),
        "subset": Param("test", "subset of a dataset that has some: train, valid, test"),
        "mono": Param(False, "mean of the channels", choices=(False, True)),
        "start": Param(0, "where the excerpt begins, s"),
        "duration": Param(None, "length of the excerpt, s; null for the rest of the track"),
        "n_fft": Param(2048, "length of the window, samples"),
        "hop": Param(512, "distance of the frames, samples"),
        "power": Param(1, "V is |X| to that power", choices=(1, 2)),
        "channels": Param(
            "shared",
            "factors of the mean over channels, or of each channel",
            choices=("shared", "separate"),
        ),
        "grouping": Param(
            "mfcc", "k-means on the templates' MFCC, or by the true stems", ("mfcc", "oracle")
        ),
        "n_sources": Param(4, "groups that k-means makes"),
        "kmeans_seed": Param(0, "seed of the 10 starts of k-means"),
        "masking": Param(
            "wiener2", "Wiener mask of exponent 1 or 2, or W·H itself", choices=masking.MASKS
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
        """Return spectrogram, factorization, grouping and scores."""
        return [*_estimating_nodes(p), _metrics_node(p)]

    def sound_node(self, p):
        """Return a node that gives the estimates' sound; no table needs it, and it is not kept.

        Its inputs are among `nodes`. It returns ``samples`` [shape=(estimates, channels, samples),
        dtype=float32], ``sample_rate`` (Hz) and ``names``: the stem that each estimate is matched
        to, empty for one that is left over.
        """
        return replace(
            _metrics_node(p), name="postprocessing.sound", compute=compute.sound, small=False
        )

    def kind(self, p):
        """Return ``"oracle"`` where the true stems are looked at, ``"baseline"`` without NMF."""
        if p["baseline"] in _ORACLES:
            return "oracle"
        if p["baseline"] is not None:
            return "baseline"
        return "oracle" if p["grouping"] == "oracle" else ""

    def skip(self, p):
        """Return why a setting cannot be computed, or None."""
        if p["n_fft"] % 2 or p["hop"] > p["n_fft"] // 2:
            return "n_fft must be even and hop at most half of it, or sound is lost between frames"
        if p["baseline"] not in (None, "dictionary"):
            return None
        if p["channels"] == "separate" and p["mono"]:
            return "channels separate needs more than one channel, and mono makes one"
        if p["channels"] == "separate" and p["baseline"] == "dictionary":
            return "the dictionary row has shared factors: channels separate is not for it"
        if p["baseline"] == "dictionary":
            return nmf_skip(p) or nmf_skip(p, templates=True)
        return nmf_skip(p)


def _estimating_nodes(p):
    """Return all nodes before the metrics."""
    if p["baseline"] == "dictionary":
        fixed = nmf_node(p, source="features.stft", templates="nmf.dictionary")
        return [_stft_node(p), _dictionary_node(p), fixed]
    if p["baseline"] is not None:
        return []
    return [_stft_node(p), *_factorizations(p), _grouping_node(p)]


def _factorizations(p):
    left = nmf_node(p, source="features.stft")
    if p["channels"] == "shared":
        return [left]
    right = nmf_node(p, source="features.stft", V="V_right")
    return [left, replace(right, name="nmf.factorize_right")]


def _stft_node(p):
    return Node(
        name="features.stft",
        compute=compute.spectrograms,
        params=_given(p, *_EXCERPT, *_TRANSFORM, "power", "channels"),
        parts=("audio",),
        versions=_STFT,
    )


def _dictionary_node(p):
    return Node(
        name="nmf.dictionary",
        compute=compute.dictionary,
        params=frame.parameters(p) | _given(p, *_EXCERPT, *_TRANSFORM, "power"),
        parts=("stems",),
        versions=frame.versions(p) | _STFT | _OWN,
    )


def _grouping_node(p):
    factors = tuple(node.name for node in _factorizations(p))
    blind = p["grouping"] == "mfcc"
    read = ("n_sources", "kmeans_seed", "power") if blind else (*_EXCERPT, *_TRANSFORM)
    return Node(
        name="postprocessing.grouping",
        compute=compute.blind_grouping if blind else compute.oracle_grouping,
        params=_given(p, "grouping", "channels", *read),
        parts=("audio",) if blind else ("stems",),
        inputs=factors,
        versions={"postprocessing.grouping": grouping.VERSION} | _STFT | _OWN,
        libraries=("scikit-learn", "librosa") if blind else (),  # k-means, mel bands of the MFCC
        small=True,
    )


def _metrics_node(p):
    """Return the last node: what it reads of the setting depends on where estimates come from."""
    inputs, read = (), ()
    hpss = ("librosa",) if p["baseline"] == "hpss" else ()
    if p["baseline"] in (None, "dictionary"):
        own = ("channels",) if p["baseline"] is None else ()
        read = (*_TRANSFORM, "power", "masking", *own)
        inputs = tuple(n.name for n in _estimating_nodes(p) if n.stage != "features")
    elif p["baseline"] in ("hpss", *masking.IDEAL):
        read = _TRANSFORM
    if DATASETS[p["dataset"]].splits:
        read = (*read, "subset")
    return Node(
        name="metrics.separation",
        compute=compute.scores,
        params=_given(p, "baseline", *_EXCERPT, *read, "bss_backend"),
        parts=("audio", "stems"),
        inputs=inputs,
        versions={
            "metrics.separation": scoring.VERSION,
            "metrics.bss_eval": bss_eval.VERSION,
            "postprocessing.masking": masking.VERSION,
        }
        | _STFT
        | _OWN,
        libraries=(*hpss, *scoring.LIBRARIES[p["bss_backend"]]),
        small=True,
    )


def _given(p, *names):
    return {name: p[name] for name in names}
