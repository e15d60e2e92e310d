"""The paced brain and voice keep their pace to the millisecond, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

from adapters.paced_brain import PacedBrain
from adapters.paced_voice import PacedVoice
from domain import mulaw
from domain.ports import Prompt, Spoken, VoiceStyle, Words
from tests.fakes import virtual_time


def now_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1000)


def test_the_first_word_takes_its_time_and_the_others_follow_evenly() -> None:
    async def story() -> list[int]:
        thoughts = PacedBrain(first_ms=300, every_ms=20, words="one two three").think(Prompt("", ()))
        return [now_ms() async for thought in thoughts if isinstance(thought, Words)]

    assert virtual_time.run(story()) == [300, 320, 340]


def test_a_slow_listener_does_not_slow_the_brain() -> None:
    async def story() -> int:
        async for thought in PacedBrain(first_ms=300, every_ms=20, words="one two three").think(Prompt("", ())):
            if thought == Words("one"):
                await asyncio.sleep(0.030)
        return now_ms()

    assert virtual_time.run(story()) == 340


def test_the_standard_reply_has_a_short_first_sentence_and_some_twenty_words() -> None:
    async def story() -> str:
        thoughts = [thought async for thought in PacedBrain().think(Prompt("You help.", ()))]
        return "".join(word.text for word in thoughts if isinstance(word, Words))

    reply = virtual_time.run(story())
    assert len(reply.partition(".")[0].split()) == 4
    assert 18 <= len(reply.split()) <= 22


def test_each_sentence_is_ready_a_fixed_time_after_it_came_even_while_another_is_delayed() -> None:
    async def arriving() -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(0.030)
        yield "second"
        await asyncio.sleep(0.500)
        yield "third"

    async def story() -> list[tuple[str, int]]:
        pieces = PacedVoice(first_ms=100).speak(arriving(), VoiceStyle())
        return [(piece.text, now_ms()) async for piece in pieces if isinstance(piece, Spoken)]

    assert virtual_time.run(story()) == [("first", 100), ("second", 130), ("third", 630)]


def test_a_sentences_sound_comes_at_once_in_short_pieces() -> None:
    async def story() -> list[tuple[int, int]]:
        async def sentence() -> AsyncIterator[str]:
            yield "one two three"

        pieces = PacedVoice(first_ms=100, ms_per_word=300).speak(sentence(), VoiceStyle())
        return [(len(piece) // mulaw.BYTES_PER_MS, now_ms()) async for piece in pieces if isinstance(piece, bytes)]

    assert virtual_time.run(story()) == [(400, 100), (400, 100), (100, 100)]
