"""Callers' sound: any file becomes what a telephone line carries."""

import io
import math
import shutil

import numpy as np
import pytest
import soundfile

from domain import mulaw
from offhook.carrier import recordings
from offhook.carrier.recordings import NoSound, decode, slug


def wav(rate: int, channels: int, subtype: str, seconds: float = 0.5, file_format: str = "WAV") -> bytes:
    """A tone of 440 Hz at half the full loudness."""
    wave = 0.5 * np.sin(math.tau * 440 * np.arange(int(rate * seconds)) / rate)
    data = io.BytesIO()
    soundfile.write(data, np.stack([wave] * channels, axis=1), rate, subtype=subtype, format=file_format)
    return data.getvalue()


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_any_rate_number_of_channels_and_encoding(rate: int, channels: int, subtype: str) -> None:
    sound = decode(wav(rate, channels, subtype))
    assert mulaw.milliseconds(sound) == pytest.approx(500, abs=1)
    assert mulaw.loudness(mulaw.to_pcm(sound)) == pytest.approx(0.5 / math.sqrt(2) * 32767, rel=0.03)


def test_a_flac_file_is_a_sound_file_too() -> None:
    assert mulaw.milliseconds(decode(wav(16_000, 1, "PCM_16", file_format="FLAC"))) == pytest.approx(500, abs=1)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"hello, world", wav(8000, 1, "PCM_16", seconds=0)])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(NoSound):
        decode(data)


def test_a_line_s_name_follows_the_rule_it_was_recorded_by() -> None:
    assert slug("No, at eleven thirty!") == "no-at-eleven-thirty"
    assert slug("yeah that's right") == "yeah-thats-right"
    recorded = {path.stem for path in (recordings.SHIPPED / "slt").glob("*.wav")}
    lines = (recordings.SHIPPED.parent / "lines.txt").read_text().splitlines()
    assert {slug(line) for line in lines} == recorded


def test_new_words_without_flite_say_what_to_install() -> None:
    if shutil.which("flite"):
        assert len(recordings.spoken("hello there", "slt")) > 2000
    else:
        with pytest.raises(NoSound, match="install flite"):
            recordings.spoken("hello there", "slt")
