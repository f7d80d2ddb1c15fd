"""Fast β-NMF: sweeps, compiled kernels and GPU forms; knows nothing of nmfab but base."""
