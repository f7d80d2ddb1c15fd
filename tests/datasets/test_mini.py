"""Every reader on a miniature of its official layout, and experiments on those."""

import logging
import shutil

import numpy as np
import pytest

from nmfab.base.errors import DataError, UsageError
from nmfab.cli import tool
from nmfab.datasets import DATASETS, mini
from nmfab.experiment import Experiment
from nmfab.results.summary import absent_lines


@pytest.fixture(scope="session")
def minis(tmp_path_factory):
    """A folder with a miniature of every dataset."""
    root = tmp_path_factory.mktemp("minis")
    for name in mini.NAMES:
        mini.write(name, root)
    return root


def test_every_dataset_has_a_miniature():
    assert {*mini.NAMES} == {*DATASETS.names()} - {"demo"}


def test_tool_writes_one_and_never_over_another(tmp_path, capsys):
    assert tool.main(["datasets", "mini", "guitarset", str(tmp_path)]) == 0
    assert "--data" in capsys.readouterr().out
    assert DATASETS["guitarset"]([tmp_path]).track_ids(needs=("audio", "notes"))
    assert tool.main(["datasets", "mini", "guitarset", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert tool.main(["datasets", "mini", "guitarset"]) == 2
    with pytest.raises(UsageError, match="did you mean 'salami'"):
        mini.write("salamy", tmp_path)


@pytest.mark.parametrize("name", mini.NAMES)
def test_every_part_of_every_track_is_read(minis, name):
    dataset = DATASETS[name]([minis])
    ids = dataset.track_ids()
    assert ids == sorted(ids)
    assert len(ids) >= 2
    assert dataset.status().state == ("installed" if name == "folder" else "partial")
    for track_id in [
        *ids,
        *(dataset.track_ids(subset="isolated")[:2] if "isolated" in dataset.subsets else ()),
    ]:
        track = dataset.load(track_id)
        assert (track.dataset, track.id) == (name, track_id)
        for part_name, part in track.parts.items():
            assert part.files
            assert all(path.is_file() for path in part.files)
            _check(part_name.partition(".")[0], part.read())


def _check(name, part):
    """Hold a part to what `nmfab.base.types.Part` and the tasks want of it."""
    if name in ("audio", "stems"):
        assert part["samples"].dtype == np.float32
        assert part["samples"].ndim == (2 if name == "audio" else 3)
        assert part["sample_rate"] in (16000, 22050, 44100)
        if name == "stems":
            assert len(part["names"]) == len(part["samples"])
    elif name == "sections":
        assert part["intervals"].shape == (len(part["labels"]), 2)
        assert (np.diff(part["intervals"], axis=1) > 0).all()
    elif name == "notes":
        assert part["onsets"].shape == part["offsets"].shape == part["pitches"].shape
        assert (part["offsets"] > part["onsets"]).all()
        assert part["pitches"].dtype.kind == "i"
    elif name == "beats":
        assert part["times"].shape == part["positions"].shape
        assert 1 in part["positions"]
    elif name == "species":
        assert part["codes"].shape == part["levels"].shape
    else:
        assert name == "events"
        assert part["intervals"].shape == (len(part["codes"]), 2)


@pytest.mark.parametrize("name", mini.NAMES)
def test_missing_audio_and_unknown_tracks_are_named(minis, name, tmp_path):
    dataset = DATASETS[name]([minis])
    with pytest.raises(DataError, match="no-such-track"):
        dataset.load("no-such-track")
    absent = DATASETS[name]([tmp_path])
    assert absent.status().state == "absent"
    assert "\n" not in absent.status().message
    assert absent.track_ids() == []
    with pytest.raises(DataError, match=name):
        absent.load(dataset.track_ids()[0])


@pytest.mark.parametrize("name", ["maestro", "salami", "anuraset", "slakh", "beatles", "guitarset"])
def test_an_empty_folder_is_absent_and_says_what_goes_there(name, tmp_path):
    (tmp_path / name).mkdir()
    status = DATASETS[name]([tmp_path]).status()
    assert status.state == "absent"
    assert status.missing


def test_musdb_in_both_forms_is_the_same_music(minis):
    stems, folders = (DATASETS[name]([minis]) for name in ("musdb18", "musdb18hq"))
    assert stems.track_ids() == folders.track_ids()
    assert stems.track_ids(subset="valid") == ["train/ANiMAL - Rockshow"]
    for track_id in stems.track_ids():
        coded, exact = (d.load(track_id).part("stems").read() for d in (stems, folders))
        assert list(coded["names"]) == list(exact["names"])
        length = min(coded["samples"].shape[-1], exact["samples"].shape[-1])
        error = coded["samples"][..., :length] - exact["samples"][..., :length]
        assert np.sqrt(np.mean(error**2)) < 0.01
        mixture = folders.load(track_id).part("audio").read()["samples"]
        assert np.abs(exact["samples"].sum(axis=0) - mixture).max() < 1e-3


def test_slakh_sums_its_sounds_by_program(minis):
    song = DATASETS["slakh"]([minis]).load("Track00001")
    stems, audio = song.part("stems").read(), song.part("audio").read()
    assert list(stems["names"]) == ["drums", "bass", "guitar", "piano", "other"]
    assert np.abs(stems["samples"].sum(axis=0) - audio["samples"]).max() < 1e-3
    pitches = song.part("notes").read()["pitches"]
    assert 36 not in pitches  # the bass drum
    assert {65, 34, 72, 74} <= set(pitches)


def test_salami_knows_who_annotated_what(minis):
    salami = DATASETS["salami"]([minis])
    parts = {track: {*salami.load(track).parts} for track in salami.track_ids()}
    assert "sections.2.upper" not in parts["898"]
    assert "sections.1.upper" not in parts["1015"]
    assert {"sections.1.functions", "sections.2.lower"} <= parts["2"]
    assert salami.track_ids(needs=("sections.2.upper",)) == ["1015", "2"]
    assert "audio/10.mp3" in salami.status().missing
    first, second = (
        salami.load("2").part(f"sections.{name}.upper").read()["intervals"] for name in (1, 2)
    )
    assert second[1, 0] - first[1, 0] == pytest.approx(0.7)


def test_beatles_have_the_ids_of_mirdata(minis, samples):
    import json
    from pathlib import PurePosixPath

    from nmfab.datasets.beatles import song_id

    assert DATASETS["beatles"]([minis]).track_ids() == ["0111", "10201"]
    index = samples / "annotations_only/mirdata_indexes/beatles_index_1.2.json"
    tracks = json.loads(index.read_text())["tracks"]
    for track, files in tracks.items():
        place = PurePosixPath(files["sections"][0]).with_suffix("")
        assert song_id(place.relative_to(*place.parents[2].parts[:1])) == track


def test_an_index_of_mirdata_names_the_audio(tmp_path):
    import json

    folder = mini.write("salami", tmp_path)
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "audio/2.mp3", folder / "elsewhere/two.mp3")
    assert "2" not in DATASETS["salami"]([tmp_path]).track_ids()
    index = folder / "salami_index_2.0-corrected.json"
    index.write_text(json.dumps({"tracks": {"2": {"audio": ["elsewhere/two.mp3", "md5"]}}}))
    assert "2" in DATASETS["salami"]([tmp_path]).track_ids()
    index.write_text("{")
    with pytest.raises(DataError, match="is no index of mirdata"):
        DATASETS["salami"]([tmp_path]).track_ids()


def test_a_broken_index_is_told_and_the_other_datasets_go_on(tmp_path):
    mini.write("beatles", tmp_path)
    (mini.write("salami", tmp_path) / "salami_index_2.0-corrected.json").write_text("{")
    experiment = Experiment("mini", task="structure", cache=tmp_path / "cache", data=[tmp_path])
    datasets = ["salami", "beatles", "rwcpop", "folder"]
    experiment.add_plan("rows", dataset=datasets, baseline=["regular"], bars="annotated")
    units, absent = experiment.units(experiment.select())
    assert {unit.dataset for unit in units} == {"beatles"}
    listed, broken = absent_lines(absent)
    assert listed.startswith("datasets rwcpop, folder: not on this machine")
    assert "is no index of mirdata" in broken
    assert absent_lines({"rwcpop": absent["rwcpop"]}) == [absent["rwcpop"].reason]


def test_a_broken_index_is_told_and_the_table_goes_on(tmp_path, capsys):
    (mini.write("salami", tmp_path) / "salami_index_2.0-corrected.json").write_text("{")
    assert tool.main(["datasets", "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("salami")).split()[2] == "broken"
    assert tool.main(["datasets", "salami", "--data", str(tmp_path)]) == 0
    assert "is no index of mirdata" in " ".join(capsys.readouterr().out.split())


def test_maestro_names_subsets_and_what_is_missing(minis):
    maestro = DATASETS["maestro"]([minis])
    assert [len(maestro.track_ids(subset=name)) for name in maestro.subsets] == [1, 1, 1]
    assert maestro.status().missing == ["2010/MIDI-Unprocessed_03_R1_2006_mini.wav"]
    assert maestro.status().message.startswith("3 of 1282 tracks")
    ids = maestro.track_ids()
    split = {name: maestro.track_ids(subset=name) for name in maestro.splits}
    assert split == {"train": [ids[0]], "validation": [ids[1]], "test": [ids[2]]}
    with pytest.raises(DataError, match="unknown subset of maestro"):
        maestro.track_ids(subset="valid")


def test_maestro_in_its_other_tables(tmp_path):
    import csv
    import json

    folder = mini.write("maestro", tmp_path)
    table = folder / "maestro-v2.0.0.json"
    rows = json.loads(table.read_text())
    expected = DATASETS["maestro"]([tmp_path]).track_ids()
    table.unlink()
    columns = {name: {str(i): row[name] for i, row in enumerate(rows)} for name in rows[0]}
    new = folder / "maestro-v3.0.0.json"
    new.write_text(json.dumps(columns))
    assert DATASETS["maestro"]([tmp_path]).track_ids() == expected
    assert "of 1276" in DATASETS["maestro"]([tmp_path]).status().message
    new.unlink()
    with open(folder / "maestro-v3.0.0.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    assert DATASETS["maestro"]([tmp_path]).track_ids() == expected
    (folder / "maestro-v3.0.0.csv").write_text("audio\nx\n")
    with pytest.raises(DataError, match="is no table of MAESTRO"):
        DATASETS["maestro"]([tmp_path]).track_ids()


def test_strong_labels_are_found_where_their_archive_unpacks(tmp_path):
    folder = mini.write("anuraset", tmp_path) / "strong_labels"
    shutil.move(folder, tmp_path / "labels")
    folder.mkdir()
    shutil.move(tmp_path / "labels", folder / "strong_labels")
    minute = DATASETS["anuraset"]([tmp_path]).load("INCT4_20191005_180000")
    assert len(minute.part("events").read()["codes"]) == 2


def test_anuraset_counts_species_anew(minis, caplog):
    anuraset = DATASETS["anuraset"]([minis])
    heard = anuraset.load("INCT4_20191005_180000").part("species").read()
    assert list(heard["codes"]) == ["SPHSUR", "BOABIS"]
    assert heard["levels"].tolist() == [2, 2]
    assert len(heard["known"]) == 3
    events = anuraset.load("INCT4_20191005_180000").part("events").read()
    assert list(events["codes"]) == ["SPHSUR", "BOABIS"]
    assert list(events["qualities"]) == ["H", "L"]
    with caplog.at_level(logging.WARNING):
        assert len(anuraset.track_ids(subset="windows")) == 6
        assert len(anuraset.track_ids(subset="windows:train")) == 3
    assert caplog.text.count("species_number is not the number of species in 3 of 6 rows") == 1
    window = anuraset.load("INCT4_20191005_180000_2_5")
    assert list(window.part("species").read()["codes"]) == ["BOABIS"]
    assert window.part("audio").read()["samples"].shape == (1, 3 * 22050)


def test_own_folder_in_every_form(minis):
    folder = DATASETS["folder"]([minis])
    notes = [folder.load(f"pieces/piece {n}").part("notes").read() for n in range(4)]
    for found in notes:
        np.testing.assert_allclose(found["onsets"], [0.25, 0.75, 1.5], atol=1e-6)
        np.testing.assert_allclose(found["offsets"], [0.75, 1.25, 2.5], atol=1e-6)
        assert found["pitches"].tolist() == [60, 64, 67]
    for name in ("song 1", "more/song 2"):
        sections = folder.load(name).part("sections").read()
        np.testing.assert_array_equal(sections["intervals"], [[0, 8], [8, 16]])
    assert folder.track_ids(needs=("stems",)) == ["band", "more/duo stems"]
    stems = folder.load("more/duo stems").part("stems").read()
    mixture = folder.load("more/duo stems").part("audio").read()
    np.testing.assert_array_equal(stems["samples"].sum(axis=0), mixture["samples"])
    assert folder.track_ids(needs=("beats",)) == ["song 1"]


def test_jams_have_the_parts_that_are_in_them(minis, tmp_path):
    folder = DATASETS["folder"]([minis])
    assert {*folder.load("more/song 2").parts} == {"audio", "sections"}
    assert {*folder.load("pieces/piece 3").parts} == {"audio", "notes"}
    shutil.copytree(minis / "folder/pieces", tmp_path / "folder")
    (tmp_path / "folder/piece 3.jams").write_text('{"annotations": [{"name')
    broken = DATASETS["folder"]([tmp_path]).load("piece 3")
    for name in ("sections", "notes"):
        with pytest.raises(DataError, match="is no JAMS file"):
            broken.part(name).read()


def test_own_stems_that_differ_are_named(tmp_path):
    from nmfab.datasets.mini import sound

    for name, seconds in (("bass", 1), ("drums", 2)):
        sound.write_wav(tmp_path / f"folder/a stems/{name}.wav", sound.beats(seconds))
    track = DATASETS["folder"]([tmp_path]).load("a stems")
    with pytest.raises(DataError, match=r"differ: bass 1×22050 at 22050 Hz, drums 1×44100"):
        track.part("stems").read()


@pytest.mark.parametrize(
    ("task", "dataset", "factors"),
    [
        ("structure", "salami", {"baseline": ["regular"], "bars": "librosa", "regular.bars": 2}),
        ("structure", "beatles", {"baseline": ["signal", "oracle"], "subdivision": 8, "hop": 512}),
        ("structure", "rwcpop", {"baseline": ["oracle"], "annotator": ["mirex10", "aist"]}),
        ("structure", "folder", {"baseline": ["oracle"]}),
        ("transcription", "guitarset", {"baseline": ["salience"]}),
        ("transcription", "maestro", {"baseline": ["salience"]}),
        ("transcription", "folder", {"baseline": ["salience"]}),
        ("separation", "musdb18hq", {"baseline": ["mixture", "irm1"], "duration": 2}),
        ("separation", "slakh", {"baseline": ["irm1"], "duration": 2}),
        ("separation", "folder", {"baseline": ["irm1"]}),
    ],
)
def test_experiments_run_on_miniatures(minis, tmp_path, task, dataset, factors):
    experiment = Experiment("mini", task=task, title="mini")
    experiment.data, experiment.cache = [minis], tmp_path
    experiment.add_plan("rows", dataset=[dataset], **factors)
    report = experiment.compute()
    assert not report.failures
    results = experiment.results()
    assert results.rows
    assert not results.missing
    main = {"structure": "F3", "transcription": "F", "separation": "sdr"}[task]
    assert all(np.isfinite(scores[main]) for *_, scores in results.rows)


@pytest.mark.parametrize("name", DATASETS.names())
def test_subsets_name_tracks_that_load_and_others_are_refused(minis, name):
    dataset = DATASETS[name]([minis])
    assert dataset.subsets == (*dataset.splits, *dataset.extras)
    listed = set(dataset.track_ids())
    split = [set(dataset.track_ids(subset=subset)) for subset in dataset.splits]
    assert not split or set.union(*split) == listed
    for subset in dataset.extras:
        ids = dataset.track_ids(subset=subset)
        assert not listed & set(ids)
        general = subset.partition(":")[0]
        assert set(ids) <= set(dataset.track_ids(subset=general))
        assert dataset.track_ids(needs=("audio", "no-such-part"), subset=subset) == []
    assert any(dataset.track_ids(subset=subset) for subset in dataset.subsets) == bool(
        dataset.subsets
    )
    with pytest.raises(DataError, match=f"of {name} 'tst'|{name} has no subset 'tst'"):
        dataset.track_ids(subset="tst")


def test_subsets_are_looked_for_once_each(minis, monkeypatch):
    from nmfab.datasets.contract import looking_once

    maestro, looks = DATASETS["maestro"]([minis]), []
    look = maestro.track_ids
    maestro.track_ids = lambda *given: looks.append(given) or look(*given)
    once = looking_once(maestro)
    for _ in range(2):
        every = once.track_ids(needs=("audio",))
        assert once.track_ids(("audio",), "test") == [every[2]]
        assert once.track_ids(("audio",), subset="train") == [every[0]]
    assert len(looks) == 3


def test_folds_of_guitarset_are_its_players_and_most_have_none(minis):
    guitar = DATASETS["guitarset"]([minis])
    assert [guitar.fold(track) for track in guitar.track_ids()] == ["00", "00"]
    assert guitar.fold("05_Funk1-114-Ab_comp") == "05"
    maestro = DATASETS["maestro"]([minis])
    assert {maestro.fold(track) for track in maestro.track_ids()} == {None}
