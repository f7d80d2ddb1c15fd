"""An algorithm of one's own: KL-NMF with a penalty, ten lines and one parameter.

Run it beside the others, then change a line and run it again: it alone is computed anew, because
without a `version` the file itself is what its results are known by.

    python experiments/msa.py --plugin docs/examples/my_nmf.py \
        -s '{"algorithm":["my_nmf","torch_mu"],"dataset":"demo"}' -c 2
    nmfab check docs/examples/my_nmf.py

`my_nmf.sparsity` can be set (`--set my_nmf.sparsity=2`) or be a factor of a plan.
"""

import numpy as np

from nmfab import algorithm
from nmfab.base.divergence import divergence

FLOOR = 1e-12  # V has mean 1 here, whatever the level of the audio


@algorithm("my_nmf", betas=(1,))
def my_nmf(V, W, H, *, sparsity=0.1):
    """Minimize D_KL(V | WH) + sparsity · (ΣW + ΣH), which never rises (Cohen and Leplat 2025).

    Both factors are penalized: were H alone, W would grow, H would shrink, and nothing would be
    sparse. What is yielded third is what is minimized; the divergence is measured in any case.
    """
    while True:
        H = H * (W.T @ (V / np.maximum(W @ H, FLOOR))) / (W.sum(axis=0)[:, None] + sparsity)
        W = W * ((V / np.maximum(W @ H, FLOOR)) @ H.T) / (H.sum(axis=1) + sparsity)
        yield W, H, divergence(V, W @ H, 1) + sparsity * (W.sum() + H.sum())
