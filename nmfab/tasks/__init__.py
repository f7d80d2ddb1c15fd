"""One task per file: which datasets, features, algorithms, post-processing and metrics make it."""

from nmfab.tasks.contract import TASKS, Metric, Task, task

__all__ = ["TASKS", "Metric", "Task", "task"]
