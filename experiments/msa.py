"""Music structure analysis: where sections begin, by NMF of one column per bar.

python experiments/msa.py -p                                               what there is
python experiments/msa.py -s '<"beta":[1,2],"dataset":"rwcpop">' -c        compute
python experiments/msa.py -d                                               the table
"""

from nmfab.cli.experiment import main
from nmfab.experiment import Experiment

experiment = Experiment(
    "msa",
    task="structure",
    title="Structure: boundaries by barwise NMF and Correlation Block-Matching",
)

DATASETS = ["demo", "rwcpop", "salami", "beatles", "folder"]

# Others are a --set away: --set algorithm=nnfac_hals+sklearn_cd
experiment.add_plan(
    "nmf",
    dataset=DATASETS,
    algorithm=["torch_mu", "torch_hals"],
    beta=[2, 1, 0],
    rank=[10],
    init=["nndsvda"],
    feature=["nn_log_mel"],
    similarity=["cosine", "rbf"],
    penalty=["modulo8"],
)

# The same updates by nn_fac.
experiment.add_plan(
    "nn_fac",
    dataset=DATASETS,
    algorithm=["nnfac_mu"],
    beta=[1],
    rank=[10],
    init=["nndsvda"],
    feature=["nn_log_mel"],
    similarity=["cosine"],
    penalty=["modulo8"],
)

experiment.add_plan(
    "ranks",
    dataset=DATASETS,
    algorithm=["torch_mu"],
    beta=[1],
    rank=[5, 20],
    init=["nndsvda"],
    feature=["nn_log_mel"],
    similarity=["cosine"],
    penalty=["modulo8"],
)

# Starts drawn at random: five of them, so that algorithms are told from luck.
experiment.add_plan(
    "random",
    dataset=DATASETS,
    algorithm=["torch_mu"],
    beta=[1],
    rank=[10],
    init=["random"],
    seed=[0, 1, 2, 3, 4],
    feature=["nn_log_mel"],
    similarity=["cosine"],
    penalty=["modulo8"],
)

# Patterns of spectra and rhythms instead of templates: a Tucker model of the tensor of bars.
TUCKER = {"algorithm": "ntd", "init": "nndsvda", "similarity": "cosine", "penalty": "modulo8"}
SMALL = TUCKER | {"ntd.frequency_rank": 16, "ntd.instant_rank": 16}
experiment.add_plan("ntd", SMALL, dataset=DATASETS, beta=1, rank=10, feature="nn_log_mel")

# As published for RWC Pop: KL and IS, ranks 32, 32, 32, annotated bars.
FULL = TUCKER | {"ntd.frequency_rank": 32, "ntd.instant_rank": 32, "bars": "annotated"}
experiment.add_plan(
    "ntd_rwc", FULL, dataset="rwcpop", beta=[1, 0], rank=32, feature=["nn_log_mel", "mel"]
)

# What any result must beat, and what no result can.
experiment.add_plan(
    "baselines",
    dataset=DATASETS,
    baseline=["regular", "constant", "signal", "oracle"],
    feature=["nn_log_mel"],
    similarity=["cosine", "rbf"],
    penalty=["modulo8"],
)

if __name__ == "__main__":
    raise SystemExit(main(experiment))
