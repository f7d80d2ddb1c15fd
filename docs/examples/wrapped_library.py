"""A library that iterates by itself: it is told how often, and yields once.

With `stops="self"` the function takes `n_iter` and there is no curve between start and end. Where a
library keeps nothing between two calls, calling it one iteration at a time gives a curve too:
`nmfab/algorithms/sklearn_nmf.py` does so with this very library.
"""

from nmfab import algorithm


def _skip(params):
    if params["beta"] <= 0:
        return "kept to beta above 0: below, scikit-learn refuses zeros in V"
    return None


@algorithm("wrapped_sklearn", stops="self", skip=_skip)
def wrapped_sklearn(V, W, H, *, beta=1.0, n_iter=200):
    """scikit-learn's NMF by multiplicative updates, on Vᵀ so that H is updated before W."""
    from sklearn.decomposition import NMF

    model = NMF(
        H.shape[0], init="custom", solver="mu", beta_loss=beta, tol=0, max_iter=n_iter
    )  # tol=0: the number of iterations is the budget, the same for all
    Ht = model.fit_transform(V.T, W=H.T.copy(), H=W.T.copy())
    yield model.components_.T, Ht.T
