"""The stand-ins for Google's services that a measurement uses, against the clients that production uses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from adapters.gemini_brain import GeminiBrain
from adapters.google_speech import GoogleSpeech
from adapters.google_voice import GoogleVoice
from domain.mulaw import silence
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Prompt, Sound, Spoken, Usage, VoiceStyle, Words
from offhook.bench.google_services import serve
from schemas.remark import Remark
from schemas.settings import Paced
from schemas.variable import Expectation

PACED = Paced(
    caller_words="a table for two",
    reply_words="Certainly. Which day?",
    first_word_ms=1,
    word_ms=1,
    first_audio_ms=1,
    spoken_word_ms=275,
)


async def utterance() -> AsyncIterator[Sound]:
    for piece in (SPEECH_BEGINS, *[silence(100)] * 10, SPEECH_ENDS):
        yield piece
        await asyncio.sleep(0.01)


async def sentence() -> AsyncIterator[str]:
    yield "Which day suits you?"


def test_they_are_understood_by_the_real_clients() -> None:
    async def story() -> None:
        async with serve(PACED) as at:
            address = at.grpc.removeprefix("http://")
            async with (
                GoogleSpeech("bench", endpoint=address, insecure=True) as speech,
                GoogleVoice(address, insecure=True) as voice,
                GeminiBrain("bench", base_url=at.http) as brain,
            ):
                async with aclosing(speech.transcribe(utterance(), Expectation())) as heard:  # type: ignore[type-var]
                    *partial, final = [transcript async for transcript in heard]
                assert partial[0].text == "a"
                assert (final.text, final.final) == ("a table for two", True)
                pieces = [piece async for piece in voice.speak(sentence(), VoiceStyle())]
                sound = b"".join(piece for piece in pieces if isinstance(piece, bytes))
                assert len(sound) == 4 * 275 * 8
                assert pieces[-1] == Spoken("Which day suits you?")
                prompt = Prompt("You take bookings.", [Remark(role="caller", text="Hello")])
                thoughts = [thought async for thought in brain.think(prompt)]
                assert "".join(word.text for word in thoughts if isinstance(word, Words)) == "Certainly. Which day?"
                assert [spent for spent in thoughts if isinstance(spent, Usage)] == [Usage(prompt=200, reply=10)]

    asyncio.run(story())
