"""The version of every component and every part of a track is in the key of what uses it."""

import dataclasses

import numpy as np
import pytest
from tasks import made
from tasks.conftest import played, song_of_bars, stems_song

from nmfab.algorithms import init as starts
from nmfab.algorithms import isolated
from nmfab.base import kinds
from nmfab.features import FEATURES, bars, barwise
from nmfab.metrics import bss_eval, downbeats
from nmfab.metrics import separation as separation_metrics
from nmfab.metrics import structure as structure_metrics
from nmfab.metrics import transcription as transcription_metrics
from nmfab.postprocessing import STEPS
from nmfab.tasks import transcription as transcription_task
from nmfab.tasks.stft import VERSIONS

NMF, GROUPS, SEGMENTS = "nmf.factorize", "postprocessing.grouping", "postprocessing.segments"
ESTIMATE, PITCHES, STFT = "postprocessing.estimate", "postprocessing.pitches", "features.stft"
OF = {name: f"metrics.{name}" for name in ("separation", "transcription", "structure")}
DICTIONARY, SALIENCE = {"dictionary": "piano"}, {"baseline": "salience"}
SOUND, BASELINE = "postprocessing.estimates", "postprocessing.baseline"

# module, name of its version, task, setting, nodes that use it
USED = [
    (separation_metrics, "VERSION", "separation", {"baseline": "mixture"}, {OF["separation"]}),
    (separation_metrics, "VERSION", "separation", {"baseline": "dictionary"}, {"nmf.dictionary"}),
    (separation_metrics, "VERSION", "separation", {"n_sources": None}, {GROUPS}),
    (bss_eval, "VERSION", "separation", {"baseline": "mixture"}, {OF["separation"]}),
    (starts, "VERSION", "separation", {}, {NMF}),
    (transcription_task, "TEMPLATES_VERSION", "transcription", {"pitch": "harmonic"}, {PITCHES}),
    (transcription_task, "TEMPLATES_VERSION", "transcription", SALIENCE, {BASELINE}),
    (isolated, "VERSION", "transcription", DICTIONARY, {"nmf.dictionary"}),
    (transcription_metrics, "VERSION", "transcription", {}, {OF["transcription"]}),
    (bars, "VERSION", "structure", {}, {"features.bars"}),
    (barwise, "VERSION", "structure", {}, {"features.barwise"}),
    (structure_metrics, "VERSION", "structure", {}, {OF["structure"]}),
    (downbeats, "VERSION", "structure", {"bars": "librosa"}, {OF["structure"]}),
]
# task, setting, nodes that make spectra or cut the excerpt
TRANSFORMED = [
    ("separation", {}, {STFT, SOUND, OF["separation"]}),
    ("separation", {"grouping": "oracle"}, {STFT, GROUPS, SOUND, OF["separation"]}),
    ("separation", {"n_sources": None}, {STFT, GROUPS, SOUND, OF["separation"]}),
    ("separation", {"baseline": "irm1"}, {SOUND, OF["separation"]}),
    ("separation", {"baseline": "dictionary"}, {STFT, "nmf.dictionary", SOUND, OF["separation"]}),
    ("transcription", {}, {STFT}),
]
# steps: the setting that uses each, and its node; a step that is missing here fails
STEPS_USED = {
    "grouping.mfcc": ("separation", {}, GROUPS),
    "grouping.oracle": ("separation", {"grouping": "oracle"}, GROUPS),
    "grouping.panning": ("separation", {"grouping": "panning", "algorithm": "ntf"}, GROUPS),
    **{
        f"masking.{name}": ("separation", {"masking": name}, SOUND)
        for name in STEPS.family("masking")
    },
    **{
        f"separation.{name}": ("separation", {"baseline": name}, SOUND)
        for name in STEPS.family("separation")
    },
    **{
        f"pitch.{name}": ("transcription", {"pitch": name}, PITCHES)
        for name in STEPS.family("pitch")
    },
    "activity.merged": ("transcription", {}, ESTIMATE),
    **{
        f"thresholding.{name}": ("transcription", {"thresholding": name}, ESTIMATE)
        for name in STEPS.family("thresholding")
    },
    "transcription.salience": ("transcription", SALIENCE, BASELINE),
    "columns.activations": ("structure", {}, SEGMENTS),
    **{
        f"similarity.{name}": ("structure", {"similarity": name}, SEGMENTS)
        for name in STEPS.family("similarity")
    },
    "segmentation.cbm": ("structure", {}, SEGMENTS),
    **{
        f"structure.{name}": ("structure", {"baseline": name}, SEGMENTS)
        for name in STEPS.family("structure")
    },
}


@pytest.fixture
def benches(separation, transcription, structure):
    return {bench.task.name: bench for bench in (separation, transcription, structure)}


def _versions(bench, given):
    return {name: bench.recipe(name, **given)["versions"] for name in bench.nodes(**given)}


def _changed(bench, given, change):
    """Return the nodes whose versions differ after a change."""
    before = _versions(bench, given)
    change()
    after = _versions(bench, given)
    return {node for node in before if before[node] != after[node]}


@pytest.mark.parametrize(("module", "name", "task", "given", "nodes"), USED)
def test_a_version_is_in_the_key_of_what_uses_it(
    benches, monkeypatch, module, name, task, given, nodes
):
    bench = benches[task]
    changed = _changed(bench, given, lambda: monkeypatch.setattr(module, name, "changed"))
    assert nodes <= changed


@pytest.mark.parametrize("version", sorted(VERSIONS))
@pytest.mark.parametrize(("task", "given", "nodes"), TRANSFORMED)
def test_the_transform_is_in_the_keys_of_what_uses_it(
    benches, monkeypatch, version, task, given, nodes
):
    def change():
        monkeypatch.setitem(VERSIONS, version, "changed")

    assert _changed(benches[task], given, change) == nodes


def test_every_step_has_a_setting():
    assert set(STEPS_USED) == set(STEPS.names())


@pytest.mark.parametrize("name", sorted(STEPS_USED))
def test_a_step_is_in_the_key_of_its_node(benches, monkeypatch, name):
    task, given, node = STEPS_USED[name]
    newer = dataclasses.replace(STEPS[name], version="changed")
    change = lambda: monkeypatch.setitem(STEPS._components, name, newer)  # noqa: E731
    assert _changed(benches[task], given, change) == {node}


@pytest.mark.parametrize("name", [n for n in sorted(STEPS_USED) if STEPS[n].libraries])
def test_the_libraries_of_a_step_are_in_the_key_of_its_node(benches, name):
    task, given, node = STEPS_USED[name]
    assert set(STEPS[name].libraries) <= set(benches[task].nodes(**given)[node].libraries)


@pytest.mark.parametrize(
    ("task", "given", "nodes"),
    [
        ("separation", {}, {NMF, GROUPS, SOUND}),
        ("separation", {"baseline": "mixture"}, set()),
        ("separation", {"baseline": "dictionary"}, {"nmf.dictionary", NMF, SOUND}),
        ("transcription", {}, {NMF, PITCHES, ESTIMATE}),
        ("transcription", DICTIONARY, {NMF, ESTIMATE}),
        ("structure", {}, {NMF, SEGMENTS}),
        ("structure", {"baseline": "signal"}, set()),
    ],
)
def test_the_kind_is_in_the_keys_of_what_calls_its_methods(
    benches, monkeypatch, task, given, nodes
):
    def change():
        monkeypatch.setattr(kinds.LowRank, "version", 99)

    assert _changed(benches[task], given, change) == nodes


@pytest.mark.parametrize("feature", FEATURES.names())
def test_the_version_of_a_feature_is_in_the_key_of_the_matrix(structure, monkeypatch, feature):
    before = structure.keys(feature=feature, baseline="signal")["features.barwise"]
    newer = dataclasses.replace(FEATURES[feature], version=99)
    monkeypatch.setitem(FEATURES._components, feature, newer)
    assert structure.keys(feature=feature, baseline="signal")["features.barwise"] != before


# task, setting, part, the nodes that read it from the track
READ = [
    ("separation", {}, "audio", {STFT, SOUND, OF["separation"]}),
    ("separation", {}, "stems", {OF["separation"]}),
    ("separation", {"n_sources": None}, "stems", {GROUPS, OF["separation"]}),
    ("separation", {"grouping": "oracle"}, "stems", {GROUPS, OF["separation"]}),
    ("separation", {"baseline": "dictionary"}, "stems", {"nmf.dictionary", OF["separation"]}),
    ("separation", {"baseline": "mixture"}, "audio", {SOUND, OF["separation"]}),
    ("separation", {"baseline": "mixture"}, "stems", {SOUND, OF["separation"]}),
    ("separation", {"baseline": "irm1"}, "stems", {SOUND, OF["separation"]}),
    ("transcription", {}, "audio", {STFT}),
    ("transcription", {}, "notes", {OF["transcription"]}),
    ("transcription", {"pitch": "oracle"}, "notes", {PITCHES, OF["transcription"]}),
    ("transcription", {"thresholding": "oracle"}, "notes", {ESTIMATE, OF["transcription"]}),
    ("structure", {}, "audio", {"features.bars", "features.barwise"}),
    ("structure", {}, "beats", {"features.bars"}),
    ("structure", {"bars": "librosa"}, "beats", {OF["structure"]}),
    ("structure", {}, "sections", {OF["structure"]}),
    ("structure", {"baseline": "oracle"}, "sections", {SEGMENTS, OF["structure"]}),
]


@pytest.mark.parametrize(("task", "given", "part", "nodes"), READ)
def test_a_part_is_in_the_keys_of_what_reads_it(benches, tmp_path, task, given, part, nodes):
    bench = benches[task]
    bench = made.Bench(task, tmp_path, **bench.base)
    parts = {"separation": stems_song, "structure": song_of_bars}.get(
        task, lambda: played([(0.2, 0.5, 60)], 2.0)
    )()
    other = dict(parts[part].items())
    name = {"audio": "samples", "stems": "samples", "notes": "onsets", "beats": "times"}.get(
        part, "intervals"
    )
    other[name] = other[name] * np.float32(1.01)
    made.write(tmp_path / "data" / "made", "song", **parts)
    made.write(tmp_path / "data" / "made", "other", **{**parts, part: other})
    keys = [bench.keys(track, **given) for track in ("song", "other")]
    own = {node for node, spec in bench.nodes(**given).items() if part in spec.parts}
    assert own == nodes
    for node in keys[0]:
        assert (keys[0][node] != keys[1][node]) == _reads(bench.nodes(**given), node, own)


def _reads(nodes, node, own):
    return node in own or any(_reads(nodes, source, own) for source in nodes[node].inputs)


@pytest.mark.parametrize("part", ["audio", "notes"])
def test_what_a_dictionary_learns_from_is_in_its_key(transcription, tmp_path, part):
    bench = made.Bench("transcription", tmp_path, **{**transcription.base, **DICTIONARY})
    folder = tmp_path / "data" / "made"
    made.write(folder, "song", **played([(0.2, 0.5, 60)], 2.0))
    for number in (60, 67):
        made.write(folder, f"isolated/piano_{number}", **played([(0.1, 0.5, number)], 0.7))
    before = bench.keys()
    first = bench.arrays("nmf.dictionary")
    made.write(folder, "isolated/piano_67", **{part: played([(0.1, 0.3, 67)], 0.7)[part]})
    bench.anew()
    after = bench.keys()
    same = {node for node in before if before[node] == after[node]}
    assert same == {STFT}
    assert not made.same(first, bench.arrays("nmf.dictionary"))
    made.write(folder, "isolated/piano_72", **played([(0.1, 0.5, 72)], 0.7))
    bench.anew()
    assert bench.keys()["nmf.dictionary"] != after["nmf.dictionary"]
    assert bench.arrays("nmf.dictionary")["pitches"].tolist() == [60, 67, 72]


def test_the_loader_of_a_dataset_is_in_the_keys_of_what_reads_its_parts(structure, monkeypatch):
    before = structure.keys()
    monkeypatch.setattr(made.Made, "version", 2)
    structure.anew()
    after = structure.keys()
    assert all(before[node] != after[node] for node in before)
