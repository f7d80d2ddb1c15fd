"""Notes as they really are: MIDI, JAMS, tables, and their quirks."""

import json
import logging

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.datasets.mini import sound
from nmfab.datasets.notes import read_jams_notes, read_midi_notes, read_note_table

NOTES = [(0.25, 0.75, 60), (0.75, 1.25, 60), (0.75, 2.0, 64), (1.5, 1.75, 67)]


def compare_with_pretty_midi(path):
    import pretty_midi

    theirs = sorted(
        (note.start, note.end, note.pitch)
        for instrument in pretty_midi.PrettyMIDI(str(path)).instruments
        for note in instrument.notes
        if not instrument.is_drum
    )
    ours = read_midi_notes(path)
    table = np.column_stack([ours["onsets"], ours["offsets"], ours["pitches"]])
    np.testing.assert_allclose(sorted(map(tuple, table)), theirs, atol=1e-6)
    return len(theirs)


def test_midi_as_pretty_midi_reads_it(tmp_path):
    sound.write_midi(tmp_path / "a.mid", NOTES)
    assert compare_with_pretty_midi(tmp_path / "a.mid") == len(NOTES)


def test_midi_of_the_real_pieces_as_pretty_midi_and_their_text(samples):
    from nmfab.datasets.maps import read_notes

    for path in (samples / "maps").rglob("*.mid"):
        assert compare_with_pretty_midi(path) > 300
        ours, text = read_midi_notes(path), read_notes(path.with_suffix(".txt"))
        np.testing.assert_allclose(ours["onsets"], text["onsets"], atol=0.005)
        assert sorted(ours["pitches"]) == sorted(text["pitches"])


def test_a_tempo_that_changes_moves_what_follows(tmp_path):
    import mido

    track = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=500000, time=0),
            mido.Message("note_on", note=60, velocity=64, time=480),  # 0.5 s
            mido.MetaMessage("set_tempo", tempo=1000000, time=0),
            mido.Message("note_on", note=60, velocity=0, time=480),  # 1 s later
        ]
    )
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(str(tmp_path / "a.mid"))
    notes = read_midi_notes(tmp_path / "a.mid")
    np.testing.assert_allclose([notes["onsets"][0], notes["offsets"][0]], [0.5, 1.5])


def test_midi_with_quirks_is_cleaned_and_told_once(tmp_path, caplog):
    import mido

    on = [mido.Message("note_on", note=60, velocity=64, channel=channel) for channel in (0, 9)]
    end = mido.Message("note_on", note=72, velocity=64, time=480)
    empty = [mido.Message(kind, note=50, velocity=9) for kind in ("note_on", "note_off")]
    stray = mido.Message("note_off", note=99)
    track = mido.MidiTrack([stray, *on, *empty, end, mido.Message("note_off", note=72, time=480)])
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(str(tmp_path / "a.mid"))
    with caplog.at_level(logging.WARNING):
        notes = read_midi_notes(tmp_path / "a.mid")
    assert notes["pitches"].tolist() == [50, 60, 72]
    np.testing.assert_allclose(notes["offsets"], [0.001, 1.0, 1.0])
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a.mid'}: 1 notes of percussion are left out; 2 notes are never released: "
        "they end with the file; 1 notes of no length are kept, 0.001 s long"
    ]


@pytest.mark.parametrize("data", [b"", b"MThd", b"RIFF....", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0"])
def test_what_is_no_midi_is_named(tmp_path, data):
    (tmp_path / "a.mid").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mid cannot be read as MIDI"):
        read_midi_notes(tmp_path / "a.mid")


@pytest.mark.parametrize(
    "text",
    [
        "0.25 0.75 60\n1.5 2 64\n",
        "onset,offset,pitch\n0.25,0.75,60\n1.5,2,64\n",
        "\ufeffOnsetTime;OffsetTime;MidiPitch\r\n1,5;2;64\r\n\r\n0,25;0,75;60\r\n",
        "OnsetTime\tOffsetTime\tMidiPitch\n0.25\t0.75\t60.2\t90\n1.5\t2\t63.8\t90\n",
    ],
)
def test_tables_of_notes(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode())
    notes = read_note_table(tmp_path / "a.csv")
    np.testing.assert_array_equal(notes["onsets"], [0.25, 1.5])
    np.testing.assert_array_equal(notes["offsets"], [0.75, 2])
    assert notes["pitches"].tolist() == [60, 64]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0.5 60", r"no note from 1 s to 0.5 s"),
        ("-1 0.5 60", "no note from -1 s"),
        ("0 1 440", "440 is no MIDI pitch"),
        ("0 1 C4", "line 1: 'C4' is no number"),
        ("0 1", "line 1: '' is no number"),
    ],
)
def test_notes_that_mean_nothing_are_named(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_note_table(tmp_path / "a.txt")
    assert str(tmp_path / "a.txt") in str(caught.value)


def test_jams_in_midi_and_in_hertz(tmp_path):
    for namespace, pitch in (("note_midi", 69.3), ("note_hz", 440.0), ("pitch_midi", 69)):
        text = sound.jams_text([(namespace, "0", [(0.5, 1, pitch)]), ("beat", "", [(0, 0, 1)])])
        (tmp_path / "a.jams").write_text(text)
        notes = read_jams_notes(tmp_path / "a.jams")
        assert [notes[name].tolist() for name in ("onsets", "offsets", "pitches")] == [
            [0.5],
            [1.5],
            [69],
        ]
    (tmp_path / "a.jams").write_text(json.dumps({"annotations": []}))
    with pytest.raises(DataError, match="has no annotation of notes"):
        read_jams_notes(tmp_path / "a.jams")


def test_keys_struck_again_before_they_are_released_end_in_order(tmp_path):
    """Two notes of one key at once, one of each channel: the first release ends the first."""
    import mido

    events = [  # time in ticks of 480 to half a second, message, channel
        (0, "note_on", 0), (240, "note_on", 0), (480, "note_on", 1), (960, "note_off", 0),
        (1200, "note_off", 1), (1440, "note_off", 0),
    ]  # fmt: skip
    track, now = mido.MidiTrack(), 0
    for tick, kind, channel in events:
        track.append(mido.Message(kind, note=60, velocity=64, channel=channel, time=tick - now))
        now = tick
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(str(tmp_path / "a.mid"))
    found = read_midi_notes(tmp_path / "a.mid")
    table = np.column_stack([found["onsets"], found["offsets"], found["pitches"]])
    np.testing.assert_allclose(table, [[0, 1, 60], [0.25, 1.5, 60], [0.5, 1.25, 60]])
