"""Sections and beats as they really are: SALAMI, Isophonics, JAMS, tables, and their quirks."""

import json
import logging

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.datasets.annotations import read_sections
from nmfab.datasets.sections import (
    read_beats,
    read_boundaries,
    read_jams_sections,
    read_section_table,
)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def jams(rows, namespace="segment_open"):
    return json.dumps({"annotations": [{"namespace": namespace, "data": rows}], "sandbox": {}})


def row(time, duration, value):
    return {"time": time, "duration": duration, "value": value, "confidence": None}


def test_boundaries_become_sections(tmp_path):
    path = write(tmp_path / "a.txt", "0.0\tSilence\n0.5\tA, loud\n8\tB\n9.25\tEnd\n")
    sections = read_boundaries(path)
    np.testing.assert_array_equal(sections["intervals"], [[0, 0.5], [0.5, 8], [8, 9.25]])
    assert list(sections["labels"]) == ["Silence", "A, loud", "B"]


def test_of_repeated_times_the_last_label_counts(tmp_path, caplog):
    path = write(tmp_path / "a.txt", "0\tA\n5\tB\n5\tC\n9\tEnd\n")
    with caplog.at_level(logging.WARNING):
        sections = read_boundaries(path)
    assert list(sections["labels"]) == ["A", "C"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 1 sections of no length are left out"
    ]


def test_an_end_of_another_name_is_told(tmp_path, caplog):
    path = write(tmp_path / "a.txt", "0\tA\n5\tB\n9\tSilence\n")
    with caplog.at_level(logging.WARNING):
        assert len(read_boundaries(path)["labels"]) == 2
    assert "its last label is 'Silence' and not End" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff0,0\tA\r\n\r\n1,5\tB b\r\n3\tEnd\r\n",
        "0.0 A\n\n1.5  B b\n3 End",
        "0\tA\n \n1.50000\tB b\n3.0\tend\n\n",
    ],
)
def test_boundaries_with_the_quirks_of_files(tmp_path, text):
    sections = read_boundaries(write(tmp_path / "a.txt", text))
    np.testing.assert_array_equal(sections["intervals"], [[0, 1.5], [1.5, 3]])
    assert list(sections["labels"]) == ["A", "B b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no section"),
        ("0\tEnd\n", "holds no section"),
        ("0\tA\n0\tEnd\n", "sections of no length alone"),
        ("0\tA\n7\tB\n5\tEnd\n", "line 3: times go back to 5"),
        ("0\tA\nseven\tB\n", "line 2: 'seven' is no number"),
        ("-1\tA\n7\tEnd\n", "no section from -1 s to 7 s"),
        ("nan\tA\n7\tEnd\n", "'nan' is no number"),
    ],
)
def test_boundaries_that_mean_nothing_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_boundaries(write(tmp_path / "a.txt", text))
    assert str(tmp_path / "a.txt") in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'start;end;structure\n0.46;14.76;"I"\n14.76;36.3;"A"\n',
        "\ufeffstart;end;structure\r\n0,46;14,76;I\r\n14,76;36,3;A\r\n",
        "0.46,14.76,I\n14.76,36.3,A\n",
        "# comment\n0.46, 14.76, I\n14.76, 36.3, A",
        "0.46\t14.76\tI\n\n14.76\t36.3\tA\n",
        "0,46 14,76 I\n14,76 36,3 A\n",
        "14.76;36.3;A\n0.46;14.76;I\n",
    ],
)
def test_tables_of_every_separator(tmp_path, text):
    sections = read_section_table(write(tmp_path / "a.csv", text))
    np.testing.assert_array_equal(sections["intervals"], [[0.46, 14.76], [14.76, 36.3]])
    assert list(sections["labels"]) == ["I", "A"]


def test_jams_in_rows_and_in_columns(tmp_path):
    rows = [row(0.5, 1.0, "A"), row(1.5, 2.0, "B")]
    columns = {name: [item[name] for item in rows] for name in rows[0]}
    for data in (rows, columns):
        sections = read_jams_sections(write(tmp_path / "a.jams", jams(data)))
        np.testing.assert_array_equal(sections["intervals"], [[0.5, 1.5], [1.5, 3.5]])
        assert list(sections["labels"]) == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JAMS file"),
        ("[]", "is no JAMS file"),
        ('{"annotations": 3}', "is no JAMS file"),
        (jams([], "chord"), "has no annotation of sections"),
        (jams([]), "holds no section"),
        (jams([{"time": 1}]), "without time or duration"),
        (jams([row(0, None, "A")]), "without time or duration"),
        (jams([row(3, -1, "A")]), "no section from 3 s to 2 s"),
    ],
)
def test_jams_that_mean_nothing_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_jams_sections(write(tmp_path / "a.jams", text))


def test_beats_of_isophonics(tmp_path, caplog):
    text = "13.249  2\n13.959\t3\n14.416 New Point\n14.965  1\n15.453 New Point\n"
    with caplog.at_level(logging.WARNING):
        beats = read_beats(write(tmp_path / "a.txt", text))
    np.testing.assert_array_equal(beats["times"], [13.249, 13.959, 14.416, 14.965, 15.453])
    assert beats["positions"].tolist() == [2, 3, 4, 1, 2]
    assert "2 beats without a place" in caplog.text
    beats = read_beats(write(tmp_path / "a.txt", "0.5 New Point\n1 New Point\n1.5 2\n"))
    assert beats["positions"].tolist() == [4, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "holds no beat"), ("1.0\n2.0\n", "no place in the bar"), ("1 1\nx 2\n", "'x' is no num")],
)
def test_beats_that_mean_nothing_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_beats(write(tmp_path / "a.txt", text))


def test_every_salami_file(samples):
    """As mirdata reads them, whose loader is written in other words."""
    from mirdata.datasets import salami

    files = sorted((samples / "annotations_only/salami-data-public").glob("annotations/*/parsed/*"))
    assert len(files) > 200
    for path in files:
        sections, theirs = read_boundaries(path), salami.load_sections(str(path))
        np.testing.assert_array_equal(sections["intervals"], theirs.intervals)
        # Zero-length sections apart, labels stay with their times.
        assert list(sections["labels"]) == [label.strip() for label in theirs.labels]


def test_every_schubert_file(samples):
    files = sorted((samples / "annotations_only/schubert_winterreise_structure").glob("*.csv"))
    assert len(files) == 189
    for path in files:
        sections = read_section_table(path)
        assert len(sections["labels"]) == len(path.read_text().strip().splitlines()) - 1
        assert not any('"' in label or ";" in label for label in sections["labels"])


def test_every_jams_of_msaf(samples):
    files = sorted((samples / "annotations_only/msaf-data").rglob("*.jams"))
    assert len(files) == 20
    for path in files:
        sections = read_jams_sections(path)
        found = [
            entry
            for entry in json.loads(path.read_text())["annotations"]
            if entry["namespace"] == "segment_open"
        ]
        long = [item for item in found[0]["data"] if item["duration"] > 0]
        assert len(sections["labels"]) == len(long)
        assert sections["intervals"][0, 0] == min(item["time"] for item in long)


def test_every_mirex10_file(samples):
    files = sorted((samples / "annotations_only/mirex10_sections").glob("*.lab"))
    assert len(files) == 100
    for path in files:
        assert len(read_sections(path)["labels"]) > 1
