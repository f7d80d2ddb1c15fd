"""What bench_nmf factorizes: synthetic V and spectrograms, and their starts."""

import numpy as np


def synthetic(m, n, rank):
    """Return V of mean 1, like a spectrogram (sparse, of all sizes, noisy), and a start."""
    rng = np.random.default_rng(0)
    V = rng.gamma(0.3, size=(m, rank)) @ rng.gamma(0.3, size=(rank, n))
    return started(V * rng.gamma(2, size=(m, n)) + 1e-4, rank, 0)


def started(V, rank, seed):
    """Return V divided by its mean and a random start of mean 1, in float32."""
    V = (V / V.mean()).astype(np.float32)
    rng = np.random.default_rng(seed)
    W, H = rng.random((V.shape[0], rank)) + 0.01, rng.random((rank, V.shape[1])) + 0.01
    scale = (W @ H).mean() ** -0.5
    return V, (W * scale).astype(np.float32), (H * scale).astype(np.float32)


def spectrograms(folder, most):
    """Return {name: magnitude} of recordings below a folder, 10 s of each."""
    import librosa

    kinds = (".wav", ".ogg", ".mp3", ".flac")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds]
    found = {}
    for path in files[:: max(1, len(files) // most)][:most]:
        samples, _ = librosa.load(path, sr=22050, mono=True, duration=10)
        found[path.stem] = np.abs(librosa.stft(samples, n_fft=2048, hop_length=512))
    return found
