"""The version of every component and every part of a track is in the key of what uses it."""

import numpy as np
import pytest
from tasks import made
from tasks.conftest import played, song_of_bars, stems_song

from nmfab.algorithms import init as starts
from nmfab.algorithms import isolated
from nmfab.base import stft
from nmfab.features import FEATURES, bars, barwise
from nmfab.metrics import bss_eval, downbeats
from nmfab.metrics import separation as separation_metrics
from nmfab.metrics import structure as structure_metrics
from nmfab.metrics import transcription as transcription_metrics
from nmfab.postprocessing import cbm, grouping, masking, pitch, segmentation, similarity, thresholds
from nmfab.postprocessing import notes as noting
from nmfab.tasks import separation_nodes
from nmfab.tasks import transcription as transcription_task

NMF, GROUPS, SEGMENTS = "nmf.factorize", "postprocessing.grouping", "postprocessing.segments"
ESTIMATE, PITCHES, STFT = "postprocessing.estimate", "postprocessing.pitches", "features.stft"
OF = {name: f"metrics.{name}" for name in ("separation", "transcription", "structure")}
DICTIONARY = {"dictionary": "piano"}

# module, name of its version, task, setting, nodes that use it
USED = [
    (stft, "VERSION", "separation", {}, {STFT, OF["separation"]}),
    (stft, "VERSION", "separation", {"grouping": "oracle"}, {GROUPS}),
    (stft, "VERSION", "separation", {"baseline": "dictionary"}, {"nmf.dictionary"}),
    (stft, "VERSION", "separation", {"baseline": "irm1"}, {OF["separation"]}),
    (separation_nodes, "STFT_VERSION", "separation", {}, {STFT, OF["separation"]}),
    (separation_nodes, "VERSION", "separation", {"baseline": "dictionary"}, {"nmf.dictionary"}),
    (grouping, "VERSION", "separation", {}, {GROUPS}),
    (grouping, "VERSION", "separation", {"grouping": "oracle"}, {GROUPS}),
    (masking, "VERSION", "separation", {}, {OF["separation"]}),
    (masking, "VERSION", "separation", {"baseline": "hpss"}, {OF["separation"]}),
    (separation_metrics, "VERSION", "separation", {"baseline": "mixture"}, {OF["separation"]}),
    (bss_eval, "VERSION", "separation", {"baseline": "mixture"}, {OF["separation"]}),
    (starts, "VERSION", "separation", {}, {NMF}),
    (
        transcription_task,
        "TEMPLATES_VERSION",
        "transcription",
        {"baseline": "salience"},
        {"postprocessing.salience"},
    ),
    (isolated, "VERSION", "transcription", DICTIONARY, {"nmf.dictionary"}),
    (pitch, "VERSION", "transcription", {}, {PITCHES}),
    (pitch, "VERSION", "transcription", {"pitch": "harmonic"}, {PITCHES}),
    (pitch, "VERSION", "transcription", {"baseline": "salience"}, {PITCHES}),
    (noting, "VERSION", "transcription", {}, {ESTIMATE}),
    (thresholds, "VERSION", "transcription", {"thresholding": "oracle"}, {ESTIMATE}),
    (transcription_task, "STFT_VERSION", "transcription", {}, {STFT}),
    (transcription_metrics, "VERSION", "transcription", {}, {OF["transcription"]}),
    (bars, "VERSION", "structure", {}, {"features.bars"}),
    (barwise, "VERSION", "structure", {}, {"features.barwise"}),
    (similarity, "VERSION", "structure", {}, {SEGMENTS}),
    (similarity, "VERSION", "structure", {"baseline": "signal"}, {SEGMENTS}),
    (cbm, "VERSION", "structure", {}, {SEGMENTS}),
    (cbm, "VERSION", "structure", {"baseline": "constant"}, {SEGMENTS}),
    (segmentation, "VERSION", "structure", {"baseline": "regular"}, {SEGMENTS}),
    (segmentation, "VERSION", "structure", {"baseline": "oracle"}, {SEGMENTS}),
    (structure_metrics, "VERSION", "structure", {}, {OF["structure"]}),
    (downbeats, "VERSION", "structure", {"bars": "librosa"}, {OF["structure"]}),
]


@pytest.fixture
def benches(separation, transcription, structure):
    return {bench.task.name: bench for bench in (separation, transcription, structure)}


def _versions(bench, given):
    return {name: bench.recipe(name, **given)["versions"] for name in bench.nodes(**given)}


@pytest.mark.parametrize(("module", "name", "task", "given", "nodes"), USED)
def test_a_version_is_in_the_key_of_what_uses_it(
    benches, monkeypatch, module, name, task, given, nodes
):
    before = _versions(benches[task], given)
    monkeypatch.setattr(module, name, "changed")
    if (module, name) == (separation_nodes, "STFT_VERSION"):
        from nmfab.tasks import separation

        monkeypatch.setitem(separation._STFT, "features.stft", "changed")
    if module is stft:
        from nmfab.tasks import separation

        monkeypatch.setitem(separation._STFT, "base.stft", "changed")
    if (module, name) == (separation_nodes, "VERSION"):
        from nmfab.tasks import separation

        monkeypatch.setitem(separation._OWN, "task.separation", "changed")
    after = _versions(benches[task], given)
    changed = {node for node in before if before[node] != after[node]}
    assert nodes <= changed
    keys = benches[task].keys(**given)
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize("feature", FEATURES.names())
def test_the_version_of_a_feature_is_in_the_key_of_the_matrix(structure, monkeypatch, feature):
    import dataclasses

    before = structure.keys(feature=feature, baseline="signal")["features.barwise"]
    newer = dataclasses.replace(FEATURES[feature], version=99)
    monkeypatch.setitem(FEATURES._components, feature, newer)
    assert structure.keys(feature=feature, baseline="signal")["features.barwise"] != before


# task, setting, part, the nodes that read it from the track
READ = [
    ("separation", {}, "audio", {STFT, GROUPS, OF["separation"]}),
    ("separation", {}, "stems", {OF["separation"]}),
    ("separation", {"grouping": "oracle"}, "stems", {GROUPS, OF["separation"]}),
    ("separation", {"baseline": "dictionary"}, "stems", {"nmf.dictionary", OF["separation"]}),
    ("separation", {"baseline": "mixture"}, "audio", {OF["separation"]}),
    ("separation", {"baseline": "irm1"}, "stems", {OF["separation"]}),
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
