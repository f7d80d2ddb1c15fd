"""Miniatures with sections: RWC Pop, SALAMI, the Beatles."""

from nmfab.datasets.mini import sound

_FORM = "ABAB"
_SECTION = 2 * sound.BAR  # seconds
_LENGTH = len(_FORM) * _SECTION


def _heard():
    return sound.song(_FORM)


def _beat_rows():
    """Yield number, time in seconds and place in the bar of each beat."""
    for number in range(round(_LENGTH / sound.BEAT)):
        yield number, number * sound.BEAT, number % 4 + 1


def write_rwcpop(folder):
    """Write a song with sections and beats, one on the second disc with sections alone, one flat.

    The first section begins after 0, one has no length, one ends past the audio.
    """
    audio = {
        "RM-P001": "rwc-p-m01/1.wav",
        "RM-P017": "rwc-p-m02/1.wav",
        "RM-P100": "RM-P100.wav",
    }
    notes = folder / "annotations"
    for track, place in audio.items():
        sound.write_wav(folder / "audio" / place, [_heard(), _heard()])
        edges = [0.0724025, *(number * _SECTION for number in range(1, len(_FORM))), _LENGTH + 0.4]
        rows = [
            f"{edges[i]:.7f}\t{edges[i + 1]:.7f}\t{label}"
            for i, label in enumerate(("#", "12", "[16-2", "12"))
        ]
        if track == "RM-P017":
            rows.insert(1, f"{_SECTION:.7f}\t{_SECTION:.7f}\t12")
        sound.write_text(notes / f"mirex10_sections-main/{track}.BLOCKS.lab", *rows)
    chorus = [
        f'{round(100 * i * _SECTION)}\t{round(100 * (i + 1) * _SECTION)}\t"verse {letter}"'
        for i, letter in enumerate(_FORM)
    ]
    beats = [
        f"{round(100 * time)}\t{round(100 * time)}\t{384 if place == 1 else 48 * (place - 1)}"
        for _, time, place in _beat_rows()
    ]
    for track in ("RM-P001", "RM-P100"):
        place = notes / f"AIST.RWC-MDB-P-2001.CHORUS/{track}.CHORUS.TXT"
        sound.write_text(place, *chorus, end="\r\n")
        place = notes / f"AIST.RWC-MDB-P-2001.BEAT/{track}.BEAT.TXT"
        sound.write_text(place, *beats, end="\r\n")


def write_salami(folder):
    """Write songs by both annotators (2), the first (898) and the second alone (1015), as mp3.

    A time is repeated, one file ends in Silence, and one song (10) has no audio.
    """
    root = folder / "salami-data-public-hierarchy-corrections"
    who = {"2": (1, 2), "898": (1,), "1015": (2,), "10": (1, 2)}
    header = "SONG_ID,SOURCE,ANNOTATOR1,ANNOTATOR2,FILE_LOCATION,SONG_DURATION"
    rows = [
        f"{track},mini,1,{2 if 2 in names else ''},,{_LENGTH:g}" for track, names in who.items()
    ]
    sound.write_text(root / "metadata/metadata.csv", header, *rows)
    for track, names in who.items():
        if track != "10":
            sound.write_encoded(folder / f"audio/{track}.mp3", [_heard()], 44100)
        for name in names:
            place = root / "annotations" / track / "parsed"
            for level, lines in _salami_levels(name).items():
                sound.write_text(place / f"textfile{name}_{level}.txt", *lines)


def _salami_levels(annotator):
    """Return the lines of the three levels; the second annotator hears sections 0.7 s later."""
    shift = 0.7 if annotator == 2 else 0
    upper = [f"{i * _SECTION + shift * (i > 0):.9f}\t{letter}" for i, letter in enumerate(_FORM)]
    lower = [
        f"{i * _SECTION / 2 + shift * (i > 0):.9f}\t{'aabb'[i % 4]}" for i in range(2 * len(_FORM))
    ]
    end = f"{_LENGTH:.9f}"
    repeated = [upper[0], f"{0:.9f}\tSilence", *upper[1:]]
    functions = [line.replace("\tA", "\tVerse").replace("\tB", "\tChorus") for line in repeated]
    return {
        "uppercase": [*upper, f"{end}\tEnd"],
        "lowercase": [*lower, f"{end}\tEnd"],
        "functions": [*functions, f"{end}\t{'Silence' if annotator == 2 else 'End'}"],
    }


def write_beatles(folder):
    """Write two songs, one of an album of two discs; a section of no length, beats unplaced."""
    songs = (
        "01_-_Please_Please_Me/11_-_Do_You_Want_To_Know_A_Secret",
        "10CD2_-_The_Beatles/CD2_-_01_-_Birthday",
    )
    for song in songs:
        sound.write_wav(folder / f"audio/{song}.wav", _heard())
        rows = ["0.000\t0.000\t\tsilence"]
        rows += [
            f"{i * _SECTION:.3f}\t{(i + 1) * _SECTION:.3f}\t\tverse_{letter}"
            for i, letter in enumerate(_FORM)
        ]
        sound.write_text(folder / f"annotations/seglab/The Beatles/{song}.lab", *rows)
        beats = [
            f"{time:.3f}  {'New Point' if number in (3, 9) else place}"
            for number, time, place in _beat_rows()
        ]
        sound.write_text(folder / f"annotations/beat/The Beatles/{song}.txt", *beats)
