"""Whether what comes in is what went out, told from recorded voices."""

import numpy as np
import pytest

from domain import mulaw
from domain.echo import ALIKE, is_echo, likeness
from offhook.carrier.recordings import line

MS = mulaw.BYTES_PER_MS
HEARD = 300 * MS


def sound(*lines: str, voice: str) -> bytes:
    return b"".join(line(text, voice) for text in lines)  # type: ignore[arg-type]


AGENT = sound("on friday", "half past two", "yes please", voice="slt")
CALLER = sound("half past two", "yes please", "on friday", voice="rms")


def through_a_room(played: bytes, gain: float, seed: int = 1) -> bytes:
    """Softer, duller, with the line's noise."""
    pcm = np.frombuffer(mulaw.to_pcm(played), dtype="<i2").astype(float) * gain
    dull = np.convolve(pcm, [0.4, 0.3, 0.2, 0.1])[: len(pcm)]
    noisy = dull + np.random.default_rng(seed).normal(0, 30, len(dull))
    return mulaw.from_pcm(noisy.astype("<i2").tobytes())


def pieces(voice: bytes) -> list[int]:
    """Where 300 ms begin that hold speech."""
    loud = [at for at in range(0, len(voice) - HEARD, 100 * MS)]
    return [at for at in loud if mulaw.loudness(mulaw.to_pcm(voice[at : at + HEARD])) > 1000]


@pytest.mark.parametrize("delay_ms", [20, 120, 333, 900])
@pytest.mark.parametrize("gain", [0.1, 0.5])
def test_the_agent_s_own_voice_is_known_again(delay_ms: int, gain: float) -> None:
    echo = through_a_room(AGENT, gain)
    found = [
        is_echo(
            echo[at : at + HEARD], AGENT[max(0, at + delay_ms * MS + HEARD - 1300 * MS) : at + delay_ms * MS + HEARD]
        )
        for at in pieces(AGENT)
        if at + delay_ms * MS + HEARD <= len(AGENT)
    ]
    assert found
    assert sum(found) / len(found) >= 0.95


def test_another_voice_is_not_the_agent_s() -> None:
    likest = [likeness(CALLER[at : at + HEARD], AGENT[: 1300 * MS]) for at in pieces(CALLER)]
    assert likest
    assert max(likest) < ALIKE


def test_a_caller_who_speaks_over_the_echo_is_heard() -> None:
    at = pieces(CALLER)[0]
    both = np.frombuffer(mulaw.to_pcm(CALLER[at : at + HEARD]), dtype="<i2").astype(int)
    both = both + np.frombuffer(mulaw.to_pcm(through_a_room(AGENT[1000:], 0.1)), dtype="<i2")[: len(both)]
    assert not is_echo(mulaw.from_pcm(np.clip(both, -32768, 32767).astype("<i2").tobytes()), AGENT[: 1300 * MS])


def test_silence_is_nobody_s_echo() -> None:
    assert likeness(mulaw.silence(300), mulaw.silence(1300)) == 0.0
    assert likeness(mulaw.silence(300), AGENT[: 1300 * MS]) == 0.0
    assert likeness(b"", AGENT) == 0.0
    assert likeness(CALLER[:HEARD], AGENT[: HEARD - 1]) == 0.0
