"""What the callers of a measurement say: recorded speech of one length, whose first and last frames are loud."""

from functools import cache

from domain.mulaw import FRAME, FRAME_MS, loudness, to_pcm
from offhook.carrier import recordings
from offhook.carrier.noise import LineNoise

SPEECH_MS = 2300
LOUD = 0.05
"""Of the loudest frame: what is quieter is breath and room, no speech."""
LINES = (
    ("i need an appointment next tuesday at half past two",),
    ("what is the weather like in paris", "four seven one two nine"),
    ("can i talk to a person please", "the twenty third of november"),
)

HISSES = 8
"""Lines that hiss differently."""

Frames = tuple[bytes, ...]


@cache
def utterances() -> tuple[Frames, ...]:
    """Each line in each voice, at most 2.3 s long, with a line's hiss under it; frames of 20 ms of mu-law.
    Raises NoSound."""
    noise = LineNoise(0)
    made: list[Frames] = []
    for voice in recordings.VOICES:
        for line in LINES:
            spoken = (frame for part in line for frame in spoken_part(frames_of(recordings.line(part, voice))))
            joined = spoken_part(list(spoken)[: SPEECH_MS // FRAME_MS])
            made.append(frames_of(noise.under(b"".join(joined))))
    return tuple(made)


@cache
def hiss(line: int) -> Frames:
    """Two seconds of nothing but a line's hiss."""
    return LineNoise(line).frames


def frames_of(sound: bytes) -> Frames:
    """Whole frames; what is left over is dropped."""
    return tuple(sound[at : at + FRAME] for at in range(0, len(sound) - FRAME + 1, FRAME))


def spoken_part(frames: Frames | list[bytes]) -> Frames:
    """From the first loud frame to the last: only then is the moment of the last one the end of the speech."""
    loud = [loudness(to_pcm(frame)) for frame in frames]
    least = LOUD * max(loud)
    places = [place for place, level in enumerate(loud) if level >= least]
    return tuple(frames[places[0] : places[-1] + 1])
