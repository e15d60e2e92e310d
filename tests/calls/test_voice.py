"""The booking call by voice: recorded callers, the embedded recogniser, the whole platform."""

import asyncio
from pathlib import Path

from offhook.call import run
from offhook.carrier.report import Report
from offhook.carrier.script import load
from tests.fakes.house import house

VOICES = ("slt", "rms", "awb", "kal16")


def call(home: Path, script: str, noise: int) -> list[Report]:
    """Every recorded voice calls at once."""

    async def whole() -> list[Report]:
        async with house(home, speech="pocketsphinx") as here:
            story = load(script)
            calls = [run(story, here.url, owner_key="owner", voice=voice, noise=noise) for voice in VOICES]  # type: ignore[arg-type]
            return await asyncio.gather(*calls)

    return asyncio.run(whole())


def test_four_voices_book_at_once(tmp_path: Path) -> None:
    for report in call(tmp_path, "demo-booking", noise=1):
        assert report.differences == [], report.transcript()


def test_four_voices_correct_a_wrong_date(tmp_path: Path) -> None:
    for report in call(tmp_path, "demo-correct", noise=2):
        assert report.differences == [], report.transcript()
