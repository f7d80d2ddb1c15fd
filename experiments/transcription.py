"""Transcription: notes by NMF of the spectrogram, of pianos above all.

python experiments/transcription.py -p                                   what there is
python experiments/transcription.py -s 'dataset=maps' -c                 compute
python experiments/transcription.py -d                                   the table
"""

from nmfab.cli.experiment import main
from nmfab.experiment import Experiment

experiment = Experiment(
    "transcription",
    task="transcription",
    title="Transcription: notes by NMF of the spectrogram",
    fixed={"stop": 50},
)

DATASETS = ["demo", "maps", "maestro", "guitarset", "slakh", "folder"]

# One template per key, named by its place in the start or by what it has become. Power 2 goes with
# beta 0: Itakura-Saito is the likelihood of power spectra.
KEYS = {
    "dataset": DATASETS,
    "rank": 88,
    "init": "harmonic",
    "seed": 0,
    "pitch": ["fixed", "harmonic", "oracle"],
    "thresholding": "fixed",
}
experiment.add_plan("harmonic", KEYS, algorithm=["torch_mu", "torch_hals"], beta=[2, 1], power=1)
experiment.add_plan("is", KEYS, algorithm="torch_mu", beta=0, power=2)

# Activations are drawn at random: five starts, so that algorithms are told from luck.
experiment.add_plan(
    "seeds",
    KEYS | {"pitch": "fixed", "seed": [0, 1, 2, 3, 4], "thresholding": ["fixed", "adaptive"]},
    algorithm="torch_mu",
    beta=1,
)

# Templates that start anywhere, and are named afterwards.
experiment.add_plan(
    "blind",
    dataset=DATASETS,
    algorithm=["torch_mu"],
    beta=[1],
    rank=[20],
    init=["random"],
    seed=[0, 1, 2, 3, 4],
    pitch=["autocorrelation", "harmonic", "oracle"],
    thresholding=["fixed"],
)

# nn_fac takes several times as long: one start of it.
blind = {"dataset": DATASETS, "rank": 20, "init": "random", "seed": 0, "pitch": "harmonic"}
experiment.add_plan("nn_fac", blind, algorithm="nnfac_mu", beta=1, thresholding="fixed")

# Templates of isolated notes of the same piano; with maps, name one: --set dictionary=ENSTDkCl
experiment.add_plan(
    "dictionary", dataset="demo", algorithm="torch_mu", beta=1, dictionary="isolated",
    thresholding=["fixed", "oracle"],
)  # fmt: skip

# Templates of five frames: how a note begins is in them, and it begins once. After 20 iterations F
# is that after 50.
experiment.add_plan(
    "convolutive", {"convolutive.length": 5}, dataset="demo", algorithm="convolutive", beta=1,
    dictionary="isolated", stop=20, thresholding="smoothed", threshold=[0.1, 0.2, 0.3],
)  # fmt: skip

# As published for MAPS (Wu, Marmoret and Cohen 2022), whose figures are those of midi. They sum the
# channels, we average them: a factor of 2 in V, on which these thresholds do not depend.
# scripts/transcription_thresholds.py chooses among the thresholds.
experiment.add_plan(
    "maps_convolutive",
    {"convolutive.length": [5, 10, 20], "smoothed.window": 10, "merged.unit": "sum"},
    dataset="maps", algorithm="convolutive", beta=1, dictionary="own:M", stop=100, excerpt=30,
    sample_rate=44100, window=4096, n_fft=8192, hop=882, power=1, thresholding="smoothed",
    threshold=[0.01, 0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17, 0.19, 0.21, 0.23, 0.25, 0.27,
               0.29, 0.31, 0.33, 0.35, 0.37, 0.39], pitch_unit=["hz", "midi"],
)  # fmt: skip

# What no threshold can exceed with these activations: the best one for each pitch.
bound = KEYS | {"pitch": "oracle", "thresholding": "oracle"}
experiment.add_plan("oracle", bound, algorithm="torch_mu", beta=1)

# What any result must beat: harmonic templates without a factorization.
experiment.add_plan(
    "baselines",
    dataset=DATASETS,
    baseline=["salience"],
    threshold=[0.1, 0.2, 0.3],
    thresholding=["adaptive"],
)

if __name__ == "__main__":
    raise SystemExit(main(experiment))
