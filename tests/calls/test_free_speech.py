"""A laptop with a Gemini key and nothing else: callers may say it in their own words."""

import asyncio
import json
from pathlib import Path

from adapters.wiring import read_settings
from offhook.carrier import recordings
from offhook.carrier.handset import Handset
from tests.fakes.gemini_server import KEY, GeminiServer, Refusal, Step, Text
from tests.fakes.house import house


def heard(text: str) -> list[Step]:
    return [Text(json.dumps({"speech": True, "transcript": text}))]


async def asks_for_an_appointment(phone: Handset) -> None:
    """In recorded words of which the embedded recogniser would only understand the last."""
    for words in ("what is the weather like in paris", "my name is sarah", "yes please"):
        await phone.listen(300)
        await phone.say(recordings.line(words, "slt"), words)


def test_a_gemini_key_is_all_it_takes_and_the_embedded_recogniser_stands_by(tmp_path: Path) -> None:
    async def story() -> None:
        async with GeminiServer() as gemini:
            away: list[Step] = [Refusal(503, "UNAVAILABLE")]
            first = "oh it's my tooth could I perhaps come by on Friday"
            second = "let's say half past two then"
            gemini.will_hear(heard(first), heard(second), away, away)
            environment = {"OFFHOOK_HOME": str(tmp_path), "GEMINI_API_KEY": KEY, "OFFHOOK_GEMINI_ENDPOINT": gemini.url}
            chosen = read_settings(environment)
            ours = {"home", "port", "owner_key", "ticket_secret", "voice", "paced"}
            async with house(tmp_path, **chosen.model_dump(exclude=ours)) as here:
                call = await here.carrier.call("+15005550001", caller=asks_for_an_appointment)
                id = await here.records.find(call.sid)
                assert id is not None
                conversation = await here.records.ended(id)
        assert conversation.outcome == "booked"
        turns = conversation.turns[1:]
        assert [turn.caller for turn in turns[:2]] == [first, second]
        assert [turn.fell_back for turn in turns] == [(), (), ("speech: pocketsphinx instead of gemini",)]

    asyncio.run(story())
