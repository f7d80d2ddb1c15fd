"""Published figures as data: one TOML file per task, each table with its protocol and source.

Confidence: V, read from the authors' data or code; P, from a paper's excerpt; M, from memory.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from nmfab.base.values import canonical, same

CONFIDENCE = {
    "V": "read from the authors' data or code",
    "P": "from a paper's excerpt",
    "M": "from memory",
}


@dataclass(frozen=True)
class Row:
    """A method and its figures.

    Attributes
    ----------
    name : str
    values : dict of str to float
        By column; those that are not published are left out.
    setting : dict or None
        The parameters at which nmfab computes the same: an implementation check.
    """

    name: str
    values: dict
    setting: dict | None = None


@dataclass(frozen=True)
class Table:
    """Figures that may be compared with each other.

    Attributes
    ----------
    task, title, source, confidence, unit : str
        `confidence` is one of `CONFIDENCE`.
    datasets : tuple of str
    tracks : int
        How many they are over.
    statistic : {"mean", "median"}
        Over tracks.
    protocol : dict
        Parameters of the task, and the values at which figures are comparable.
    columns : tuple of str
        Names of metrics where the task has them, else what was measured.
    rows : tuple of Row
    tolerance : float or None
        By which an implementation check may differ.
    """

    task: str
    title: str
    source: str
    confidence: str
    datasets: tuple[str, ...]
    tracks: int
    statistic: str
    protocol: dict
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)
    tolerance: float | None = None
    unit: str = ""

    def comparable(self, dataset, parameters):
        """Tell whether figures of a setting may stand beside these.

        Parameters
        ----------
        dataset : str
            Its dataset.
        parameters : mapping
            Every parameter of the setting.
        """
        return dataset in self.datasets and all(
            name in parameters and same(canonical(parameters[name]), value)
            for name, value in self.protocol.items()
        )


def tables(task, dataset=None):
    """Return the published tables of a task, of one dataset or of all.

    Returns
    -------
    list of Table
    """
    found = _read(task)
    return [table for table in found if dataset is None or dataset in table.datasets]


@cache
def _read(task):
    path = Path(__file__).with_name(f"{task}.toml")
    if not path.is_file():
        return []
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return [_table(content["task"], entry) for entry in content["table"]]


def _table(task, entry):
    columns = tuple(entry.pop("columns"))
    rows = tuple(
        Row(row["name"], dict(zip(columns, row["values"], strict=False)), row.get("setting"))
        for row in entry.pop("row")
    )
    # TOML has no null.
    protocol = {k: None if v == "null" else canonical(v) for k, v in entry.pop("protocol").items()}
    datasets = tuple(entry.pop("datasets"))
    return Table(
        task=task, columns=columns, rows=rows, protocol=protocol, datasets=datasets, **entry
    )
