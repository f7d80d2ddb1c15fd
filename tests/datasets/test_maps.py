import logging

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.datasets.maps import INSTRUMENTS, MAPS, PIECES, read_notes

HEADER = "OnsetTime\tOffsetTime\tMidiPitch\n"


def put(folder, track_id, *, notes="0.5\t1.0\t60\n"):
    import wave

    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / f"{track_id}.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.zeros((441, 2), "<i2").tobytes())
    if notes is not None:
        (folder / f"{track_id}.txt").write_text(HEADER + notes)


@pytest.fixture
def root(tmp_path):
    """Two pianos as their archives leave them, one with isolated notes, one piece incomplete."""
    home = tmp_path / "maps"
    put(home / "AkPnBcht/MUS", "MAPS_MUS-bach_846_AkPnBcht")
    put(home / "MAPS_ENSTDkCl_2/ENSTDkCl/MUS", "MAPS_MUS-chpn-p7_ENSTDkCl")
    put(home / "ENSTDkAm1/ENSTDkAm/MUS", "MAPS_MUS-alb_se2_ENSTDkAm")
    put(home / "ENSTDkAm2/ENSTDkAm/MUS", "MAPS_MUS-ty_mai_ENSTDkAm")
    put(home / "ENSTDkAm2/ENSTDkAm/MUS", "MAPS_MUS-lost_ENSTDkAm", notes=None)
    put(home / "ENSTDkAm2/ENSTDkAm/MUS", "._MAPS_MUS-alb_se2_ENSTDkAm")
    for pitch in (60, 61):
        put(home / "MAPS_ENSTDkCl_1/ENSTDkCl/ISOL/NO", f"MAPS_ISOL_NO_F_S0_M{pitch}_ENSTDkCl")
        put(home / "AkPnBcht/ISOL/NO", f"MAPS_ISOL_NO_M_S1_M{pitch}_AkPnBcht")
    put(home / "AkPnBcht/ISOL/ST", "MAPS_ISOL_ST_M_S1_M60_AkPnBcht")
    return tmp_path


def test_every_layout_of_the_archives_is_read(root):
    found = MAPS([root]).track_ids(needs=("audio", "notes"))
    assert found == [
        "MAPS_MUS-alb_se2_ENSTDkAm",
        "MAPS_MUS-bach_846_AkPnBcht",
        "MAPS_MUS-chpn-p7_ENSTDkCl",
        "MAPS_MUS-ty_mai_ENSTDkAm",
    ]
    assert MAPS([root]).track_ids(needs=("audio", "sections")) == []


def test_isolated_notes_are_named_for_dictionaries_only(root):
    maps = MAPS([root])
    assert len(maps.track_ids(subset="isolated")) == 4  # those played normally, staccato not
    own = maps.track_ids(subset="isolated:ENSTDkCl")
    assert own == [f"MAPS_ISOL_NO_F_S0_M{pitch}_ENSTDkCl" for pitch in (60, 61)]
    assert maps.load(own[0]).part("notes").read()["pitches"].tolist() == [60]
    assert not set(maps.track_ids(subset="isolated")) & set(maps.track_ids())
    with pytest.raises(DataError, match="did you mean 'isolated:ENSTDkCl'"):
        maps.track_ids(subset="isolated:ENSTDkC")


def test_isolated_notes_of_one_loudness_and_the_piano_of_a_track(root):
    put(root / "maps/AkPnBcht/ISOL/NO", "MAPS_ISOL_NO_F_S0_M60_AkPnBcht")
    maps = MAPS([root])
    assert len(maps.track_ids(subset="isolated:AkPnBcht")) == 3
    found = maps.track_ids(subset="isolated:AkPnBcht:M")
    assert found == [f"MAPS_ISOL_NO_M_S1_M{pitch}_AkPnBcht" for pitch in (60, 61)]
    forte = maps.track_ids(subset="isolated:AkPnBcht:F")
    assert forte == ["MAPS_ISOL_NO_F_S0_M60_AkPnBcht"]
    assert maps.track_ids(subset="isolated:AkPnBcht:P") == []
    with pytest.raises(DataError, match="isolated:AkPnBcht:G"):
        maps.track_ids(subset="isolated:AkPnBcht:G")
    assert maps.instrument("MAPS_MUS-bach_846_AkPnBcht") == "AkPnBcht"
    assert maps.instrument(found[0]) == "AkPnBcht"


def test_status_counts_the_pieces_of_each_piano(root, tmp_path):
    status = MAPS([root]).status()
    assert status.state == "partial"
    assert "4 of 270 pieces" in status.message
    assert f"ENSTDkAm/MUS: {PIECES - 2} of {PIECES} pieces" in status.missing
    assert len(status.missing) == len(INSTRUMENTS) == 9
    absent = MAPS([tmp_path / "nowhere"])
    assert absent.status().state == "absent"
    assert absent.track_ids() == absent.track_ids(subset="isolated") == []
    with pytest.raises(DataError, match="not found"):
        absent.load("MAPS_MUS-bach_846_AkPnBcht")


def test_a_complete_collection_is_installed(tmp_path):
    for instrument in INSTRUMENTS:
        folder = tmp_path / "maps" / instrument / "MUS"
        folder.mkdir(parents=True)
        for piece in range(PIECES):
            for suffix in (".wav", ".txt"):
                (folder / f"MAPS_MUS-p{piece}_{instrument}{suffix}").touch()
    assert MAPS([tmp_path]).status().state == "installed"


def test_a_missing_file_is_named(root):
    maps = MAPS([root])
    with pytest.raises(DataError, match=r"MAPS_MUS-lost_ENSTDkAm\.txt is missing"):
        maps.load("MAPS_MUS-lost_ENSTDkAm")
    with pytest.raises(DataError, match="no track 'MAPS_MUS-none_AkPnBcht'"):
        maps.load("MAPS_MUS-none_AkPnBcht")


def test_parts_are_read_when_asked_for(root):
    track = MAPS([root]).load("MAPS_MUS-bach_846_AkPnBcht")
    audio = track.part("audio").read()
    assert audio["samples"].shape == (2, 441)
    assert audio["sample_rate"] == 44100
    notes = track.part("notes").read()
    assert [notes[name].tolist() for name in ("onsets", "offsets", "pitches")] == [[0.5], [1], [60]]
    assert notes["pitches"].dtype.kind == "i"


def test_annotation_with_the_quirks_of_real_files(tmp_path, caplog):
    path = tmp_path / "notes.txt"
    text = "\ufeff" + HEADER + "1,5\t2,5\t64\n\n0.25\t0.75\t60\n3.0\t3.0\t62\n"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    with caplog.at_level(logging.WARNING):
        notes = read_notes(path)
    assert notes["onsets"].tolist() == [0.25, 1.5, 3.0]
    assert notes["pitches"].tolist() == [60, 64, 62]
    assert np.all(notes["offsets"] > notes["onsets"])
    assert "1 notes of no length are kept" in caplog.text


def test_an_annotation_without_notes_is_empty(tmp_path):
    (tmp_path / "notes.txt").write_text(HEADER)
    assert [part.shape for part in read_notes(tmp_path / "notes.txt").values()] == [(0,)] * 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.0\t0.5\t60", "line 2: no note from 1.0 s to 0.5 s"),
        ("-1.0\t0.5\t60", "no note from"),
        ("1.0\t2.0\t440.5", "no MIDI pitch"),
        ("1.0\t2.0\t128", "no MIDI pitch"),
        ("1.0\t2.0", "is no number"),
        ("1.0\tx\t60", "'x' is no number"),
    ],
)
def test_a_line_that_means_nothing_is_named(tmp_path, line, message):
    (tmp_path / "notes.txt").write_text(HEADER + line)
    with pytest.raises(DataError, match=message):
        read_notes(tmp_path / "notes.txt")


def test_real_recordings(samples):
    maps = MAPS([samples])
    assert maps.track_ids(needs=("audio", "notes")) == [
        "MAPS_MUS-chpn-p10_AkPnStgb",
        "MAPS_MUS-scn15_9_ENSTDkAm",
    ]
    for track_id, count in zip(maps.track_ids(), (321, 554), strict=True):
        track = maps.load(track_id)
        notes, audio = track.part("notes").read(), track.part("audio").read()
        assert len(notes["pitches"]) == count
        assert notes["offsets"].max() < audio["samples"].shape[1] / audio["sample_rate"]
