"""Kinds of factorization, one per file: W·H, convolutive, Tucker, ..."""

from nmfab.base.kinds.contract import KINDS, Factorization, has, kind, restored, stored
from nmfab.base.kinds.low_rank import LowRank

__all__ = ["KINDS", "Factorization", "LowRank", "has", "kind", "restored", "stored"]
