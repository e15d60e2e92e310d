"""What callers say, as mu-law 8 kHz: the lines shipped with the demo, any sound file, or new words through flite."""

import io
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from domain import mulaw

Voice = Literal["slt", "rms", "awb", "kal16"]
VOICES: tuple[Voice, ...] = get_args(Voice)

SHIPPED = Path(__file__).parent.parent / "demo" / "voices"
PEAK = 0.5
"""New words are spoken as loud as the shipped lines, of 1."""


class NoSound(Exception):
    """There is no such recording, or it can't be read. The message is one sentence."""


def slug(text: str) -> str:
    """A line's file name: the rule of demo/record.sh."""
    return re.sub(r"[^a-z0-9-]", "", text.lower().replace(" ", "-"))


@cache
def line(text: str, voice: Voice) -> bytes:
    """A shipped line. Raises NoSound."""
    path = SHIPPED / voice / f"{slug(text)}.wav"
    if not path.exists():
        known = ", ".join(sorted(path.stem.replace("-", " ") for path in (SHIPPED / voice).glob("*.wav")))
        raise NoSound(f"there is no recording of {text!r}; the shipped lines are: {known}")
    return decode(path.read_bytes())


def file(path: Path) -> bytes:
    """A sound file of any kind that soundfile reads. Raises NoSound."""
    try:
        return decode(path.read_bytes())
    except OSError as problem:
        raise NoSound(f"{path} can't be read: {problem.strerror}") from None


@cache
def spoken(text: str, voice: Voice) -> bytes:
    """New words, if flite is installed. Raises NoSound."""
    if (flite := shutil.which("flite")) is None:
        raise NoSound(f"to speak {text!r}, which was not recorded, install flite (Debian: apt install flite)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        try:
            subprocess.run(
                [flite, "-voice", voice, "-t", text, "-o", str(path)],
                check=True,
                timeout=30,
                capture_output=True,
            )
        except (subprocess.SubprocessError, OSError) as problem:
            raise NoSound(f"flite could not speak {text!r}: {problem}") from None
        return decode(path.read_bytes(), peak=PEAK)


def decode(data: bytes, peak: float | None = None) -> bytes:
    """A sound file's content: any rate, encoding and number of channels. `peak` (of 1) sets its loudness.
    Raises NoSound."""
    try:
        import soundfile
        import soxr
    except ModuleNotFoundError as missing:
        raise NoSound(f"reading sound needs {missing.name}: pip install 'offhook[embedded]'") from None
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as problem:
        raise NoSound(f"it is not a sound file: {problem}") from None
    mono = samples.mean(axis=1)
    if rate != mulaw.RATE:
        mono = soxr.resample(mono, rate, mulaw.RATE)
    if peak is not None and len(mono) and (loudest := abs(mono).max()) > 0:
        mono = mono * (peak / loudest)
    if not len(mono):
        raise NoSound("it is empty")
    return mulaw.from_pcm((mono.clip(-1, 1) * 32767).astype("<i2").tobytes())
