"""Every reader on real recordings and annotations in the official layouts."""

import json
import logging
import shutil

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.datasets import DATASETS

TRACKS = {
    "anuraset": ["INCT17_20191113_040000", "INCT4_20191005_180000"],
    "beatles": ["0111"],
    "maps": ["MAPS_MUS-chpn-p10_AkPnStgb", "MAPS_MUS-scn15_9_ENSTDkAm"],
    "musdb18": ["train/Music Delta - 80s Rock"],
    "musdb18hq": ["train/Music Delta - 80s Rock"],
    "rwcpop": ["RM-P001", "RM-P002"],
    "salami": ["176"],
}


@pytest.mark.parametrize("name", TRACKS)
def test_every_track_and_part_is_read(name, samples):
    dataset = DATASETS[name]([samples])
    assert dataset.status().state == "partial"
    assert dataset.track_ids() == TRACKS[name]
    for track_id in dataset.track_ids():
        track = dataset.load(track_id)
        assert len(track.parts) > 1
        audio = track.part("audio").read()
        seconds = audio["samples"].shape[1] / audio["sample_rate"]
        for part_name, part in track.parts.items():
            found = part.read()
            if part_name.startswith("sections"):
                assert abs(found["intervals"].max() - seconds) < 5
            elif part_name == "notes":
                assert found["offsets"].max() < seconds + 1


def test_sections_of_one_recording_in_three_layouts_agree(samples):
    """RM-P001 and SALAMI 176 are one recording here, its annotation written in three forms."""
    rwc = DATASETS["rwcpop"]([samples]).load("RM-P001")
    salami = DATASETS["salami"]([samples]).load("176")
    mirex = rwc.part("sections.mirex10").read()
    functions = salami.part("sections.1.functions").read()
    np.testing.assert_allclose(mirex["intervals"], functions["intervals"], atol=1e-6)
    aist = rwc.part("sections.aist").read()
    np.testing.assert_allclose(mirex["intervals"], aist["intervals"], atol=0.00501)
    assert list(aist["labels"]) == list(functions["labels"])
    assert "sections.2.upper" not in salami.parts


def test_anuraset_of_the_samples(samples):
    anuraset = DATASETS["anuraset"]([samples])
    minute = anuraset.load("INCT4_20191005_180000")
    assert set(minute.part("species").read()["codes"]) == {"CRER", "SP"}
    events = minute.part("events").read()
    assert set(events["codes"]) == {"CRER", "SP"}
    assert events["intervals"][0].tolist() == [0.101385, 0.36752]
    assert len(anuraset.load("INCT17_20191113_040000").part("events").read()["codes"]) == 0
    windows = anuraset.track_ids(subset="windows")
    assert len(windows) == 6
    for window in windows:
        audio = anuraset.load(window).part("audio").read()
        assert audio["samples"].shape[1] == 3 * audio["sample_rate"]


def test_real_rows_of_anuraset_are_counted_anew(samples, tmp_path, caplog):
    (tmp_path / "anuraset/anuraset").mkdir(parents=True)
    table = samples / "annotations_only/anuraset/filtered_metadata.csv"
    shutil.copy(table, tmp_path / "anuraset/anuraset/metadata.csv")
    anuraset = DATASETS["anuraset"]([tmp_path])
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match=r"_0_3\.wav is missing"):
        anuraset.load("INCT20955_20190904_003000_0_3")
    assert "is not the number of species in 343 of 343 rows" in caplog.text


def test_ids_of_salami_are_those_of_mirdata(samples, tmp_path):
    """Every annotated track of the repository is in the index, with the annotators it says."""
    index = samples / "annotations_only/mirdata_indexes/salami_index_2.0-corrected.json"
    tracks = json.loads(index.read_text())["tracks"]
    folder = tmp_path / "salami"
    shutil.copytree(samples / "annotations_only/salami-data-public", folder / "salami-data-public")
    (folder / "audio").mkdir()
    for place in (folder / "salami-data-public/annotations").iterdir():
        (folder / "audio" / f"{place.name}.mp3").touch()
    salami = DATASETS["salami"]([tmp_path])
    assert len(salami.track_ids()) == 49
    for track_id in salami.track_ids():
        parts = salami.load(track_id).parts
        for annotator in (1, 2):
            path, _ = tracks[track_id].get(f"annotator_{annotator}_uppercase", (None, None))
            assert (f"sections.{annotator}.upper" in parts) == (path is not None)
