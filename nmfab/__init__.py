"""nmfab: a benchmark of nonnegative matrix factorization on audio."""

__version__ = "0.1.0.dev0"
