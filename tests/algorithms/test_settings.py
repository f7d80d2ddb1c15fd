"""What a factorization reads out of a setting, and the node made of it."""

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS, frame
from nmfab.algorithms import init as starts
from nmfab.algorithms import settings as of_settings
from nmfab.algorithms.settings import Stop, parse_stop
from nmfab.base.errors import UsageError
from nmfab.tasks.nmf import NMF_PARAMS, nmf_node, nmf_skip


def test_a_setting_reads_what_its_start_and_algorithm_need_and_no_more():
    assert frame.parameters({"dataset": "demo", "seed": 3}) == {
        "algorithm": "torch_mu",
        "beta": 1,
        "rank": 10,
        "init": "nndsvda",
        "stop": 200,
        "dtype": "float32",
        "torch_mu.tf32": False,
    }
    assert frame.parameters({"init": "random", "seed": 3})["seed"] == 3
    hals = frame.parameters({"algorithm": "torch_hals", "beta": 2.0})
    assert hals["torch_hals.inner"] == 1
    assert hals["beta"] == 2
    fixed = frame.parameters({"init": "random"}, held="all")
    assert not {"rank", "init", "seed"} & set(fixed)


def test_parameters_of_what_was_read_are_the_same_again():
    for p in ({"init": "random", "seed": 2}, {"algorithm": "torch_hals", "torch_hals.inner": 3}):
        read = frame.parameters(p)
        assert frame.parameters(read) == read


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ({"algorithm": "torch_mv"}, "did you mean 'torch_mu'"),
        ({"algorithm": "torch_hals", "torch_hals.iner": 2}, "did you mean 'torch_hals.inner'"),
        ({"torch_mu.x": 2}, "unknown parameter of algorithm torch_mu 'torch_mu.x'"),
        ({"rank": 0}, "rank 0 is not a whole number from 1 on"),
        ({"rank": 2.5}, "rank 2.5"),
        ({"rank": True}, "rank True"),
        ({"seed": -1}, "seed -1"),
        ({"beta": "1"}, "beta '1' is not a number"),
        ({"beta": float("nan")}, "finite"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"init": "svd"}, "unknown init 'svd'"),
        ({"stop": "soon"}, "stop 'soon' is not understood"),
    ],
)
def test_a_wrong_value_is_named(p, message):
    with pytest.raises(UsageError, match=message):
        frame.parameters(p)


def test_other_algorithms_parameters_may_stand_in_the_setting():
    assert "torch_hals.inner" not in frame.parameters({"torch_hals.inner": 4})


def test_versions_name_the_kind_and_the_libraries(register, monkeypatch):
    def mine(V, W, H):
        yield W, H

    register(mine, libraries=("numpy",))
    monkeypatch.setattr("nmfab.base.registry.release", lambda name: f"{name} 9")
    found = frame.versions({"algorithm": "mine"})
    assert found["algorithm.mine"].startswith("source ")
    assert found["library.numpy"] == "numpy 9"
    assert frame.versions({}) == {
        "algorithm.torch_mu": ALGORITHMS["torch_mu"].version,
        "kind.low_rank": 1,
        "nmf.frame": of_settings.FRAME_VERSION,
        "nmf.init": starts.VERSION,
    }
    assert "nmf.init" not in frame.versions({}, held="all")


def test_stops_are_parsed():
    cap = of_settings.CAP
    assert parse_stop(7) == Stop(7)
    assert parse_stop("10s") == parse_stop(" 10 s") == Stop(cap, seconds=10)
    assert parse_stop("0.5s") == Stop(cap, seconds=0.5)
    assert parse_stop("kkt<1e-4") == parse_stop("KKT < 0.0001") == Stop(cap, kkt=1e-4)


@pytest.mark.parametrize("stop", [0, -1, 2.5, True, None, "0s", "1.2.3s", "kkt<", "loss<1", ""])
def test_stops_that_are_none(stop):
    with pytest.raises(UsageError, match="is not understood"):
        parse_stop(stop)


def test_the_node_reads_V_of_its_source(V):
    node = nmf_node({"beta": 2, "stop": 5}, source="features.barwise")
    assert (node.stage, node.short_name, node.inputs) == ("nmf", "factorize", ("features.barwise",))
    result = node.compute(node.params, barwise={"V": V, "other": 1})
    np.testing.assert_array_equal(result["W"], frame.factorize({"beta": 2, "stop": 5}, V).W)
    assert node.batch == ("seed", "init", "beta", "rank")
    both = node.compute_batch([node.params, {**node.params, "beta": 1}], barwise={"V": V})
    np.testing.assert_allclose(both[0]["W"], result["W"], rtol=1e-4, atol=1e-6)


def test_the_node_takes_templates_and_frequencies():
    frequencies = np.arange(200) * 20.0
    V = np.random.default_rng(0).random((200, 6))
    p = {"init": "harmonic", "rank": 88, "stop": 3}
    assert "frequency" in nmf_skip(p, frequencies=False)
    assert nmf_skip(p, frequencies=True) is None
    node = nmf_node(p, source="features.stft")
    source = {"V": V, "frequencies": frequencies}
    assert node.compute(node.params, stft=source)["W"].shape == (200, 88)
    fixed = nmf_node({"stop": 3}, source="features.stft", templates="nmf.dictionary")
    templates = np.random.default_rng(1).random((200, 7))
    result = fixed.compute(fixed.params, stft=source, dictionary={"W": templates})
    np.testing.assert_array_equal(result["W"], templates.astype("float32"))
    assert fixed.inputs == ("features.stft", "nmf.dictionary")


def test_another_array_than_V_is_another_artifact():
    names = [nmf_node({}, source="features.x", V=name).params for name in ("V", "left")]
    assert names[0] != names[1]


def test_defaults_of_the_task_are_those_of_the_frame():
    assert frame.parameters(
        {name: p.default for name, p in NMF_PARAMS.items()}
    ) == frame.parameters({})


def test_an_algorithm_may_refuse_a_setting_by_itself(register):
    def mine(V, W, H):
        yield W, H

    register(mine, skip=lambda p: "mine has no rank above 3" if p["rank"] > 3 else None)
    assert frame.skip({"algorithm": "mine", "beta": 2, "rank": 4}) == "mine has no rank above 3"
    assert frame.skip({"algorithm": "mine", "beta": 2, "rank": 3}) is None


def test_a_beta_is_a_number_however_it_is_written(register):
    def mine(V, W, H):
        yield W, H

    register(mine, betas=(2, 0.5))
    for beta in (2, 2.0, 0.5):
        assert frame.skip({"algorithm": "mine", "beta": beta}) is None
    refused = "mine minimizes the divergence of beta 2 or 0.5 only"
    assert frame.skip({"algorithm": "mine", "beta": 1}) == refused


def test_what_iterates_by_itself_shares_no_call(register):
    def mine(V, W, H, *, n_iter):
        yield W, H

    register(mine, stops="self", batch=("seed",))
    assert frame.batch_names({"algorithm": "mine", "init": "random", "beta": 2}) == ()
