"""Every parameter of every task reaches the computation, and the key of just the nodes it changes.

The tables name each declared parameter: another value, the node whose arrays must differ by it,
and what else is set so that the parameter is read. A parameter that no table names fails.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
from tasks.made import Bench, same

from nmfab.features import FEATURES
from nmfab.run.unit import plan_batches
from nmfab.tasks import TASKS

STFT, BARWISE = "features.stft", "features.barwise"
NMF, GROUPS, PITCHES = "nmf.factorize", "postprocessing.grouping", "postprocessing.pitches"
NOTES, SEGMENTS = "postprocessing.estimate", "postprocessing.segments"


@dataclass(frozen=True)
class Change:
    """Another value of a parameter, and the first node whose arrays it must change.

    `also` are all further nodes, of both settings, that read the parameter themselves.
    """

    value: object
    node: str
    given: dict = field(default_factory=dict)
    also: tuple = ()


NMF_CHANGES = {
    "algorithm": Change("torch_hals", NMF, {"beta": 2}),
    "beta": Change(0.5, NMF),
    "rank": Change(7, NMF),
    "init": Change("nndsvda", NMF),
    "seed": Change(2, NMF),
    "stop": Change(9, NMF),
    "dtype": Change("float64", NMF),
}
SCORES, SOUND = "metrics.separation", "postprocessing.estimates"
LATER = (GROUPS, SOUND, SCORES)
CHANGES = {
    "separation": NMF_CHANGES
    | {
        "baseline": Change("silence", SOUND, {"baseline": "mixture"}),
        "subset": Change("train", SCORES, {"baseline": "mixture"}),
        "mono": Change(True, STFT, {"grouping": "oracle"}, LATER),
        "start": Change(0.41, STFT, {"grouping": "oracle"}, LATER),
        "duration": Change(0.7, STFT, {"grouping": "oracle"}, LATER),
        "n_fft": Change(512, STFT, {"grouping": "oracle"}, (GROUPS, SOUND)),
        "hop": Change(32, STFT, {"grouping": "oracle"}, (GROUPS, SOUND)),
        "power": Change(2, STFT, {}, (GROUPS, SOUND)),
        "views": None,
        "factors": Change("per_channel", STFT, {}, (GROUPS, SOUND)),
        "grouping": Change("oracle", GROUPS, {"rank": 9}),
        "n_sources": Change(3, GROUPS),
        "kmeans_seed": Change(5, GROUPS, {"rank": 12, "n_sources": 6}),
        "masking": Change("wiener1", SOUND),
        "bss_backend": Change("museval", SCORES),
    },
    "transcription": {name: c for name, c in NMF_CHANGES.items() if name != "init"}
    | {
        "rank": Change(89, NMF),
        "init": Change("random", NMF, {"pitch": "oracle"}),
        "baseline": Change("salience", NOTES, {}, (PITCHES,)),
        "dictionary": Change("flute", "nmf.dictionary", {"dictionary": "piano"}),
        "pitch": Change("harmonic", PITCHES, {"pitch": "oracle"}),
        "sample_rate": Change(None, STFT),
        "window": Change(600, STFT),
        "n_fft": Change(2048, STFT),
        "hop": Change(100, STFT),
        "power": Change(2, STFT, {}, (NOTES,)),
        "views": None,
        "excerpt": Change(1.1, STFT),
        "threshold": Change(0.4, NOTES),
        "thresholding": Change("adaptive", NOTES),
        "average": Change(0.02, NOTES, {"thresholding": "adaptive"}),
        "gap": Change(0.2, NOTES, {"threshold": 0.3}),
        "shortest": Change(0.25, NOTES),
        "onset_tolerance": Change(0.002, "metrics.transcription"),
        "pitch_unit": Change("midi", "metrics.transcription", {"dictionary": "sharp"}),
    },
    "structure": NMF_CHANGES
    | {
        "baseline": Change("regular", SEGMENTS, {"baseline": "oracle", "regular.bars": 3}),
        "bars": Change("librosa", "features.bars", {}, ("metrics.structure",)),
        "feature": Change("chroma", BARWISE),
        "subdivision": Change(10, BARWISE),
        "sample_rate": Change(7000, BARWISE),
        "n_fft": Change(512, BARWISE),
        "hop": Change(500, BARWISE),
        "scale": Change("H", SEGMENTS, {"similarity": "centered_cosine"}),
        "views": None,
        "similarity": Change("rbf", SEGMENTS, {"penalty": "modulo4"}),
        "segmentation": None,
        "bands": Change(None, SEGMENTS, {"bands": 2}),
        "penalty": Change("modulo4", SEGMENTS, {"similarity": "rbf"}),
        "penalty_weight": Change(0.2, SEGMENTS, {"similarity": "rbf"}),
        "max_size": Change(3, SEGMENTS),
        "trim": Change(True, "metrics.structure", {"baseline": "regular", "regular.bars": 5}),
        "annotator": Change(2, "metrics.structure", {"annotator": 1}),
        "level": Change("lower", "metrics.structure", {"annotator": 1, "baseline": "regular"}),
    },
}
ON_ANOTHER_DATASET = {"subset": "subsets", "annotator": "annotated", "level": "annotated"}
# Tracks of the subset are others: see test_subset_names_the_tracks.
SAME_ARRAYS = {"subset"}
# None: see test_forms.py (views) and test_steps.py (segmentation, of which there is one).
EVERY = [(task, name) for task, changes in CHANGES.items() for name in changes if changes[name]]
FEATURE_CHANGES = {
    "mel": {"n_mels": 12, "fmin": 200, "fmax": 2000, "power": 1},
    "nn_log_mel": {"n_mels": 12, "fmin": 200, "fmax": 2000, "power": 1},
    "chroma": {"tuning": 0.4, "normalized": False},
}


@pytest.fixture
def bench(request, separation, transcription, structure):
    """The bench of a task, by name."""

    def make(task, name=None):
        own = {b.task.name: b for b in (separation, transcription, structure)}[task]
        if name not in ON_ANOTHER_DATASET:
            return own
        return Bench(task, own.root, ON_ANOTHER_DATASET[name], **own.base)

    return make


@pytest.mark.parametrize("task", sorted(CHANGES))
def test_the_table_names_every_parameter(task):
    assert set(CHANGES[task]) == set(TASKS[task].params)


def test_every_task_has_a_table():
    mine = {name for name in TASKS.names() if TASKS[name].__module__.startswith("nmfab.")}
    assert set(CHANGES) == mine


def _pair(bench, task, name):
    """Return the bench, the track, and two settings that differ in one parameter."""
    change = CHANGES[task][name]
    found = bench(task, name)
    track = found.dataset.track_ids()[0]
    return found, track, change, dict(change.given), {**change.given, name: change.value}


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_a_parameter_changes_the_result(bench, task, name):
    found, track, change, before, after = _pair(bench, task, name)
    first, second = (found.arrays(change.node, track, **given) for given in (before, after))
    assert same(first, second) == (name in SAME_ARRAYS)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_a_parameter_is_in_the_keys_of_the_nodes_that_read_it_and_their_readers(bench, task, name):
    found, track, change, before, after = _pair(bench, task, name)
    nodes = [found.nodes(**given) for given in (before, after)]
    keys = [found.keys(track, **given) for given in (before, after)]
    own = {
        node
        for node in nodes[0].keys() & nodes[1].keys()
        if found.recipe(node, **before) != found.recipe(node, **after)
        or nodes[0][node].inputs != nodes[1][node].inputs
        or nodes[0][node].parts != nodes[1][node].parts
        or bool(nodes[0][node].fit) != bool(nodes[1][node].fit)
    }
    assert own == {change.node, *change.also}
    for node in keys[0].keys() & keys[1].keys():
        behind = any(_before(nodes[0], other, node) for other in own)
        assert (keys[0][node] != keys[1][node]) == (node in own or behind), node


def _before(nodes, node, reader):
    """Tell whether `reader` reads `node`, be it through others."""
    inputs = nodes[reader].inputs
    return node in inputs or any(_before(nodes, node, other) for other in inputs)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_what_is_reused_is_what_would_be_computed(bench, task, name):
    """A setting gives the same arrays after another one as in an empty cache."""
    found, track, change, before, after = _pair(bench, task, name)
    for given in (before, after):
        target = list(found.nodes(**given))[-1]
        wanted = (
            change.node if task == "separation" and change.node not in (SOUND, SCORES) else target
        )
        found.arrays(wanted, track, **given)
    fresh = found.unit(track, f"fresh {name}", **after)
    for node in fresh.graph.order():
        if node == target and wanted != target:
            continue
        assert same(found.arrays(node, track, **after), fresh.get(node)), node


@pytest.mark.parametrize("feature", sorted(FEATURE_CHANGES))
def test_every_keyword_of_a_feature_changes_the_matrix(structure, feature):
    assert set(FEATURE_CHANGES[feature]) == set(FEATURES[feature].defaults)
    base = {"feature": feature, "baseline": "signal"}
    base |= {f"{feature}.fmax": 3000} if "fmax" in FEATURE_CHANGES[feature] else {}
    before = structure.arrays(BARWISE, **base)["V"]
    for name, value in FEATURE_CHANGES[feature].items():
        given = {**base, f"{feature}.{name}": value}
        after = structure.arrays(BARWISE, **given)["V"]
        assert before.shape != after.shape or not np.array_equal(before, after), name
        keys = structure.keys(**base), structure.keys(**given)
        assert keys[0][BARWISE] != keys[1][BARWISE]
        assert keys[0]["features.bars"] == keys[1]["features.bars"]


def test_every_feature_has_a_table():
    mine = {n for n in FEATURES.names() if FEATURES[n].function.__module__.startswith("nmfab.")}
    assert set(FEATURE_CHANGES) == mine


def test_two_features_of_one_run_are_factorized_apart(structure):
    """Settings of one job that differ in their V share no batch."""
    settings = [
        {"feature": f, "seed": s, "mel.fmax": 3000} for f in ("nn_log_mel", "mel") for s in (1, 2)
    ]
    units = [structure.unit(store="together", **given) for given in settings]
    plan_batches(units)
    together = [unit.value(NMF).W for unit in units]
    for number, (given, W) in enumerate(zip(settings, together, strict=True)):
        alone = structure.arrays(NMF, store=f"alone {number}", **given)
        np.testing.assert_allclose(W, alone["W"], rtol=1e-4, atol=1e-5)


def test_two_powers_of_one_run_are_factorized_apart(separation):
    settings = [{"power": power, "seed": seed} for power in (1, 2) for seed in (1, 2)]
    units = [separation.unit(store="together", **given) for given in settings]
    plan_batches(units)
    for given, unit in zip(settings, units, strict=True):
        V = separation.arrays(STFT, **given)["V"]
        found = unit.value(NMF)
        assert np.linalg.norm(V - found.W @ found.H) < 0.9 * np.linalg.norm(V)


def test_subset_names_the_tracks(bench):
    found = bench("separation", "subset")
    tracks = {
        s: found.task.tracks(found.dataset, found.parameters(subset=s)) for s in ("test", "train")
    }
    assert tracks == {"test": ["test a"], "train": ["train b"]}
