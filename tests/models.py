"""What tests of models do with an algorithm's generator and with what it yields."""

from nmfab.base.divergence import divergence


def stepped(function, iterations, V, model, **options):
    """Return what an algorithm yields after so many iterations."""
    generator = function(V, model, **options)
    for _ in range(iterations):
        found = next(generator)
    return found


def loss(V, model, beta):
    """Return the divergence from V, over the entries that sound where β ≤ 0."""
    V, Y = (x[V > 0] if beta <= 0 else x for x in (V, model.reconstruction()))
    return divergence(V, Y, beta)
