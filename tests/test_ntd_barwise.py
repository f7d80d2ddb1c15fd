"""scripts/ntd_barwise.py on a small tensor."""

from pathlib import Path

import numpy as np
import pytest

from nmfab.base.errors import UsageError

SCRIPTS = str(Path(__file__).resolve().parents[1] / "scripts")
HEADER = "feature,update_rule,beta,tested_on,rank_W,rank_H,rank_Q,tolerance,f\n"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import ntd_barwise

    return ntd_barwise


@pytest.fixture
def song(tmp_path):
    """16 bars of 2 s after half a second, of two patterns that change after 8."""
    rng = np.random.default_rng(0)
    V = np.repeat(rng.random((6, 4, 2)), 8, axis=2) + 0.01 * rng.random((6, 4, 16))
    np.save(tmp_path / "1_nn_log_mel_x.npy", V.astype(np.float32))
    begins = np.concatenate([[0], 0.5 + 2 * np.arange(17)])
    np.save(tmp_path / "1_bars.npy", np.stack([begins[:-1], begins[1:]], axis=1))
    (tmp_path / "song.lab").write_text("0 0.5 #\n0.5 16.5 A\n16.5 32.5 B\n")
    return tmp_path


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "folds.csv"
    rows = [
        "pcp,hals,,odd,12,36,36,0.5,.58",
        "nn_log_mel_grill,mu,1,odd,3,2,2,0.5,.511",
        "nn_log_mel_grill,mu,1,odd,3,2,2,3,.722",
        "nn_log_mel_grill,hals,,odd,3,2,2,3,.9",
    ]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def test_its_rows(script, song, published, capsys):
    script.main([str(song), "--published", str(published), "--stop", "20"])
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("beta 1, ranks 3 2 2"))
    assert "1.000 / 1.000" in row
    assert "0.511 / 0.722" in row
    assert "mean of odd" in row
    assert sum(line.startswith("beta ") for line in lines) == 4
    assert "1.000 / 1.000" in next(line for line in lines if line.startswith("every 8 bars"))


def test_bars_and_slices_belong_together(script, song):
    _, edges, sections = script.read(song)
    np.testing.assert_allclose(edges, 0.5 + 2 * np.arange(17))
    assert sections.tolist() == [[0, 0.5], [0.5, 16.5], [16.5, 32.5]]
    np.save(song / "1_bars.npy", np.zeros((16, 2)))
    with pytest.raises(UsageError, match="do not belong together"):
        script.read(song)


def test_what_is_missing_is_named(script, song, tmp_path):
    (song / "song.lab").unlink()
    with pytest.raises(UsageError, match=r"one \*\.lab is wanted, and there are 0"):
        script.read(song)
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER)
    with pytest.raises(UsageError, match="no row of nn_log_mel_grill"):
        script.published_rows(empty)
