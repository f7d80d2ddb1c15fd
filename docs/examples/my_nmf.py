"""An algorithm of one's own: KL-NMF with sparse activations, ten lines and one parameter.

Run it beside the others, then change a line and run it again: it alone is computed anew, because
without a `version` the file itself is what its results are known by.

    python experiments/msa.py --plugin docs/examples/my_nmf.py \
        -s '{"algorithm":["my_nmf","torch_mu"],"dataset":"demo"}' -c 2
    nmfab check docs/examples/my_nmf.py

`my_nmf.sparsity` can be set (`--set my_nmf.sparsity=2`) or be a factor of a plan.
"""

import numpy as np

from nmfab import algorithm


# The penalty and the norm may raise the divergence that is measured: so it says.
@algorithm("my_nmf", betas=(1,), monotone=False)
def my_nmf(V, W, H, *, sparsity=1.0):
    """Minimize D_KL(V | WH) + sparsity · ΣH, columns of W kept at norm 1 (Eggert, Körner 2004)."""
    floor = 1e-12  # V has mean 1 here, whatever the level of the audio
    while True:
        H = H * (W.T @ (V / np.maximum(W @ H, floor))) / (W.sum(axis=0)[:, None] + sparsity)
        W = W * ((V / np.maximum(W @ H, floor)) @ H.T) / np.maximum(H.sum(axis=1), floor)
        norms = np.maximum(np.linalg.norm(W, axis=0), floor)
        W, H = W / norms, H * norms[:, None]
        yield W, H
