"""A grouping of one's own: components whose activations rise and fall together are one source.

python experiments/mss.py --plugin docs/examples/my_grouping.py -s '{"grouping":"together"}' -c
"""

import numpy as np

from nmfab.postprocessing import step


# What the arguments without a default may be is written in `offers` of
# nmfab/tasks/separation_nodes.py; those with one are factors, together.least=[0.3, 0.6].
@step("grouping", "together", calls=("activations",))
def together(factorization, *, n_sources, least=0.5):
    """Give the loudest components a group each, and the others to the one most like them.

    Parameters
    ----------
    factorization : Factorization
        Of rank r.
    n_sources : int
        Number of groups.
    least : float
        Correlation below which a component belongs to no group.

    Returns
    -------
    np.ndarray of int [shape=(r,)]
        Group of each component, −1 for none.
    """
    H = np.asarray(factorization.activations(), dtype=float)
    centred = H - H.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    rows = centred / np.where(norms > 0, norms, 1)
    loudest = np.argsort(-H.sum(axis=1))[:n_sources]
    likeness = rows @ rows[loudest].T
    return np.where(likeness.max(axis=1) >= least, likeness.argmax(axis=1), -1)
