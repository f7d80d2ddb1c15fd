"""Slakh: sounds that do not fit their mixture, songs of both releases."""

import logging

import numpy as np
import pytest
from written import slakh, steps, write

from nmfab.base.errors import DataError
from nmfab.datasets import DATASETS
from nmfab.datasets.mini import sound
from nmfab.datasets.slakh import read_stems


def one_sound(place, length, rate):
    """Write a song of 100 samples at 12 kHz with one sound."""
    write(place / "mix.wav", steps(1, 100, 0), 12000)
    write(place / "stems/S00.wav", steps(1, length, 1), rate)
    sound.write_text(place / "metadata.yaml", "stems:", "  S00: {program_num: 0, is_drum: false}")
    return place / "mix.wav", place / "metadata.yaml", [place / "stems/S00.wav"]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_sound_of_another_rate_is_refused(tmp_path, rate):
    with pytest.raises(DataError, match=f"S00.wav has {rate} Hz and its mixture 12000 Hz"):
        read_stems(*one_sound(tmp_path, 100, rate))


@pytest.mark.parametrize(("length", "told"), [(99, False), (100, False), (101, True)])
def test_what_is_longer_than_the_mixture_is_cut_and_told(tmp_path, caplog, length, told):
    files = one_sound(tmp_path, length, 12000)
    with caplog.at_level(logging.WARNING):
        found = read_stems(*files)["samples"]
    assert found.shape == (1, 1, 100)
    assert ("1 stems are longer than the mixture and are cut" in caplog.text) == told
    expected = np.zeros(100)
    expected[: min(length, 100)] = steps(1, length, 1)[0, :100] / 32768
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


def test_songs_of_slakh2100_have_subsets_and_number_1710(tmp_path):
    slakh(tmp_path / "slakh")
    dataset = DATASETS["slakh"]([tmp_path])
    assert dataset.track_ids(subset="validation") == ["validation/Track00007"]
    assert dataset.track_ids(subset="test") == ["test/Track00001"]
    assert dataset.track_ids(("audio", "notes"), "test") == []
    assert dataset.track_ids(subset="train") == dataset.track_ids(subset="omitted") == []
    assert dataset.status().message.startswith("2 of 1710 tracks")
    assert dataset.status().missing == []


def test_songs_of_babyslakh_are_the_test_set_and_number_20(tmp_path):
    one_sound(tmp_path / "slakh/babyslakh_16k/Track00003", 100, 12000)
    dataset = DATASETS["slakh"]([tmp_path])
    assert dataset.track_ids() == dataset.track_ids(subset="test") == ["Track00003"]
    assert dataset.track_ids(subset="train") == []
    assert dataset.status().message.startswith("1 of 20 tracks")
    assert [*dataset.load("Track00003").part("stems").read()["names"]] == ["piano"]


def test_a_song_of_drums_alone_has_no_notes(tmp_path):
    place = tmp_path / "slakh/babyslakh_16k/Track00003"
    one_sound(place, 100, 12000)
    sound.write_text(place / "metadata.yaml", "stems:", "  S00: {program_num: 0, is_drum: true}")
    sound.write_midi(place / "MIDI/S00.mid", [(0, 1, 36)])
    with pytest.raises(DataError, match="Track00003 has no pitched part"):
        DATASETS["slakh"]([tmp_path]).load("Track00003").part("notes").read()
    sound.write_text(place / "metadata.yaml", "no stems here: 1")
    with pytest.raises(DataError, match="is no metadata of Slakh"):
        DATASETS["slakh"]([tmp_path]).load("Track00003").part("notes").read()
