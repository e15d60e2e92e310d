"""What every voice activity detector does: recorded callers are heard, a noisy line is not.

A further detector joins by one line in DETECTORS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from adapters.webrtc_vad import WebrtcDetector
from domain import mulaw
from domain.ports import Detector

DETECTORS: dict[str, Callable[[], Detector]] = {"webrtc": WebrtcDetector}
every_detector = pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS.keys())

Samples = np.ndarray[Any, np.dtype[np.float64]]
Noise = Callable[[int, int], Samples]
"""Length in samples, seed → noise with a root mean square of 1."""

RECORDINGS = sorted(Path(__file__).parents[2].glob("offhook/demo/voices/*/*.wav"))
LOUDNESS = 3300
"""Root mean square of a recording, typically."""


def hiss(length: int, seed: int) -> Samples:
    return np.random.default_rng(seed).normal(0, 1, length)


def rumble(length: int, seed: int) -> Samples:
    """Pink noise: lower is louder."""
    spectrum = np.fft.rfft(hiss(length, seed)) / np.sqrt(np.maximum(1, np.arange(length // 2 + 1)))
    return unit(np.fft.irfft(spectrum, length))


def hum(length: int, seed: int, hertz: int = 50) -> Samples:
    """Of the mains, with its harmonics."""
    phase = np.random.default_rng(seed).uniform(0, np.pi)
    time = np.arange(length) / mulaw.RATE
    return unit(np.sum([np.sin(2 * np.pi * hertz * k * time + phase * k) / k for k in (1, 2, 3, 5, 7)], axis=0))


def hum_american(length: int, seed: int) -> Samples:
    return hum(length, seed, hertz=60)


def whistle(length: int, seed: int) -> Samples:
    return unit(np.sin(2 * np.pi * 440 * np.arange(length) / mulaw.RATE))


def unit(samples: Samples) -> Samples:
    return samples / power(samples)


def power(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2)))


NOISES: dict[str, Noise] = {f.__name__: f for f in (hiss, rumble, hum, hum_american, whistle)}
every_noise = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())


def seconds(s: float) -> int:
    return int(s * mulaw.RATE)


def verdicts(detector: Detector, samples: Samples) -> list[bool]:
    """One for each 20 ms."""
    line = mulaw.from_pcm(samples.clip(-32768, 32767).astype("<i2").tobytes())
    starts = range(0, len(line) - mulaw.FRAME + 1, mulaw.FRAME)
    return [detector.is_speech(line[start : start + mulaw.FRAME]) for start in starts]


def recordings() -> Iterator[Samples]:
    for path in RECORDINGS:
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == mulaw.RATE
        yield samples.astype(float)


def calls(noise: Noise, ratio_db: float, gain: float = 1.0) -> Iterator[tuple[Samples, Samples]]:
    """Each recording, and the call it is made in: noise throughout, two seconds of it before and after."""
    quiet = np.zeros(seconds(2))
    for seed, recording in enumerate(recordings()):
        speech = recording * gain
        call = np.concatenate([quiet, speech, quiet])
        yield speech, call + noise(len(call), seed) * power(speech) / 10 ** (ratio_db / 20)


BEFORE = 2000 // mulaw.FRAME_MS
"""Frames of a call before its speech."""


@every_detector
@every_noise
@pytest.mark.parametrize(("ratio_db", "gain"), [(25, 1), (20, 1), (25, 0.25)], ids=["25dB", "20dB", "25dB soft"])
def test_callers_are_heard_and_their_line_is_not(
    make: Callable[[], Detector], noise: Noise, ratio_db: float, gain: float
) -> None:
    heard = audible = false = silent = 0
    onsets = []
    for speech, call in calls(noise, ratio_db, gain):
        found = verdicts(make(), call)
        during = found[BEFORE : BEFORE + len(speech) // mulaw.FRAME]
        loudness = [
            power(speech[start : start + mulaw.FRAME]) for start in range(0, len(during) * mulaw.FRAME, mulaw.FRAME)
        ]
        loud = [verdict for verdict, level in zip(during, loudness, strict=True) if level > power(speech) / 10]
        heard, audible = heard + sum(loud), audible + len(loud)
        # Speech rings on for a little in any detector: 200 ms after it aren't counted.
        around = found[:BEFORE] + found[BEFORE + len(during) + 10 :]
        false, silent = false + sum(around), silent + len(around)
        assert any(during), "an utterance that was not heard at all"
        onsets.append(during.index(True) * mulaw.FRAME_MS)
    assert heard / audible > 0.95
    assert false / silent < 0.005
    assert np.percentile(onsets, 90) <= 60
    assert max(onsets) <= 240


@every_detector
@every_noise
@pytest.mark.parametrize("below_db", [20, 30])
def test_a_line_on_which_nobody_speaks_is_silent_from_the_first_frame(
    make: Callable[[], Detector], noise: Noise, below_db: float
) -> None:
    for seed in range(3):
        line = noise(seconds(20), seed) * LOUDNESS / 10 ** (below_db / 20)
        assert sum(verdicts(make(), line)) == 0


@every_detector
def test_digital_silence_is_silent(make: Callable[[], Detector]) -> None:
    assert not any(verdicts(make(), np.zeros(seconds(5))))


@every_detector
@every_noise
def test_a_loud_noise_that_sets_in_is_recognised_as_one_before_long(make: Callable[[], Detector], noise: Noise) -> None:
    line = np.concatenate([hiss(seconds(3), 1) * 20, noise(seconds(9), 2) * 600])
    assert not any(verdicts(make(), line)[-seconds(3) // mulaw.FRAME :])


@every_detector
def test_callers_are_heard_over_a_loud_hum(make: Callable[[], Detector]) -> None:
    for speech, call in calls(hum, ratio_db=12):
        during = verdicts(make(), call)[BEFORE : BEFORE + len(speech) // mulaw.FRAME]
        assert sum(during) / len(during) > 0.4


@every_detector
def test_a_caller_who_speaks_from_the_first_frame_on_is_heard(make: Callable[[], Detector]) -> None:
    for speech in recordings():
        found = verdicts(make(), speech)
        assert sum(found) / len(found) > 0.6


@every_detector
def test_a_long_speech_is_not_taken_for_noise(make: Callable[[], Detector]) -> None:
    speech = np.concatenate(list(recordings()))
    line = speech + hiss(len(speech), 1) * power(speech) / 10
    found = "".join("x" if verdict else " " for verdict in verdicts(make(), line))
    assert found.count("x") / len(found) > 0.85
    assert max(map(len, found.split("x"))) * mulaw.FRAME_MS <= 400


@every_detector
def test_each_call_has_a_detector_of_its_own(make: Callable[[], Detector]) -> None:
    speech = next(recordings())
    alone = verdicts(make(), speech)
    detector, other = make(), make()
    verdicts(other, hum(seconds(3), 1) * 3000)
    assert verdicts(detector, speech) == alone
