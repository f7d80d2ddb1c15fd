"""scripts/transcription_thresholds.py, and the published protocol on a miniature of MAPS."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from nmfab.base.errors import UsageError
from nmfab.datasets.mini import write

ROOT = Path(__file__).resolve().parents[1]
PLAN = "maps_convolutive/"
# threshold 1 is best for a and b together, 2 for c with either
SCORES = {
    3: {"a": 0.0, "b": 0.5, "c": 0.9},
    2: {"a": 0.2, "b": 0.5, "c": 0.9},
    1: {"a": 0.6, "b": 0.4, "c": 0.3},
}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import transcription_thresholds

    return transcription_thresholds


def test_a_threshold_is_chosen_on_the_other_pieces(script):
    """For a: b and c tell 1.4 / 2 at 2 and 3, of which 2 is lower. For b: a and c. For c: a, b."""
    assert script.left_out(SCORES) == {"a": (2, 0.2), "b": (2, 0.5), "c": (1, 0.3)}
    assert script.best(SCORES, ["a", "b", "c"]) == 2
    assert script.best(SCORES, ["a"]) == 1
    with pytest.raises(UsageError, match="one piece alone"):
        script.left_out({1: {"a": 0.5}, 2: {"a": 0.4}})


def test_the_tables(script):
    pieces = {t: {("demo", p): f for p, f in row.items()} for t, row in SCORES.items()}
    lines = script.table({"length=5": pieces})
    assert lines[0] == "3 pieces"
    # (0.2 + 0.5 + 0.3) / 3; (0.2 + 0.5 + 0.9) / 3 at 2; (0.6 + 0.5 + 0.9) / 3
    assert "| 1 | length=5 | 0.333 | 0.533 | 2 | 0.667 |" in lines
    assert "| demo c | 0.300 (1) |" in lines


@pytest.fixture
def experiment(script, tmp_path):
    """The experiment on pieces of two pianos, of which one has isolated notes."""
    write("maps", tmp_path)
    made = script.load(ROOT / "experiments" / "transcription.py")
    made.data, made.cache = [tmp_path], tmp_path / "cache"
    return made


def test_the_plan_for_maps_is_the_published_protocol(experiment):
    settings = experiment.select(PLAN)
    assert len(settings) == 3 * 20 * 2
    every = [setting.parameters for setting in settings]
    assert {p["convolutive.length"] for p in every} == {5, 10, 20}
    assert {p["pitch_unit"] for p in every} == {"hz", "midi"}
    assert sorted({p["threshold"] for p in every}) == [round(0.01 + 0.02 * i, 2) for i in range(20)]
    alike = {
        "dataset": "maps", "sample_rate": 44100, "window": 4096, "n_fft": 8192, "hop": 882,
        "power": 1, "beta": 1, "stop": 100, "dictionary": "own:M", "excerpt": 30,
        "onset_tolerance": 0.05, "smoothed.window": 10, "merged.unit": "sum",
        "thresholding": "smoothed",
    }  # fmt: skip
    assert all({name: p[name] for name in alike} == alike for p in every)


def test_a_setting_of_the_plan_computes(experiment):
    """Eight of nine notes are found; the ninth has no length, and the tones end in clicks."""
    track = "MAPS_MUS-mini_2_ENSTDkCl"
    experiment.track_choice = [track]
    one = PLAN + "convolutive.length=5,threshold=0.05,pitch_unit=hz"
    experiment.set("stop", [10])
    assert not experiment.compute(one).failures
    ((_, _, found, scores),) = experiment.results(one).rows
    assert found == track
    assert scores["recall"] >= 8 / 9
    assert abs(scores["onset_deviation"]) < 0.02
    learned = experiment.load("nmf.dictionary", one, track)
    assert learned["W"].shape == (5, 4097, 40)
    assert learned["pitches"].tolist() == list(range(45, 85))


def test_rows_are_of_the_pieces_that_all_have(script, capsys):
    """Threshold and dataset make no row; what has no threshold is passed over."""

    def setting(**values):
        return SimpleNamespace(values=values)

    def rows_of(*given):
        grid = SimpleNamespace(varying=lambda found: sorted(found[0].values))
        settings = list({id(s): s for s, *_ in given}.values())
        return script.rows(SimpleNamespace(grid=grid, settings=settings, rows=given))

    demo, maps = {"dataset": "demo", "length": 5}, {"dataset": "maps", "length": 5}
    other, bare = setting(**maps | {"length": 9, "threshold": 0.1}), setting(**maps)
    given = [
        (setting(**demo, threshold=0.1), "demo", "a", {"F": 0.1}),
        (setting(**demo, threshold=0.2), "demo", "a", {"F": 0.2}),
        (setting(**maps, threshold=0.1), "maps", "a", {"F": 0.3}),
        (setting(**maps, threshold=0.2), "maps", "a", {"F": 0.4}),
        (setting(**demo | {"length": 9}, threshold=0.1), "demo", "a", {"F": 0.5}),
        (other, "maps", "a", {"F": 0.6}), (other, "maps", "b", {"F": 0.7}),
        (bare, "maps", "b", {"F": 0.8}),
    ]  # fmt: skip
    assert rows_of(*given) == {
        "length=5": {
            0.1: {("demo", "a"): 0.1, ("maps", "a"): 0.3},
            0.2: {("demo", "a"): 0.2, ("maps", "a"): 0.4},
        },
        "length=9": {0.1: {("demo", "a"): 0.5, ("maps", "a"): 0.6}},
    }
    assert "1 pieces lack results" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no piece has all its results"):
        rows_of(given[0], given[3])


def test_what_is_asked_for(script, tmp_path, capsys):
    """Of four pieces one has a dictionary: three fail, and one alone is too few to choose on."""
    write("maps", tmp_path)
    given = ["--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "-s", PLAN]
    given += ["--set", "convolutive.length=1", "--set", "stop=2"]
    with pytest.raises(UsageError, match="no piece has all its results"):
        script.main(given)
    with pytest.raises(UsageError, match="one piece alone"):
        script.main([*given, "-c", "1"])
    assert "no track to learn from" in capsys.readouterr().err
