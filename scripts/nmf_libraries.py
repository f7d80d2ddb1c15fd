"""Libraries that factorize, each behind one function that does k more iterations; for bench_nmf.

Every `make` is given V (m × n), W0 and H0 as float32 arrays, H being updated before W by all, β and
the device, and returns (advance, factors): ``advance(k)`` iterates k times and waits until that is
done, ``factors()`` gives W and H.
"""

from importlib.metadata import PackageNotFoundError, version
from itertools import islice

import numpy as np
import torch

from nmfab.algorithms import ALGORITHMS
from nmfab.engine.gpu import forms
from nmfab.engine.gpu.multiplicative import updates
from nmfab.engine.torch_plain import plain_step


def installed(package):
    """Return a package's version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def tensor(array, device):
    """Return a copy of an array on the device."""
    return torch.from_numpy(array.copy()).to(device)


def longer_side_first(V, device="cpu"):
    """Return V as a tensor in the memory layout that the frame gives."""
    if V.shape[1] > V.shape[0]:
        return torch.from_numpy(np.ascontiguousarray(V.T)).to(device).mT
    return tensor(V, device)


def wait(device):
    """Wait until the device has done all that it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def of_generator(generator, device):
    """Return (advance, factors) of a generator that yields W, H."""
    last = []

    def advance(count):
        for last[:] in islice(generator, count):
            pass
        wait(device)

    return advance, lambda: tuple(factor.cpu().numpy().copy() for factor in last)


def ours(name, **keywords):
    """Return `make` of a registered algorithm."""

    def make(V, W, H, beta, device):
        function = ALGORITHMS[name].function
        more = keywords if ALGORITHMS[name].betas else keywords | {"beta": beta}
        start = longer_side_first(V, device), tensor(W, device), tensor(H, device)
        return of_generator(function(*start, **more), device)

    return make


def in_form(form):
    """Return `make` of torch_mu in one of the forms of a GPU."""

    def make(V, W, H, beta, device):
        start = longer_side_first(V, device), tensor(W, device), tensor(H, device)
        return of_generator(updates(*start, beta, form=form), device)

    return make


def plain(V, W, H, beta, device):
    """Multiplicative updates as a few lines of torch."""
    V, *start = (tensor(x, device) for x in (V, W, H))
    return of_generator(forms.repeated(plain_step(V, *start, beta), *start), device)


def products(V, W, H, beta, device):
    """Do nothing but the matrix products that an update cannot avoid (two, four or six, and W)."""
    V, W, H = (tensor(x, device) for x in (V, W, H))
    WH, of_H, of_W = torch.empty_like(V), torch.empty_like(H), torch.empty_like(W)

    def advance(count):
        for _ in range(count):
            for _ in range(1 if beta in (1, 2) else 2):
                torch.mm(W.mT, V, out=of_H)
                torch.mm(V, H.mT, out=of_W)
            if beta == 2:
                torch.mm(W.mT @ W, H, out=of_H)
                torch.mm(W, H @ H.mT, out=of_W)
            else:
                torch.mm(W, H, out=WH)
                torch.mm(W, H, out=WH)
        wait(device)

    return advance, None


def products_and_divisions(V, W, H, beta, device):
    """Add the two divisions of an update at β = 1."""
    advance_products, _ = products(V, W, H, beta, device)
    V = tensor(V, device)
    model, ratio = torch.ones_like(V), torch.empty_like(V)

    def advance(count):
        advance_products(count)
        for _ in range(2 * count):
            torch.div(V, model, out=ratio)
        wait(device)

    return advance, None


def sklearn(solver):
    """Return `make` of scikit-learn's solver "mu" or "cd", in chunks, without a tolerance."""

    def make(V, W, H, beta, _device):
        from sklearn.decomposition import non_negative_factorization

        state = [np.ascontiguousarray(H.T), np.ascontiguousarray(W.T)]
        Vt, options = np.ascontiguousarray(V.T), {"beta_loss": beta} if solver == "mu" else {}

        def advance(count):
            state[0], state[1], _ = non_negative_factorization(
                Vt, W=state[0], H=state[1], n_components=W.shape[1], init="custom",
                solver=solver, tol=0, max_iter=count, **options,
            )  # fmt: skip

        return advance, lambda: (state[1].T, state[0].T)

    return make


def nn_fac(rule, loss=True):
    """Return `make` of nn_fac in float64; without `loss` its updates are called by themselves."""

    def make(V, W, H, beta, _device):
        from nn_fac.nmf import compute_nmf
        from nn_fac.update_rules.mu import switch_alternate_mu

        V, state = V.astype(np.float64), [np.maximum(x.astype(np.float64), 1e-12) for x in (W, H)]

        def advance(count):
            if loss:
                state[:] = compute_nmf(
                    V, W.shape[1], *state, n_iter_max=count, tol=0, update_rule=rule, beta=beta,
                    update_order="VU",
                )[:2]  # fmt: skip
                return
            for _ in range(count):
                state[1] = switch_alternate_mu(V, *state, beta, "V")
                state[0] = switch_alternate_mu(V, *state, beta, "U")

        return advance, lambda: tuple(state)

    return make


def torchnmf(V, W, H, beta, device):
    """Iterate torchnmf, which updates its W (n × rank) first: it is given Hᵀ."""
    from torchnmf.nmf import NMF

    V = tensor(V, device)
    net = NMF(W=tensor(np.ascontiguousarray(H.T), "cpu"), H=tensor(W, "cpu")).to(device)

    def advance(count):
        net.fit(V, beta=beta, tol=float("-inf"), max_iter=count)
        wait(device)

    return advance, lambda: (net.H.detach().cpu().numpy(), net.W.detach().cpu().numpy().T)


def methods(beta, device="cpu"):
    """Return {(library, method): (make, dtype)} of what is installed and minimizes this β there."""
    found = {
        ("products", "mm"): (products, "float32"),
        ("nmfab", "torch_mu"): (ours("torch_mu"), "float32"),
        ("nmfab", "torch_amu"): (ours("torch_amu"), "float32"),
        ("torch", "plain mu"): (plain, "float32"),
    }
    if beta == 1:
        found["products", "mm and 2 divisions"] = products_and_divisions, "float32"
    if beta == 2:
        found["nmfab", "torch_hals"] = ours("torch_hals"), "float32"
        found["nmfab", "torch_ahals"] = ours("torch_ahals"), "float32"
    if installed("torchnmf"):
        found["torchnmf", "mu"] = torchnmf, "float32"
    return found | (_on_a_cpu(beta) if device == "cpu" else _on_a_gpu())


def _on_a_gpu():
    """Return every form of torch_mu, and it with products in TF32."""
    names = [name for name in forms.NAMES if name.startswith("plain") or installed("triton")]
    found = {("nmfab", f"torch_mu {name}"): (in_form(name), "float32") for name in names}
    return found | {("nmfab", "torch_mu TF32"): (ours("torch_mu", tf32=True), "float32")}


def _on_a_cpu(beta):
    found = {("sklearn", "mu"): (sklearn("mu"), "float32")}
    if beta == 2:
        found["sklearn", "cd"] = sklearn("cd"), "float32"
    if installed("nn_fac"):
        found["nn_fac", "mu"] = nn_fac("mu"), "float64"
        found["nn_fac", "mu without its loss"] = nn_fac("mu", loss=False), "float64"
        if beta == 2:
            found["nn_fac", "hals"] = nn_fac("hals"), "float64"
    return found
