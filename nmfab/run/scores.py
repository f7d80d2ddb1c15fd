"""The scores of one unit, or why there are none."""

from nmfab.base.errors import NmfabError


def scores_of(pipeline, graph):
    """Return the metrics of a setting on a track, or None and the reason.

    Parameters
    ----------
    pipeline : TrackPipeline
        Of the track; nothing is computed.
    graph : Graph
        Of the setting.

    Returns
    -------
    scores : dict of float or None
    reason : str
    """
    name = graph.target.name
    try:
        if not pipeline.place.folder.is_dir():
            return None, "not computed"
        arrays = pipeline.stored(graph, name)
        if arrays is not None:
            pipeline.release(graph)
            return {metric: float(value) for metric, value in arrays.items()}, ""
        reasons = [pipeline.place.failure(pipeline.key(graph, node)) for node in graph.order()]
    except NmfabError as error:
        return None, str(error)
    return None, next((reason for reason in reasons if reason), "not computed")
