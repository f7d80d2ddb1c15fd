"""CUDA graphs: what an iteration launches, recorded once and launched as a whole from then on."""

WARM_UP = 2  # kernels are compiled and libraries set up before the recording


def recorded(step, state):
    """Return a function that does what `step` does, in one launch.

    Parameters
    ----------
    step : callable
        Computes on the same tensors at each call, and reads none on the host.
    state : sequence of tensor
        What `step` overwrites and depends on; left as it is given.

    Raises
    ------
    RuntimeError
        If something in `step` cannot be recorded.
    """
    import torch

    kept = [values.clone() for values in state]
    # libraries set themselves up for each stream: the recording takes the one of the warm-up
    stream = torch.cuda.Stream()
    graph = torch.cuda.CUDAGraph()
    try:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            step()
    finally:
        for values, before in zip(state, kept, strict=True):
            values.copy_(before)
    return graph.replay
