"""The nodes of one setting, and what of their keys no track changes."""

from nmfab.base import registry
from nmfab.base.values import canonical, digest


class Graph:
    """The nodes of one setting, by name, inputs before readers.

    Parameters
    ----------
    task : Task
        What makes the nodes.
    parameters : mapping
        Every parameter of the setting.
    """

    def __init__(self, task, parameters):
        self.parameters = parameters
        self._task = {f"task.{task.name}": registry.version_of(type(task))}
        listed = list(task.nodes(parameters))
        self.nodes = {node.name: node for node in listed}
        self.target = listed[-1]
        self._recipes = {}
        self.keys = {}  # (dataset, track, node) -> key

    def order(self):
        """Return the names of the nodes that the target needs, inputs first."""
        needed = {self.target.name}
        for node in reversed(self.nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
        return [name for name in self.nodes if name in needed]

    def recipe(self, node):
        """Return what a node's key is made of that no track changes: params and versions."""
        if node.name not in self._recipes:
            self._recipes[node.name] = {
                "node": node.name,
                "params": {name: canonical(value) for name, value in node.params.items()},
                "versions": {**node.versions, **self._task, **registry.releases(node.libraries)},
            }
        return self._recipes[node.name]

    def identity(self, name, without=()):
        """Return a digest of a node and all that it reads, whatever the track.

        Parameters
        ----------
        name : str
            The node.
        without : sequence of str
            Parameters of the node itself that are left out.
        """
        node = self.nodes[name]
        recipe = self.recipe(node)
        params = {k: v for k, v in recipe["params"].items() if k not in without}
        inputs = [self.identity(source) for source in node.inputs]
        return digest({**recipe, "params": params, "inputs": inputs})

    def batch_identity(self, node):
        """Return what all problems of one batch have in common, or None for a node without."""
        return None if node.compute_batch is None else self.identity(node.name, node.batch)
