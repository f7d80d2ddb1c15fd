"""Settings that share a call, and models that are more than V ≈ W·H."""

import numpy as np

from nmfab.algorithms import frame
from nmfab.base.errors import ComputationError


def stepping(V, W, H):
    while True:
        Wt = np.swapaxes(W, -1, -2)
        H = H * (Wt @ V) / (Wt @ W @ H)
        W = W * (V @ np.swapaxes(H, -1, -2)) / (W @ (H @ np.swapaxes(H, -1, -2)))
        yield W, H


def seeds(count, **more):
    p = {"algorithm": "mine", "beta": 2, "init": "random", "rank": 4, "dtype": "float64"}
    return [p | {"seed": seed} | more for seed in range(count)]


def test_each_problem_of_a_batch_keeps_the_factors_of_its_own_last_iteration(V, register):
    register(stepping, batch=("seed",))
    settings = seeds(4, stop="kkt<1e-3")
    together = frame.factorize_batch(settings, V)
    assert len({result.curve["iteration"][-1] for result in together}) > 1
    for setting, result in zip(settings, together, strict=True):
        alone = frame.factorize(setting, V)
        np.testing.assert_allclose(result.W, alone.W, rtol=1e-9)
        assert result.curve["iteration"][-1] == alone.curve["iteration"][-1]


def test_one_that_fails_spares_the_others(V, register):
    calls = []

    def one_bad(V, W, H):
        calls.append(W.shape)
        for pair in stepping(V, W, H):
            pair[1][1] = np.nan
            yield pair

    register(one_bad, batch=("seed",))
    settings = seeds(3, stop=5)
    results = frame.factorize_batch(settings, V)
    assert isinstance(results[1], ComputationError)
    assert "NaN or infinity in H at iteration 1" in str(results[1])
    assert calls == [(3, 20, 4)]
    for i in (0, 2):
        assert results[i].curve["iteration"][-1] == 5


def test_a_batch_that_dies_is_computed_one_by_one(V, register, caplog):
    def clumsy(V, W, H):
        if W.ndim == 3:
            raise MemoryError
        yield from stepping(V, W, H)

    register(clumsy, batch=("seed",))
    results = frame.factorize_batch(seeds(3, stop=5), V)
    assert [result.curve["iteration"][-1] for result in results] == [5, 5, 5]
    assert "a batch of 3 failed" in caplog.text


def test_settings_share_a_call_only_where_they_differ_in_what_is_declared(V, register):
    calls = []

    def noting(V, W, H, *, own=1, other=1):
        calls.append((W.shape[:-2], np.ndim(own), np.ndim(other)))
        yield from stepping(V, W, H)

    register(noting, batch=("seed", "own"))
    settings = [
        s | {"mine.own": own, "mine.other": other, "stop": 2}
        for s in seeds(2)
        for own in (1, 2)
        for other in (1, 2)
    ]
    frame.factorize_batch(settings, V)
    assert calls == [((4,), 1, 0), ((4,), 1, 0)]
    assert frame.batch_names(settings[0]) == ("seed", "mine.own")
    assert not frame.batch_names(settings[0] | {"stop": "1s"})


def test_a_start_without_a_seed_shares_the_call_of_one_that_is_drawn(V, register):
    calls = []

    def noting(V, W, H):
        calls.append(W.shape)
        yield from stepping(V, W, H)

    register(noting, batch=("seed", "init"))
    settings = [*seeds(2, stop=2), *seeds(1, stop=2, init="nndsvda")]
    together = frame.factorize_batch(settings, V)
    assert calls == [(3, 20, 4)]
    for setting, result in zip(settings, together, strict=True):
        np.testing.assert_allclose(result.W, frame.factorize(setting, V).W, rtol=1e-9)


def test_a_batch_is_the_same_in_any_order(V):
    settings = [{"beta": beta, "init": "random", "seed": s} for beta in (0, 1, 2) for s in (0, 1)]
    forth = frame.factorize_batch(settings, V)
    back = frame.factorize_batch(settings[::-1], V)[::-1]
    for first, second in zip(forth, back, strict=True):
        np.testing.assert_array_equal(first.W, second.W)


def test_a_wrong_setting_spares_the_others(V):
    results = frame.factorize_batch([{"beta": 1}, {"algorithm": "torch_hals", "beta": 1}, {}], V)
    assert [isinstance(result, ComputationError) for result in results] == [False, True, False]
