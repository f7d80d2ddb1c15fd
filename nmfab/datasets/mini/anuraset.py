"""The miniature of AnuraSet: two recordings, their labels, and windows of 3 s."""

import numpy as np

from nmfab.datasets.mini import sound

_SECONDS = 5
_CODES = ("SPHSUR", "BOABIS", "SCIPER")
# Per recording: site as the weak labels write it, and the calls: start, end, species, quality.
_MINUTES = {
    "INCT4_20191005_180000": ("INCT04", ((0.5, 1.2, 0, "H"), (3.1, 4.0, 1, "L"), (2, 2, 0, "M"))),
    "INCT17_20191113_040000": ("INCT17", ()),
}


def write(folder):
    """Write recordings with weak and strong labels, and windows whose table miscounts species."""
    weak = [",".join(["MONITORING_SITE", "AUDIO_FILE_ID", *(f"SPECIES_{c}" for c in _CODES)])]
    header = ["sample_name", "fname", "min_t", "max_t", "site", "date", "species_number", "subset"]
    windows = [",".join([*header, *_CODES])]
    for name, (label, calls) in _MINUTES.items():
        site = name.partition("_")[0]
        heard = sound.play([(on, off, 84 + 7 * s) for on, off, s, _ in calls], _SECONDS)
        heard += 0.01 * np.random.default_rng(len(calls)).normal(size=len(heard))
        sound.write_wav(folder / f"raw_data/{site}/{name}.wav", heard)
        levels = [max((2 for call in calls if call[2] == s), default=0) for s in range(len(_CODES))]
        weak.append(",".join([label, name, *map(str, levels)]))
        rows = [f"{on}\t{off}\t{_CODES[species]}_{quality}" for on, off, species, quality in calls]
        sound.write_text(folder / f"strong_labels/{site}/{name}.txt", *rows)
        for start in range(_SECONDS - 2):
            piece = heard[start * sound.RATE : (start + 3) * sound.RATE]
            window = f"{name}_{start}_{start + 3}"
            sound.write_wav(folder / f"anuraset/audio/{site}/{window}.wav", piece)
            inside = [
                int(any(on < start + 3 and off > start and s == k for on, off, s, _ in calls))
                for k in range(len(_CODES))
            ]
            subset = "train" if site == "INCT4" else "test"
            told = [f"{window}.wav", name, start, start + 3, site, "2019-10-05 18:00:00"]
            windows.append(",".join(map(str, [*told, 2 * sum(inside), subset, *inside])))
    sound.write_text(folder / "weak_labels.csv", *weak)
    sound.write_text(folder / "anuraset/metadata.csv", *windows, end="\r\n")
