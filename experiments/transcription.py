"""Transcription of piano music: notes by NMF of the spectrogram.

python experiments/transcription.py -p                                   what there is
python experiments/transcription.py -s '<"dataset":"demo">' -c           compute
python experiments/transcription.py -d                                   the table
"""

from nmfab.experiment import Experiment

experiment = Experiment(
    "transcription",
    task="transcription",
    title="Transcription: piano notes by NMF of the spectrogram",
)

DATASETS = ["demo", "maps"]

# A template per key, its pitch given by the start.
experiment.add_plan(
    "harmonic",
    dataset=DATASETS,
    algorithm=["torch_mu"],
    beta=[2, 1, 0],
    rank=[88],
    init=["harmonic"],
    seed=[0],
    pitch=["fixed"],
)

if __name__ == "__main__":
    raise SystemExit(experiment.main())
