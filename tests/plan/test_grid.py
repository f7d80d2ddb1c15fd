"""Plans: what each is expanded to, what collapses, what is left out, what a selector picks."""

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import ClassVar

import pytest

from nmfab.base.errors import UsageError
from nmfab.base.types import Node, Param
from nmfab.datasets import DATASETS, Dataset
from nmfab.plan.grid import Grid
from nmfab.tasks import Metric, Task


class Toy(Task):
    """NMF rows, two baselines and an oracle, told apart by `method` and `algorithm`."""

    name = "toy"
    params: ClassVar = {
        "method": Param("nmf", "what predicts", choices=("nmf", "regular", "constant", "snapped")),
        "algorithm": Param("mu", "update rule"),
        "beta": Param(1, "divergence"),
        "rank": Param(10, "number of templates"),
        "init": Param("nndsvda", "start"),
        "seed": Param(0, "of a random start"),
        "period": Param(8, "bars"),
        "flag": Param(False, "a switch"),
    }
    metrics: ClassVar = {"F": Metric("F-measure")}

    def nodes(self, p):
        if p["method"] == "regular":
            return [node("postprocessing.regular", p, "method", "period"), METRICS]
        if p["method"] == "constant":
            return [node("postprocessing.constant", p), METRICS]
        if p["method"] == "snapped":
            return [node("postprocessing.snapped", p, "method"), METRICS]
        names = ["algorithm", "beta", "rank", "init", "flag"]
        names += ["seed"] if p["init"] == "random" else []
        return [
            node("features.v", p),
            node("nmf.factorize", p, *names),
            node("postprocessing.segment", p),
            METRICS,
        ]

    def kind(self, p):
        return {"nmf": "", "snapped": "oracle"}.get(p["method"], "baseline")

    def skip(self, p):
        if p["algorithm"] == "hals" and p["beta"] != 2 and p["method"] == "nmf":
            return "hals minimizes beta 2 only"
        return None


def node(name, p, *params):
    return Node(name, compute=dict, params={n: p[n] for n in params})


METRICS = Node("metrics.score", compute=dict)


@pytest.fixture(autouse=True)
def datasets(monkeypatch):
    """Two empty datasets, for as long as a test lasts."""
    DATASETS.names()
    known = dict(DATASETS._components)
    monkeypatch.setattr(DATASETS, "_components", {**known, "one": Dataset, "two": Dataset})


def grid(fixed=None, overrides=None, **plans):
    plans = {n: {"dataset": ["one"], **factors} for n, factors in plans.items()}
    return Grid(Toy(), plans, fixed or {}, overrides or {})


def texts(settings):
    return [setting.text for setting in settings]


def test_a_plan_is_expanded_in_the_order_of_its_factors():
    found = grid(a={"algorithm": ["mu", "cd"], "beta": [1, 2]})
    assert texts(found.settings) == [
        "dataset=one,algorithm=mu,beta=1",
        "dataset=one,algorithm=mu,beta=2",
        "dataset=one,algorithm=cd,beta=1",
        "dataset=one,algorithm=cd,beta=2",
    ]
    assert found.factors == {"dataset": ["one"], "algorithm": ["mu", "cd"], "beta": [1, 2]}
    assert found.settings[1].parameters["rank"] == 10
    assert found.settings[1].parameters["beta"] == 2


def test_each_plan_is_expanded_alone():
    found = grid(
        a={"algorithm": ["mu", "cd"], "beta": [1, 2], "rank": [10, 20], "flag": [False, True]},
        b={"method": ["regular"], "period": [4, 8, 16]},
        c={"algorithm": ["hals"], "beta": [2], "rank": [5]},
    )
    # 16 + 3 + 1, where a merge of the factors would give 3 * 2 * 3 * 2 * 2 * 3 = 216
    assert len(found.settings) == 20
    assert [s.plans for s in found.settings] == [("a",)] * 16 + [("b",)] * 3 + [("c",)]


def test_beta_zero_is_a_modality_and_absence_is_not():
    found = grid(a={"beta": [0, 1]}, b={"method": ["regular"]})
    assert found.settings[0].values["beta"] == 0
    assert "beta" not in found.settings[-1].values
    assert found.settings[-1].text == "dataset=one,method=regular"
    assert found.settings[-1].kind == "baseline"


def test_a_factor_that_is_not_read_is_absent_and_equal_settings_collapse():
    found = grid(a={"init": ["random", "nndsvda"], "seed": [0, 1, 2]})
    assert texts(found.settings) == [
        "dataset=one,init=random,seed=0",
        "dataset=one,init=random,seed=1",
        "dataset=one,init=random,seed=2",
        "dataset=one,init=nndsvda",
    ]


def test_equal_settings_of_two_plans_unite_them():
    found = grid(a={"rank": [10, 20]}, b={"beta": [1, 2]})
    # b computes rank 10, its default: absent is what is not read, and rank is
    assert texts(found.settings) == [
        "dataset=one,rank=10,beta=1",
        "dataset=one,rank=20,beta=1",
        "dataset=one,rank=10,beta=2",
    ]
    assert [s.plans for s in found.settings] == [("a", "b"), ("a",), ("b",)]


def test_a_factor_that_decides_which_nodes_there_are_is_read():
    # no node of "constant" names the parameter `method`
    found = grid(a={"method": ["constant", "regular", "nmf"]})
    assert texts(found.settings) == [
        "dataset=one,method=constant",
        "dataset=one,method=regular",
        "dataset=one",
    ]


def test_what_cannot_be_computed_is_left_out_with_its_reason():
    found = grid(
        a={"algorithm": ["mu", "hals"], "beta": [0, 1, 2], "init": ["nndsvda"], "seed": [0, 1, 2]}
    )
    assert len(found.settings) == 4
    assert [(item.values["beta"], item.reason) for item in found.left_out] == [
        (0, "hals minimizes beta 2 only"),
        (1, "hals minimizes beta 2 only"),
    ]


def test_modalities_are_canonical():
    found = grid(a={"beta": [1, 1.0, 0.1 + 0.2, 2.0]}, b={"flag": [True, 1]})
    assert found.factors["beta"] == [1, 0.3, 2]
    assert found.factors["flag"][:2] == [True, 1]
    assert [type(m) for m in found.factors["flag"]][:2] == [bool, int]
    flags = [s.values["flag"] for s in found.settings if "b" in s.plans]
    assert [type(flag) for flag in flags] == [bool, int]


def test_settings_are_hashable_equal_and_survive_a_process():
    one, two = (grid(a={"beta": [1, 2], "rank": [10]}).settings for _ in range(2))
    assert one == two
    assert len({*one, *two}) == 2
    assert pickle.loads(pickle.dumps(one)) == two  # noqa: S301
    other = grid(a={"beta": [1, 2]}, fixed={"rank": 20}).settings
    assert other[0] != one[0]
    assert other[0].parameters["rank"] == 20


def test_the_text_of_a_setting_selects_it():
    found = grid(a={"algorithm": ["mu", "cd"], "beta": [0, 1]}, b={"method": ["regular"]})
    for setting in found.settings:
        assert setting in found.select(setting.text)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"betta": [1]}, "'betta'.*did you mean 'beta'"),
        ({"method": ["nfm"]}, "modality of method 'nfm'.*did you mean 'nmf'"),
        ({"dataset": ["won"]}, "dataset 'won'.*there are.* one"),
        ({"beta": []}, "factor beta has no modality"),
        ({"beta": [float("nan")]}, "nan"),
    ],
)
def test_wrong_names_and_values_are_named(factors, words):
    with pytest.raises(UsageError, match=words):
        grid(a=factors)
    with pytest.raises(UsageError, match="names no dataset"):
        Grid(Toy(), {"a": {"beta": [1]}})


def test_parameters_of_algorithms_are_factors(monkeypatch):
    from nmfab.algorithms import ALGORITHMS

    ALGORITHMS.names()
    known = type("Known", (), {"defaults": {"sparsity": 0.1}})()
    monkeypatch.setattr(ALGORITHMS, "_components", {"my_nmf": known})
    assert grid(a={"my_nmf.sparsity": [0.1, 1]}).factors["my_nmf.sparsity"] == [0.1, 1]
    with pytest.raises(UsageError, match=r"parameter of my_nmf 'sparsiti'.*'sparsity'"):
        grid(a={"my_nmf.sparsiti": [0.1]})


def test_overrides():
    found = grid(a={"rank": [10, 20]}, b={"beta": [1, 2]}, overrides={"rank": [32]})
    assert [s.parameters["rank"] for s in found.settings] == [32, 32]
    assert found.factors["rank"] == [32]
    found = grid(a={"rank": [10, 20]}, overrides={"beta": [0]})
    assert found.fixed == {"beta": 0}
    assert "beta" not in found.factors
    assert [s.parameters["beta"] for s in found.settings] == [0, 0]
    found = grid(a={"rank": [10, 20]}, overrides={"beta": [0, 1]})
    assert len(found.settings) == 4
    with pytest.raises(UsageError, match="rnak"):
        grid(a={"rank": [10]}, overrides={"rnak": [3]})


SELECTORS = [
    (None, "a0 a1 a2 a3 nn base oracle"),
    ("beta=1", "a0 a1 nn base oracle"),
    ("beta=0", "a2 a3 base oracle"),
    ("beta=0,method=regular", "base"),
    ("beta=1.0+0", "a0 a1 a2 a3 nn base oracle"),
    ("seed=1", "a1 a3 nn base oracle"),
    ("init=nndsvda,seed=1", "nn base oracle"),
    ("init=random,seed=0:method=snapped", "a0 a2 base oracle"),
    ("nmf/", "a0 a1 a2 a3 nn"),
    ("nmf/beta=0", "a2 a3"),
    ("nmf/[-1,1]", "a2 a3"),
    ("nmf/[0,[0,1],0,1]", "a1 a3"),
    ("[[0,1],[0,-1,-1,-1,1]]", "a2 a3 base oracle"),
]


@pytest.mark.parametrize(("selector", "wanted"), SELECTORS)
def test_selection(selector, wanted):
    found = grid(
        nmf={"beta": [1, 0], "init": ["random", "nndsvda"], "seed": [0, 1]},
        others={"method": ["regular", "snapped"]},
    )
    found.settings = [s for s in found.settings if s.text != "dataset=one,beta=0,init=nndsvda"]
    names = ["a0", "a1", "nn", "a2", "a3", "base", "oracle"]
    labels = dict(zip(texts(found.settings), names, strict=True))
    chosen = [labels[s.text] for s in found.select(selector)]
    assert sorted(chosen) == sorted(wanted.split())
    assert chosen == [labels[s.text] for s in found.settings if labels[s.text] in chosen]


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("betta=1", "unknown factor 'betta': there are .*beta.*did you mean 'beta'"),
        ("beta=3", "unknown modality of beta 3: there are 0, 1"),
        ("beta=true", "unknown modality of beta True"),
        ("algorithm=hal", "unknown modality of algorithm 'hal'.*did you mean 'hals'"),
        ("rank=10", "'rank' is no factor.*fixed at 10.*--set rank=VALUE"),
        ("nnf/beta=1", "unknown plan 'nnf': there are nmf, others; did you mean 'nmf'"),
        ("others/beta=0", "selects none of the 4 settings"),
        ("algorithm=hals,beta=1", "selects none of the 4 settings .*hals minimizes beta 2 only"),
        ("others/algorithm=mu,method=nmf", "unknown modality of method 'nmf'"),
        ("[0,0,0,0,0]", "5 positions, and there are 4 factors"),
        ("[0,7]", "factor algorithm has no modality 7: 0 is mu, 1 is hals"),
        ("[0,2]", "factor algorithm has no modality 2: 0 is mu, 1 is hals"),
    ],
)
def test_what_does_not_exist_is_named_in_one_line(selector, words):
    found = grid(
        nmf={"algorithm": ["mu", "hals"], "beta": [0, 1]},
        others={"method": ["regular", "snapped"]},
    )
    with pytest.raises(UsageError, match=words) as caught:
        found.select(selector)
    assert "\n" not in str(caught.value)


def test_columns():
    found = grid(
        nmf={"algorithm": ["mu", "cd"], "rank": [10], "init": ["random", "nndsvda"], "seed": [0]},
        others={"method": ["regular"]},
    )
    # rank has one modality, though the baseline lacks it; `method` names the baseline
    assert found.varying() == ["algorithm", "init", "method"]
    assert found.constant() == {"dataset": "one", "rank": 10, "seed": 0}
    nmf = found.select("nmf/init=random")
    assert found.varying(nmf) == ["algorithm"]
    assert found.varying(nmf[:1]) == []
    assert found.constant(nmf[:1])["algorithm"] == "mu"


def test_columns_are_added_where_rows_would_look_alike():
    found = grid(a={"seed": [0], "init": ["random", "nndsvda"]}, b={"method": ["regular"]})
    settings = found.settings
    assert found.varying(settings) == ["init", "method"]
    bare = [replace(s, values={n: v for n, v in s.values.items() if n != "init"}) for s in settings]
    assert found.varying(bare[:2]) == ["seed"]


def test_a_large_grid_is_expanded_once_per_combination(monkeypatch):
    calls = []
    nodes = Toy.nodes
    monkeypatch.setattr(Toy, "nodes", lambda self, p: calls.append(1) or nodes(self, p))
    found = grid(
        a={"algorithm": ["mu", "cd"], "beta": [0, 1, 2], "rank": list(range(2, 22)), "seed": [0, 1]}
        | {"init": ["random"], "flag": [False, True], "method": ["nmf"]}
    )
    assert len(found.settings) == 480
    assert len(calls) <= 2 * 480


def test_a_plan_wakes_nothing_heavy():
    program = """
import sys
from nmfab.experiment import Experiment
experiment = Experiment("x", task="structure")
experiment.add_plan("nmf", dataset="demo", beta=[1, 2])
assert len(experiment.grid.settings) == 2
print([name for name in ("doce", "pandas", "tables", "scipy", "torch") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_settings_of_one_text_and_other_fixed_parameters_differ():
    one, two = (grid(a={"beta": [1, 2]}, fixed={"rank": rank}).settings for rank in (10, 20))
    assert texts(one) == texts(two)
    assert one[0] != two[0]
    assert len({*one, *two}) == 4


def test_columns_of_baselines_alone_are_those_that_differ():
    found = grid(rest={"method": ["regular", "snapped"], "period": [8], "flag": [True]})
    assert found.varying() == ["method"]
    (regular,) = found.select("method=regular")
    assert found.varying([regular]) == []
    assert found.constant([regular]) == {"dataset": "one", "method": "regular", "period": 8}


def test_null_is_a_value_of_any_parameter_and_text_of_those_that_take_it(monkeypatch):
    assert grid(a={"rank": [None, 3]}).factors["rank"] == [None, 3]
    with pytest.raises(UsageError, match="rank=ten: a number is needed, as in 10"):
        grid(a={"rank": ["ten"]})
    monkeypatch.setitem(Toy.params, "rank", Param(10, "number", text=True))
    assert grid(a={"rank": ["ten"]}).factors["rank"] == ["ten"]


def test_several_modalities_are_a_factor_of_every_plan_and_fix_nothing():
    found = grid(a={"rank": [10, 20]}, b={"beta": [1]}, overrides={"flag": [True, False]})
    assert found.fixed == {}
    assert [plan["flag"] for plan in found.plans.values()] == [[True, False]] * 2
    found = grid(a={"rank": [10, 20]}, b={"beta": [1]}, overrides={"rank": [30, 40]})
    assert found.plans["b"]["rank"] == found.plans["a"]["rank"] == [30, 40]


def test_a_modality_is_kept_once_and_truth_is_no_number():
    modalities = grid(a={"flag": [1, 1.0, True, 1]}).factors["flag"]
    assert [type(m) for m in modalities][:2] == [int, bool]
    assert len(grid(a={"flag": [1, 1.0, True, 1]}).plans["a"]["flag"]) == 2


def test_a_plan_that_a_setting_is_in_twice_is_named_once():
    found = grid(a={"init": ["nndsvda"], "seed": [0, 1]}, b={"init": ["nndsvda"], "seed": [5]})
    assert [s.plans for s in found.settings] == [("a", "b")]
    # it is what seed 5 of b gives, but in a there is no seed 5
    assert found.select("b/seed=5") == found.select("seed=5") == found.settings
    with pytest.raises(UsageError, match="selects none"):
        found.select("a/seed=5")


def test_a_parameter_that_nothing_reads_keeps_its_default():
    found = grid(a={"method": ["constant"], "rank": [10, 20]})
    (setting,) = found.settings
    assert setting.parameters["rank"] == 10
    assert "rank" not in setting.values


def test_naming_the_dataset_alone_selects_no_baseline_of_another():
    plan = {"dataset": ["one", "two"]}
    found = Grid(Toy(), {"a": plan | {"beta": [1, 2]}, "b": plan | {"method": ["regular"]}})
    assert {s.values["dataset"] for s in found.select("dataset=two")} == {"two"}
    with pytest.raises(UsageError, match="selects none"):
        found.select("b/dataset=two,beta=1")
