"""RWC Pop in both layouts, its quirks, and every MIREX10 file there is."""

import json

import numpy as np
import pytest
import soundfile

from nmfab.base.errors import DataError
from nmfab.datasets import DATASETS
from nmfab.datasets.annotations import read_aist_beats, read_sections, tidy_sections

MIREX = "annotations/mirex10_sections-main"
BEATS = "annotations/AIST.RWC-MDB-P-2001.BEAT"


@pytest.fixture
def root(tmp_path):
    """Three tracks: a complete one, one without beats, one without sections (flat, mp3)."""
    folder = tmp_path / "rwcpop"
    _audio(folder / "audio/rwc-p-m01/1.wav", 0.1)
    _audio(folder / "audio/rwc-p-m02/1.wav", 0.2)
    _audio(folder / "audio/RM-P100.mp3", 0.3)
    _text(folder / MIREX / "RM-P001.BLOCKS.lab", "0.0\t1.5\tA\n1.5\t3.0\tB\n")
    _text(folder / MIREX / "RM-P017.BLOCKS.lab", "0.0\t3.0\tA\n")
    _text(folder / BEATS / "RM-P001.BEAT.TXT", "50\t50\t384\n100\t100\t48\n")
    return tmp_path


def _audio(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(44100, level), 44100)


def _text(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def _dataset(root):
    return DATASETS["rwcpop"]([root])


def test_tracks_are_found_in_both_layouts(root):
    dataset = _dataset(root)
    assert dataset.track_ids() == ["RM-P001", "RM-P017", "RM-P100"]
    assert dataset.track_ids(needs=("audio", "sections")) == ["RM-P001", "RM-P017"]
    assert dataset.track_ids(needs=("audio", "sections", "beats")) == ["RM-P001"]


def test_each_track_gets_its_own_audio(root):
    for track_id, level in (("RM-P001", 0.1), ("RM-P017", 0.2), ("RM-P100", 0.3)):
        audio = _dataset(root).load(track_id).part("audio").read()
        assert np.median(audio["samples"]) == pytest.approx(level, abs=0.01)


def test_the_release_of_2026_is_read_where_no_other_audio_is(root):
    _audio(root / "rwcpop/RWC-P/RWC_P002.wav", 0.5)
    _audio(root / "rwcpop/RWC-P/RWC_P001.wav", 0.5)
    dataset = _dataset(root)
    assert dataset.track_ids() == ["RM-P001", "RM-P002", "RM-P017", "RM-P100"]
    for track_id, level in (("RM-P001", 0.1), ("RM-P002", 0.5)):
        audio = dataset.load(track_id).part("audio").read()
        assert np.median(audio["samples"]) == pytest.approx(level, abs=0.01)


def test_parts_are_read(root):
    track = _dataset(root).load("RM-P001")
    sections = track.part("sections").read()
    np.testing.assert_array_equal(sections["intervals"], [[0, 1.5], [1.5, 3]])
    assert list(sections["labels"]) == ["A", "B"]
    beats = track.part("beats").read()
    np.testing.assert_array_equal(beats["times"], [0.5, 1.0])
    with pytest.raises(DataError, match="track RM-P017 of rwcpop has no beats"):
        _dataset(root).load("RM-P017").part("beats")


def test_every_number_has_its_place_on_the_discs(samples):
    index = samples / "annotations_only/mirdata_indexes/rwc_popular_index_1.0.json"
    tracks = json.loads(index.read_text())["tracks"]
    missing = _dataset(samples / "nowhere").status().missing
    assert list(missing[:100]) == [tracks[f"RM-P{i:03d}"]["audio"][0] for i in range(1, 101)]


def test_status_says_what_is_missing(root):
    status = _dataset(root).status()
    assert status.state == "partial"
    assert "2 of 100 tracks" in status.message
    assert "\n" not in status.message
    assert "audio/rwc-p-m01/2.wav" in status.missing
    assert f"{MIREX}/RM-P100.BLOCKS.lab" in status.missing
    assert "audio/rwc-p-m01/1.wav" not in status.missing
    absent = _dataset(root / "elsewhere").status()
    assert absent.state == "absent"
    assert f"no folder rwcpop in {root / 'elsewhere'}" in absent.message
    assert _dataset(root / "elsewhere").track_ids() == []


def test_a_complete_dataset_is_installed(tmp_path):
    for number in range(1, 101):
        for place in (f"audio/RM-P{number:03d}.wav", f"{MIREX}/RM-P{number:03d}.BLOCKS.lab"):
            _text(tmp_path / "rwcpop" / place, "x")
    status = _dataset(tmp_path).status()
    assert (status.state, len(status.missing)) == ("installed", 0)


def test_an_index_of_mirdata_names_the_files(root):
    _audio(root / "rwcpop/other/song.wav", 0.4)
    index = {"tracks": {"RM-P001": {"audio": ["other/song.wav", "md5"], "beats": [None, None]}}}
    _text(root / "rwcpop/rwc_popular_index_1.0.json", json.dumps(index))
    track = _dataset(root).load("RM-P001")
    assert np.median(track.part("audio").read()["samples"]) == pytest.approx(0.4, abs=0.01)
    assert "beats" in track.parts  # where the index has none, the layout is looked at
    _text(root / "rwcpop/rwc_popular_index_1.0.json", "{")
    with pytest.raises(DataError, match=r"rwc_popular_index_1\.0\.json is no index of mirdata"):
        _dataset(root).load("RM-P001")


def test_unknown_and_missing_tracks_are_named(root):
    with pytest.raises(DataError, match="no track 'RM-P101'"):
        _dataset(root).load("RM-P101")
    with pytest.raises(DataError, match=r"RM-P002: .*audio/rwc-p-m01/2\.wav is missing"):
        _dataset(root).load("RM-P002")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("0\t1.5\tVers é\n1.5\t3\tB\n", "utf-8"),
        ("0\t1.5\tVers é\r\n\r\n1.5\t3\tB\r\n", "utf-8-sig"),
        ("0,0 1,5 Vers é\n1,5 3,0 B\n\n", "latin-1"),
        ('0\t1.5\t"Vers é"\n1.5\t3\t"B"', "utf-8"),
        ("1.5\t3\tB\n0\t1.5\tVers é\n", "utf-8"),
    ],
)
def test_sections_in_every_handwriting(tmp_path, text, encoding):
    sections = read_sections(_text(tmp_path / "x.lab", text, encoding))
    np.testing.assert_array_equal(sections["intervals"], [[0, 1.5], [1.5, 3]])
    assert list(sections["labels"]) == ["Vers é", "B"]


def test_sections_in_centiseconds_without_labels(tmp_path):
    sections = read_sections(_text(tmp_path / "x.TXT", "0\t150\n150\t300\n"), unit=0.01)
    np.testing.assert_allclose(sections["intervals"], [[0, 1.5], [1.5, 3]])


def test_sections_of_no_length_and_overlaps_are_logged(tmp_path, caplog):
    text = "0\t10\tA\n10\t10\tB\n8\t20\tC\n"
    sections = read_sections(_text(tmp_path / "x.lab", text))
    np.testing.assert_array_equal(sections["intervals"], [[0, 10], [8, 20]])
    assert "x.lab: 1 sections of no length are left out" in caplog.text
    assert "; 1 sections begin before the one ahead ends, and are kept" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no section"),
        ("0\t1\tA\n1\tend\tB", "line 2: 'end' is no number"),
        ("\n3\t1\tA", "line 2: no section from 3 to 1"),
        ("-1\t1\tA", "line 1: no section from -1 to 1"),
        ("nan\t1\tA", "line 1: 'nan' is no number"),
        ("1\t1\tA", "sections of no length alone"),
    ],
)
def test_sections_that_make_no_sense_name_file_and_line(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"x\.lab.*{message}"):
        read_sections(_text(tmp_path / "x.lab", text))
    with pytest.raises(DataError, match=r"y\.lab does not exist"):
        read_sections(tmp_path / "y.lab")


AIST = "10\t10\t96\n60\t60\t144\n110\t110\t384\n160\t160\t48\n" + (
    "210\t210\t96\n260\t260\t144\n310\t310\t384\n330\t330\t-1\n360\t360\t48\n"
)


def test_beats_by_hand(tmp_path):
    beats = read_aist_beats(_text(tmp_path / "x.TXT", AIST))
    np.testing.assert_allclose(beats["times"], [0.1, 0.6, 1.1, 1.6, 2.1, 2.6, 3.1, 3.6])
    np.testing.assert_array_equal(beats["positions"], [3, 4, 1, 2, 3, 4, 1, 2])
    with pytest.raises(DataError, match="holds no downbeat"):
        read_aist_beats(_text(tmp_path / "y.TXT", "10\t10\t48\n"))


def test_beats_equal_mirdatas(tmp_path, samples):
    from mirdata.datasets import rwc_popular

    paths = [_text(tmp_path / "x.TXT", AIST), *(samples / "rwcpop" / BEATS).glob("*.TXT")]
    assert len(paths) > 1
    for path in paths:
        ours, theirs = read_aist_beats(path), rwc_popular.load_beats(str(path))
        np.testing.assert_allclose(ours["times"], theirs.times)
        np.testing.assert_array_equal(ours["positions"], theirs.positions)


def test_an_upbeat_longer_than_a_bar_holds_no_downbeat(tmp_path):
    lines = [f"{10 * i}\t{10 * i}\t{tick}" for i, tick in enumerate([48, 96, 144, 384, 48, 384])]
    positions = read_aist_beats(_text(tmp_path / "x.TXT", "\n".join(lines)))["positions"]
    np.testing.assert_array_equal(np.flatnonzero(positions == 1), [3, 5])


def test_all_mirex10_files(samples, caplog):
    paths = sorted((samples / "annotations_only/mirex10_sections").glob("*.lab"))
    assert len(paths) == 100
    starts = []
    for path in paths:
        sections = read_sections(path)
        intervals = sections["intervals"]
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(intervals) == len(lines) == len(sections["labels"])
        assert (intervals[:, 1] > intervals[:, 0]).all()
        np.testing.assert_allclose(intervals[1:, 0], intervals[:-1, 1], atol=1e-4)
        starts.append(intervals[0, 0])
    assert np.count_nonzero(starts) == 1
    assert not caplog.records


def test_the_sample_folder(samples):
    dataset = _dataset(samples)
    assert dataset.track_ids(needs=("audio", "sections")) == ["RM-P001", "RM-P002"]
    track = dataset.load("RM-P002")
    assert {"audio", "sections", "sections.mirex10", "sections.aist", "beats"} == {*track.parts}
    beats = track.part("beats").read()
    assert (np.diff(np.flatnonzero(beats["positions"] == 1)) == 4).all()


def test_beats_of_bars_of_several_lengths_are_counted_from_each_downbeat(tmp_path):
    ticks = (384, 48, 96, 384, 48, 384, 48, 96, 144)
    rows = (f"{50 * i}\t{50 * i}\t{tick}\n" for i, tick in enumerate(ticks, start=1))
    found = read_aist_beats(_text(tmp_path / "a.txt", "".join(rows)))
    assert found["positions"].tolist() == [1, 2, 3, 1, 2, 1, 2, 3, 4]
    np.testing.assert_allclose(found["times"], np.arange(1, 10) / 2)


def test_the_first_of_several_wrong_sections_is_named(tmp_path):
    with pytest.raises(DataError, match="no section from 3 s to 2 s"):
        tidy_sections(tmp_path / "a.lab", [(0, 1), (3, 2), (-1, 5), (9, 8)], list("abcd"))
