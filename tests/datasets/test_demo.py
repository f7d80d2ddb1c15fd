"""The embedded dataset: the same bits every time, and annotations that fit the sound."""

import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.base.types import file_digest
from nmfab.datasets import contract, demo
from nmfab.datasets.contract import DATASETS
from nmfab.datasets.demo import files, piano, render, sampler, tracks
from nmfab.datasets.demo.band import beat_times, parse_tune, perform
from nmfab.datasets.demo.mixes import MIXES
from nmfab.datasets.demo.songs import SONGS
from nmfab.datasets.demo.theory import Chance, chord, midi, nearest, scale_step

PIECE, MIX, SONG, KEY = "piano_8_toccata", "mix_5_neon", "song_2_fair", "isol_060"

pytest.importorskip("pretty_midi", reason="its wheel carries the soundfont of the demo")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A fresh data folder of its own, so that nothing rendered earlier is looked at."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "repository_data", lambda: folder)
        yield folder


@pytest.fixture(scope="module")
def dataset(data):
    return DATASETS["demo"]([])


def test_every_kind_has_what_its_task_needs(dataset):
    for needs in (("audio", "sections"), ("audio", "notes"), ("audio", "stems")):
        assert len(dataset.track_ids(needs=needs)) >= 6
    assert dataset.track_ids(("audio", "notes")) == sorted(piano.PIECES)
    assert dataset.track_ids(("stems", "notes")) == []


def test_a_piano_plays_what_has_notes(dataset):
    pieces = dataset.track_ids(needs=("notes",))
    assert {dataset.instrument(track) for track in (*pieces, "isol_060")} == {"piano"}
    others = set(dataset.track_ids()) - set(pieces)
    assert {dataset.instrument(track) for track in others} == {None}


def test_isolated_notes_are_loaded_by_name_and_never_listed(dataset):
    assert not set(dataset.track_ids(subset="isolated")) & set(dataset.track_ids())
    assert dataset.track_ids(subset="isolated") == [f"isol_{pitch:03d}" for pitch in range(21, 109)]
    with pytest.raises(DataError, match="guitar"):
        dataset.track_ids(subset="isolated:guitar")


def test_the_demo_lives_in_the_repositorys_data_whatever_the_roots(data, tmp_path):
    (tmp_path / "demo").mkdir()
    assert DATASETS["demo"]([tmp_path]).folder == data / "demo"


def test_naming_tracks_renders_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(contract, "repository_data", lambda: tmp_path)
    fresh = DATASETS["demo"]([])
    fresh.track_ids()
    fresh.status()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_track_is_named_with_the_nearest(dataset):
    with pytest.raises(DataError, match=r"song_1_risin.*did you mean 'song_1_rising'"):
        dataset.load("song_1_risin")


def test_a_second_rendering_gives_the_same_bits(dataset, tmp_path):
    for track_id in (MIX, PIECE, KEY):
        first = dataset.load(track_id)
        sampler._sample.cache_clear()
        tracks.kind(track_id).render(track_id, tmp_path / track_id)
        for part in first.parts.values():
            for file in part.files:
                assert file.read_bytes() == (tmp_path / track_id / file.name).read_bytes()


def test_another_process_renders_the_same_bits(dataset, tmp_path):
    code = (
        "import sys, pathlib; from nmfab.datasets.demo import tracks; "
        f"tracks.kind({MIX!r}).render({MIX!r}, pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    for file in dataset.load(MIX).part("stems").files:
        assert file_digest(file) == file_digest(tmp_path / file.name)


def test_what_is_rendered_is_not_rendered_again(dataset, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in dataset.load(KEY).part("audio").files}
    monkeypatch.setattr(demo, "soundfont", lambda: pytest.fail("rendered again"))
    dataset.load(KEY)
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_a_changed_score_is_rendered_again(dataset):
    folder = dataset.folder / KEY
    dataset.load(KEY)
    (folder / "score").write_text("another score")
    (folder / "audio.wav").write_bytes(b"stale")
    dataset.load(KEY).part("audio").read()


def test_status_tells_absent_partial_and_installed(dataset, tmp_path, monkeypatch):
    def missing():
        raise DataError("no soundfont")

    assert dataset.status().state == "installed"
    dataset.load(KEY)
    monkeypatch.setattr(demo, "soundfont", missing)
    assert dataset.status().state == "partial"
    assert KEY not in dataset.status().missing
    monkeypatch.setattr(contract, "repository_data", lambda: tmp_path)
    status = DATASETS["demo"]([]).status()
    assert status.state == "absent"
    assert "pip install pretty_midi" in status.message


def test_two_may_write_one_file_at_once(tmp_path):
    path = tmp_path / "sound.wav"
    pcm = np.arange(-20000, 20000, dtype="<i2")
    errors = []

    def write():
        try:
            for _ in range(20):
                files.write_wav(path, pcm, 22050)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [item.name for item in tmp_path.iterdir()] == ["sound.wav"]
    read = tracks.AUDIO.read(_renamed(path))
    np.testing.assert_array_equal(read["samples"][0] * 32768, pcm)


def _renamed(path):
    path.rename(path.with_name("audio.wav"))
    return path.parent


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def fail():
        with files.written_whole(tmp_path / "x") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_sound_beyond_full_scale_or_not_finite_is_refused():
    for sound in ([0.0, 1.01], [0.0, np.nan]):
        with pytest.raises(DataError, match="full scale"):
            files.to_pcm(np.array(sound))


def test_a_broken_annotation_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("0.1\t0.2\n")
    with pytest.raises(DataError, match=r"notes\.txt needs 4 columns"):
        files.read_rows(tmp_path / "notes.txt", 4)


def test_the_parts_of_a_song_are_what_the_contract_says(dataset):
    track = dataset.load(SONG)
    audio = track.part("audio").read()
    assert audio["samples"].shape[0] == 1
    assert audio["samples"].dtype == np.float32
    assert 0.5 < np.abs(audio["samples"]).max() < 1
    duration = audio["samples"].shape[1] / audio["sample_rate"]
    sections, beats = track.part("sections").read(), track.part("beats").read()
    assert 60 <= duration <= 90
    assert len(sections["labels"]) == len(sections["intervals"]) == len(SONGS[SONG].form)
    assert sections["intervals"].max() <= beats["times"][-1] <= duration
    assert set(beats["positions"]) == {1, 2, 3}
    fingerprinted = [file for part in track.parts.values() for file in part.files]
    assert len(fingerprinted) == len(set(fingerprinted)) == 3


@pytest.mark.parametrize("song", SONGS.values(), ids=SONGS)
def test_sections_follow_one_another_on_downbeats(song):
    rows, beats = render.song_sections(song), render.song_beats(song)
    downbeats = [time for time, position in beats if position == 1]
    assert all(end == start for (_, end, _), (start, _, _) in pairwise(rows))
    assert {start for start, _, _ in rows} | {rows[-1][1]} <= set(downbeats)
    assert rows[-1][1] == downbeats[-1] == beats[-1][0]
    for (start, end, _), (_, bars, _) in zip(rows, song.form, strict=True):
        assert sum(start <= time < end for time in downbeats) == bars
        assert 2 <= bars <= 12


@pytest.mark.parametrize("song", SONGS.values(), ids=SONGS)
def test_the_band_plays_within_the_song_and_near_its_grid(song):
    parts, end = perform(song), beat_times(song)[-1]
    for part, notes in parts.items():
        assert notes, part
        for _, note in notes:
            assert 0 <= note.onset < end
            assert 0 < note.velocity <= 1
            assert 21 <= note.pitch <= 108


def test_repeats_of_a_section_are_never_the_same():
    song = SONGS["song_1_rising"]
    beats, bars = beat_times(song), 0
    verses = []
    for label, count, _ in song.form:
        start = beats[bars * song.meter]
        if label == "verse":
            verses.append([n.pitch for _, n in perform(song)["drums"] if 0 <= n.onset - start < 2])
        bars += count
    assert len({tuple(verse) for verse in verses}) == len(verses)


@pytest.mark.parametrize("name", piano.PIECES)
def test_notes_lie_within_their_recording_and_never_overlap_on_one_key(name):
    notes, end = piano.perform_piece(name), piano.PIECES[name].seconds
    assert 20 <= end <= 30
    last = {}
    for note in notes:
        assert note.onset >= last.get(note.pitch, 0) - 2e-6
        last[note.pitch] = note.onset + note.duration
        assert 0.03 < note.duration <= piano.LONGEST + 1e-6
        assert note.onset + note.duration <= end + 2e-6
        assert note.pitch in piano.KEYS
    assert [note.onset for note in notes] == sorted(note.onset for note in notes)


def test_pieces_have_repeated_notes_pedal_dynamics_and_notes_at_the_end():
    performed = {name: piano.perform_piece(name) for name in piano.PIECES}
    at_the_end = [
        name
        for name, notes in performed.items()
        if any(n.onset + n.duration > piano.PIECES[name].seconds - 1e-3 for n in notes)
    ]
    assert len(at_the_end) >= 6
    velocities = [note.velocity for notes in performed.values() for note in notes]
    assert np.percentile(velocities, 95) > 2 * np.percentile(velocities, 5)
    pedalled = performed["piano_1_prelude"]
    shortest = 60 / piano.PIECES["piano_1_prelude"].bpm / 4
    assert np.median([note.duration for note in pedalled]) > 3 * shortest


def test_the_notes_of_a_piece_are_those_that_sound(dataset):
    track = dataset.load(PIECE)
    audio, notes = track.part("audio").read(), track.part("notes").read()
    assert len(notes["onsets"]) == len(piano.perform_piece(PIECE))
    assert np.all(notes["offsets"] > notes["onsets"])
    assert notes["offsets"].max() <= audio["samples"].shape[1] / audio["sample_rate"] + 1e-6
    samples, rate = audio["samples"][0], audio["sample_rate"]
    before = samples[: int((notes["onsets"][0] - 0.01) * rate)]
    after = samples[int(notes["onsets"][0] * rate) :][: rate // 10]
    assert np.mean(after**2) > 100 * np.mean(before**2)


@pytest.mark.parametrize("pitch", [33, 60, 93])
def test_an_isolated_note_has_the_pitch_it_says(pitch):
    rate = tracks.PIANO_RATE
    sound = render.isolated_sound(pitch, rate)
    note = piano.isolated_note(pitch)
    assert not sound[: int(note.onset * rate)].any()
    held = sound[int((note.onset + 0.1) * rate) : int((note.onset + 1.0) * rate)]
    spectrum = np.abs(np.fft.rfft(held * np.hanning(len(held)), 8 * len(held)))
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    near = np.fft.rfftfreq(8 * len(held), 1 / rate)
    # Within a third of a semitone of the fundamental, or of a harmonic where that is weak.
    harmonic = max(range(1, 4), key=lambda k: spectrum[np.argmin(np.abs(near - k * frequency))])
    window = np.abs(near / (harmonic * frequency) - 1) < 0.056
    peak = near[window][np.argmax(spectrum[window])] / harmonic
    assert abs(12 * np.log2(peak / frequency)) < 1 / 3


@pytest.mark.parametrize("name", MIXES)
def test_stems_add_up_to_the_mixture_exactly(dataset, name):
    track = dataset.load(name)
    audio, stems = track.part("audio").read(), track.part("stems").read()
    assert list(stems["names"]) == ["drums", "bass", "other", "vocals"]
    assert stems["samples"].shape == (4, *audio["samples"].shape)
    assert stems["samples"].dtype == np.float32
    np.testing.assert_array_equal(stems["samples"].sum(axis=0), audio["samples"])
    assert 10 <= audio["samples"].shape[1] / audio["sample_rate"] <= 12
    silent = [str(n) for n, s in zip(stems["names"], stems["samples"], strict=True) if not s.any()]
    assert silent == (["vocals"] if name == "mix_5_neon" else [])


def test_names_of_notes_and_chords():
    assert [midi(name) for name in ("C4", "A0", "C8", "F#3", "Bb5")] == [60, 21, 108, 54, 82]
    assert chord("Am7") == (9, [9, 0, 4, 7])
    assert chord("Bb", transpose=2) == (0, [0, 4, 7])
    assert nearest([0, 4, 7], 61) == 60
    assert nearest([0, 4, 7], 66) == 67
    assert scale_step(60, 2, 60, "major") == 64
    assert scale_step(60, -1, 60, "minor") == 58


def test_tunes_are_read_by_degrees_of_the_scale():
    song = SONGS["song_4_syne"]  # in F: 1 is F4, 5 is C5, 0 the degree below 1
    assert [parse_tune("1:1 5:.5 0 -:2 4#", song)] == [
        [(65, 4), (72, 2), (64, 4), (None, 8), (71, 4)]
    ]


def test_chance_is_the_same_everywhere():
    # Python keeps what Random(str).random() gives; frozen here, as a change would alter the sound.
    chance = Chance("demo", 1)
    assert [round(chance.uniform(0, 1), 6) for _ in range(3)] == CHANCE


CHANCE = [0.351649, 0.008383, 0.615426]
