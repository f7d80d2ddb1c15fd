"""Music source separation: stems by NMF of the mixture's spectrogram.

python experiments/mss.py -p                                                what there is
python experiments/mss.py -s 'dataset=musdb18' --set subset=train -c        compute
python experiments/mss.py -d                                                the table
"""

from nmfab.cli.experiment import main
from nmfab.experiment import Experiment

experiment = Experiment(
    "mss",
    task="separation",
    title="Separation: components of a spectrogram, grouped and masked",
)

DATASETS = ["demo", "musdb18", "musdb18hq", "slakh", "folder"]

# Power 2 goes with beta 0: Itakura-Saito is the likelihood of power spectra. Starts are drawn at
# random, five of them, so that algorithms are told from luck.
COMMON = {
    "dataset": DATASETS,
    "init": "random",
    "seed": [0, 1, 2, 3, 4],
    "grouping": "mfcc",
    "masking": "wiener2",
}
experiment.add_plan(
    "nmf", COMMON, algorithm=["torch_mu", "torch_hals"], beta=[2, 1], power=1, rank=8
)
experiment.add_plan("is", COMMON, algorithm="torch_mu", beta=0, power=2, rank=8)
# nn_fac takes several times as long: one start of it.
experiment.add_plan("nn_fac", COMMON | {"seed": [0]}, algorithm="nnfac_mu", beta=1, power=1, rank=8)
experiment.add_plan("rank", COMMON, algorithm="torch_mu", beta=1, power=1, rank=16)

# The same factorizations, grouped by the true stems: what the guesswork after them costs.
experiment.add_plan(
    "grouped",
    COMMON | {"grouping": "oracle"},
    algorithm="torch_mu",
    beta=1,
    power=1,
    rank=8,
)

# Templates that last several frames, of 12 ms each at 44.1 kHz: a hit as one component.
experiment.add_plan(
    "convolutive",
    COMMON | {"grouping": ["mfcc", "oracle"], "seed": [0, 1], "convolutive.length": 5},
    algorithm="convolutive",
    beta=1,
    power=1,
    rank=8,
)

# Components with a place between the channels, for stereo alone: a track with one channel fails.
# Of your own: -s 'stereo/' --set dataset=folder
experiment.add_plan(
    "stereo",
    COMMON | {"dataset": ["musdb18", "musdb18hq"], "grouping": ["panning", "mfcc", "oracle"]},
    algorithm="ntf",
    beta=1,
    power=1,
    rank=[8, 16],
)

# What any result must beat, and what no result can.
experiment.add_plan(
    "baselines",
    dataset=DATASETS,
    baseline=["mixture", "silence", "hpss", "ibm1", "ibm2", "irm1", "irm2"],
)
experiment.add_plan(
    "dictionary",
    dataset=DATASETS,
    baseline=["dictionary"],
    algorithm=["torch_mu"],
    beta=1,
    power=1,
    rank=16,
    init="random",
    seed=0,
    masking="wiener2",
)

if __name__ == "__main__":
    raise SystemExit(main(experiment))
