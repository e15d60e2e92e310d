"""What only Google's recogniser has: streams that end, are full, or break; and a project that has to be set up.

The server hears exactly what it is sent, so a word that was lost, doubled or cut shows in the transcript."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from adapters.google_speech import GoogleSpeech
from domain.mulaw import BYTES_PER_MS, RATE, silence
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Sound, Transcript, Unavailable
from schemas.variable import Choice, Expectation, Variable
from tests.fakes.speech_server import WORD, Plan, SpeechServer, say

ANYTHING = Expectation()
PIECE = 100 * BYTES_PER_MS
TRANSIENT = (StatusCode.ABORTED, StatusCode.UNAVAILABLE, StatusCode.OUT_OF_RANGE)


class Answered:
    """In a script of sound: wait for the final transcript."""


ANSWERED = Answered()
Script = Sound | Answered | Callable[[], Awaitable[None]]
Story = Callable[[SpeechServer, GoogleSpeech], Awaitable[None]]


def tell(story: Story, server: SpeechServer | None = None, **settings: Any) -> None:
    """Runs it against a server, and sees that nothing is left behind."""

    async def whole() -> None:
        async with (
            server or SpeechServer() as listening,
            GoogleSpeech("offhook", endpoint=listening.endpoint, insecure=True, **settings) as speech,
        ):
            async with asyncio.timeout(30):
                await story(listening, speech)
                await nothing_left(listening)

    asyncio.run(whole())


async def nothing_left(server: SpeechServer) -> None:
    async with asyncio.timeout(5):
        for stream in server.streams:
            await stream.over.wait()
        while [task for task in asyncio.all_tasks() if "adapters" in repr(task)]:
            await asyncio.sleep(0.001)


async def opened(server: SpeechServer, count: int) -> None:
    """So many streams have been opened."""
    while len(server.streams) < count:
        await asyncio.sleep(0.001)


async def transcribe(
    speech: GoogleSpeech, *script: Script, expectation: Expectation = ANYTHING
) -> AsyncIterator[Transcript]:
    answered = asyncio.Event()

    async def sound() -> AsyncIterator[Sound]:
        for item in script:
            if isinstance(item, Answered):
                await answered.wait()
                answered.clear()
            elif isinstance(item, bytes):
                for piece in pieces(item):
                    yield piece
                    await asyncio.sleep(0)
            elif callable(item):
                await item()
            else:
                yield item

    async with aclosing(speech.transcribe(sound(), expectation)) as transcripts:  # type: ignore[type-var]
        async for transcript in transcripts:
            if transcript.final:
                answered.set()
            yield transcript


async def finals(speech: GoogleSpeech, *script: Script, expectation: Expectation = ANYTHING) -> list[str]:
    return [heard.text async for heard in transcribe(speech, *script, expectation=expectation) if heard.final]


async def follow(speech: GoogleSpeech, sound: bytes) -> str:
    """What is heard of sound that comes no faster than it is understood: every so often, the next word is waited for."""
    heard = ""

    async def script() -> AsyncIterator[Sound]:
        yield SPEECH_BEGINS
        for count, part in enumerate(re.split(rb"(?<=\x03)", sound)):
            for piece in pieces(part):
                yield piece
            if count % 4 == 0 and (word := re.search(rb"\x02([!-~]+)", part)):
                while f" {word[1].decode()} " not in f" {heard} ":
                    await asyncio.sleep(0)
        yield SPEECH_ENDS

    async with aclosing(speech.transcribe(script(), ANYTHING)) as transcripts:  # type: ignore[type-var]
        async for transcript in transcripts:
            heard = transcript.text
    return heard


def pieces(sound: bytes, size: int = PIECE) -> Iterator[bytes]:
    return (sound[at : at + size] for at in range(0, len(sound), size))


def spoken(text: str) -> list[Script]:
    """As the ear passes it on: the VAD is sure only when the first word is over."""
    sound = say(text)
    return [silence(300), sound[:WORD], SPEECH_BEGINS, sound[WORD:] + silence(160), SPEECH_ENDS, ANSWERED]


def words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


def speech_with_pauses(text: str, each: int) -> bytes:
    """With a pause long enough for Google, but not for the VAD, after so many words."""
    said = text.split()
    return b"".join(say(" ".join(said[at : at + each])) + silence(700) for at in range(0, len(said), each))


# --- what is heard ---


def test_words_come_as_they_are_spoken_and_once_more_when_they_are_final() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        async def heard(count: int) -> None:
            while len(texts) < count:
                await asyncio.sleep(0.001)

        texts: list[Transcript] = []
        script: list[Script] = [SPEECH_BEGINS]
        for count, word in enumerate(["half", "past", "two"], 1):
            script += [say(word), lambda count=count: heard(count)]
        async for transcript in transcribe(speech, *script, SPEECH_ENDS):
            texts.append(transcript)
        assert [each.text for each in texts] == ["half", "half past", "half past two", "half past two"]
        assert [each.final for each in texts] == [False, False, False, True]

    tell(story)


def test_what_was_said_before_the_vad_was_sure_is_heard() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await finals(speech, *spoken("yes please")) == ["yes please"]

    tell(story)


def test_nobody_s_speech_is_neither_sent_nor_paid_for() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await finals(speech, silence(60_000), *spoken("yes"), silence(60_000)) == ["yes"]
        assert server.sound_s < 1.5

    tell(story)


def test_a_sound_that_is_no_word_has_an_empty_transcript() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        server.will(Plan(hears_nothing=True))
        assert await finals(speech, *spoken("hm")) == [""]

    tell(story)


def test_who_is_asked_to_listen_amidst_speech_still_answers() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await finals(speech, say("yes"), SPEECH_ENDS) == ["yes"]

    tell(story)


def test_pieces_of_any_size_become_requests_of_a_tenth_of_a_second() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        sound = say(words(20))
        for size in (1, 160, 800, 8000, len(sound)):
            server.streams.clear()
            assert await finals(speech, SPEECH_BEGINS, *pieces(sound, size), SPEECH_ENDS) == [words(20)]
            [stream] = server.streams
            assert stream.requests - 1 <= len(sound) / PIECE
            assert stream.largest <= 15_000

    tell(story)


# --- a caller who pauses, and turns ---


def test_a_caller_who_goes_on_after_a_pause_is_heard_again_from_the_start() -> None:
    """So that Google can make one number of two halves."""

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        texts = await finals(speech, *spoken("five five five"), *spoken("one two"), *spoken("three four"))
        assert texts == ["five five five", "five five five one two", "five five five one two three four"]
        assert all(bytes(stream.sound).count(b"five") == 3 for stream in server.streams)

    tell(story)


def test_a_long_turn_is_not_sent_again() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        first, second = words(40), "and that is all"
        assert await finals(speech, *spoken(first), *spoken(second)) == [first, f"{first} {second}"]
        assert b"w0" not in server.streams[1].sound

    tell(story)


def test_who_resumes_before_the_answer_came_gets_one_for_both() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        async def heard() -> None:
            while not (server.streams and server.streams[0].sound):
                await asyncio.sleep(0.001)

        server.will(Plan(hangs_after=1))
        first = [SPEECH_BEGINS, say("on friday"), SPEECH_ENDS, heard]
        assert await finals(speech, *first, *spoken("at noon")) == ["on friday at noon"]

    tell(story)


def test_partial_transcripts_never_fall_back_behind_what_was_heard() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        script = [*spoken("on friday the fifth"), *spoken("at noon")]
        texts = [each.text async for each in transcribe(speech, *script)]
        after = texts[texts.index("on friday the fifth") :]
        assert all(text.startswith("on friday the fifth") for text in after)

    tell(story)


def test_a_new_turn_begins_with_nothing() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await finals(speech, *spoken("my order"), ANYTHING, *spoken("goodbye")) == ["my order", "goodbye"]
        assert b"order" not in server.streams[1].sound
        at_once = [SPEECH_BEGINS, say("thanks"), SPEECH_ENDS, ANSWERED]
        assert await finals(speech, *spoken("my order"), ANYTHING, *at_once) == ["my order", "thanks"]

    tell(story)


def test_a_new_turn_amidst_speech_begins_with_that_speech() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        amidst = [silence(300), say("no"), SPEECH_BEGINS, say("wait"), ANYTHING, say("a moment"), SPEECH_ENDS, ANSWERED]
        assert await finals(speech, *spoken("my order"), *amidst) == ["my order", "no wait a moment"]

    tell(story)


def test_words_without_spaces_are_joined_without() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        sound = say("ichi") + silence(700) + say("ni")
        heard = await finals(speech, SPEECH_BEGINS, sound, SPEECH_ENDS, expectation=Expectation(language="ja-JP"))
        assert heard == ["ichini"]

    tell(story)


# --- no word lost or doubled ---


@pytest.mark.parametrize("code", TRANSIENT, ids=lambda code: code.name)
def test_a_stream_that_breaks_anywhere_is_replaced(code: StatusCode) -> None:
    """By one that hears again what Google hadn't made final."""
    short, long = words(8), words(36)

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        for text, each, step in ((short, 8, 400), (long, 5, 2700)):
            sound = speech_with_pauses(text, each)
            for after in [-1, *range(0, len(sound), step)]:
                server.will(Plan(fails=(code, "Max duration of 5 minutes reached for stream"), after=after))
                assert await finals(speech, SPEECH_BEGINS, sound, SPEECH_ENDS) == [text], after

    tell(story)


def test_a_stream_that_ends_before_the_speech_is_replaced() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        sound = say(words(8))
        for at in range(PIECE, len(sound), PIECE):
            server.streams.clear()
            server.will(Plan(ends_early_at=at))
            script = [SPEECH_BEGINS, sound[:at], lambda: opened(server, 2), sound[at:], SPEECH_ENDS]
            assert await finals(speech, *script) == [words(8)], at

    tell(story)


def test_two_streams_in_a_row_may_break() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        server.will(Plan(fails=(StatusCode.UNAVAILABLE, "x"), after=2000), Plan(fails=(StatusCode.ABORTED, "y")))
        assert await finals(speech, *spoken("half past two")) == ["half past two"]

    tell(story)


def test_a_connection_that_breaks_is_replaced() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        async def breaks() -> None:
            await server.stop()
            await server.start()

        script = [SPEECH_BEGINS, say(words(4)), breaks, say("and so on"), SPEECH_ENDS]
        assert await finals(speech, *script) == [f"{words(4)} and so on"]

    tell(story)


@pytest.mark.parametrize("segment_s", [30, 8.5, 3])
@pytest.mark.parametrize("each", [1, 3, 7, 40])
def test_speech_longer_than_google_s_limit_moves_to_another_stream_before(each: int, segment_s: float) -> None:
    """At a pause if there is one in time; else in the middle of it. No stream reaches the limit."""
    text = words(150)

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await follow(speech, speech_with_pauses(text, each)) == text
        assert len(server.streams) > 2
        assert not any(len(stream.sound) > 20 * RATE for stream in server.streams)

    tell(story, SpeechServer(limit_s=20, segment_s=segment_s), rotate_s=12, longest_s=16)


def test_a_caller_who_never_pauses_loses_no_word_either() -> None:
    """Google makes nothing final: the stream is ended for that."""

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await finals(speech, SPEECH_BEGINS, say(words(150)), SPEECH_ENDS) == [words(150)]
        assert len(server.streams) == 2

    tell(story, rotate_s=12, longest_s=16)


def test_six_minutes_of_speech_take_two_streams() -> None:
    text = words(1400)

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await follow(speech, speech_with_pauses(text, 10)) == text
        first, _ = server.streams
        assert 240 < len(first.sound) / RATE < 250

    tell(story)


def test_slow_and_uneven_answers_are_answers() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        server.will(*[Plan(latency_s=0.005, jitter_s=0.02)] * 10)
        script = [*spoken("on friday"), *spoken("at noon"), ANYTHING, *spoken("yes")]
        assert await finals(speech, *script) == ["on friday", "on friday at noon", "yes"]

    tell(story)


# --- what Google is told ---

ITEM = Variable(name="item", kind="choice", choices=(Choice(value="desk lamp", says=("lamp", "US$ lamp")),))
CALLER = Variable(name="caller", kind="name", choices=(Choice(value="Ms Zyxwv"),))


def test_google_knows_what_is_asked_and_what_is_welcome() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        asked = Expectation(
            asked=(ITEM, Variable(name="day", kind="date")),
            welcome=(CALLER, Variable(name="number", kind="digits"), ITEM, Variable(name="ok", kind="yes_no")),
        )
        await finals(speech, *spoken("yes"), asked, *spoken("lamp"))
        first, second = server.streams
        assert first.phrases == {}
        assert second.phrases == {
            "desk lamp": 10,
            "lamp": 10,
            "US lamp": 10,
            "$MONTH $DAY": 10,
            "$MONTH": 10,
            "$DAY": 10,
            "Ms Zyxwv": 5,
            "$OOV_CLASS_DIGIT_SEQUENCE": 5,
        }
        features = second.config.streaming_features
        assert features.interim_results
        assert features.enable_voice_activity_events

    tell(story)


def test_the_newer_models_are_told_plain_words() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        await finals(speech, *spoken("yes"), expectation=Expectation(asked=(CALLER, Variable(name="at", kind="time"))))
        assert server.streams[0].phrases == {"Ms Zyxwv": 0}

    tell(story, model="chirp_2")


def test_a_list_that_is_too_long_for_google_is_cut() -> None:
    choices = tuple(Choice(value=f"choice {number}") for number in range(3000))
    asked = Expectation(asked=(Variable(name="x", kind="choice", choices=(Choice(value="y" * 101), *choices)),))

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        await finals(speech, *spoken("yes"), expectation=asked)
        assert len(server.streams[0].phrases) == 1000

    tell(story)


def test_the_language_may_change_with_the_turn() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        german = Expectation(language="de-DE")
        assert await finals(speech, *spoken("deutsch bitte"), german, *spoken("guten tag")) == [
            "deutsch bitte",
            "guten tag",
        ]
        assert [stream.language for stream in server.streams] == ["en-US", "de-DE"]

    tell(story)


# --- many ---


def test_250_callers_speak_at_once_over_three_connections() -> None:
    """Each is heard, and nobody else's words. A connection takes no more than 100."""

    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        async def all_speak() -> None:
            async with asyncio.timeout(20):
                while server.most_open < 250:
                    await asyncio.sleep(0.01)

        async def caller(number: int) -> list[str]:
            text = f"i am caller {number}"
            return await finals(speech, SPEECH_BEGINS, say(text), all_speak, SPEECH_ENDS)

        heard = await asyncio.gather(*map(caller, range(250)))
        assert heard == [[f"i am caller {number}"] for number in range(250)]
        assert len(server.connections) == 3

    tell(story, answer_s=20)


# --- stopping ---


def test_cancelling_cancels_the_stream_at_once() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        for steps in range(40):  # wherever it is by then
            listening = asyncio.create_task(finals(speech, SPEECH_BEGINS, say(words(20)), asyncio.Event().wait))
            for _ in range(steps):
                await asyncio.sleep(0)
            listening.cancel()
            await asyncio.wait([listening])
            assert listening.cancelled()
            await nothing_left(server)
        assert any(stream.cancelled for stream in server.streams)
        assert server.open == 0

    tell(story)


def test_cancelling_doesn_t_wait_for_a_connection() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            endpoint = f"127.0.0.1:{deaf.getsockname()[1]}"
            async with GoogleSpeech("offhook", endpoint=endpoint, insecure=True) as speech:
                listening = asyncio.create_task(finals(speech, *spoken("hello")))
                await asyncio.sleep(0.05)
                listening.cancel()
                await asyncio.wait([listening], timeout=5)
                assert listening.cancelled()
                async with asyncio.timeout(5):
                    while asyncio.all_tasks() != {asyncio.current_task()}:
                        await asyncio.sleep(0.001)

    asyncio.run(story())


def test_leaving_ends_what_is_being_recognised() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        listening = asyncio.create_task(finals(speech, SPEECH_BEGINS, say("hello"), asyncio.Event().wait))
        while not server.open:
            await asyncio.sleep(0.001)
        await speech.__aexit__()
        with pytest.raises(Unavailable, match="was closed"):
            await asyncio.wait_for(listening, 5)

    tell(story)


def test_what_the_sound_raises_is_raised() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        async def breaks() -> None:
            raise LookupError("the line is gone")

        with pytest.raises(LookupError, match="the line is gone"):
            await finals(speech, SPEECH_BEGINS, say("hello"), breaks)

    tell(story)


# --- what goes wrong ---


def test_a_service_that_hangs_is_unavailable() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        for at in (0, 1600):
            server.will(Plan(hangs_after=at))
            with pytest.raises(Unavailable, match=r"no final transcript within 0\.1 s"):
                await finals(speech, *spoken("hello there"))

    tell(story, answer_s=0.1)


def test_a_service_that_keeps_failing_is_unavailable() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        server.will(*[Plan(fails=(StatusCode.UNAVAILABLE, "Try again"))] * 10)
        with pytest.raises(Unavailable, match="Speech-to-Text could not be reached"):
            await finals(speech, *spoken("hello there"))
        assert len(server.streams) == 4
        server.streams.clear()
        server.will(*[Plan(ends_early_at=800)] * 10)
        with pytest.raises(Unavailable, match="ended its streams before the speech did"):
            await finals(speech, SPEECH_BEGINS, say("on"), asyncio.Event().wait)

    tell(story)


def test_a_service_that_isn_t_there_is_unavailable() -> None:
    async def story() -> None:
        async with GoogleSpeech("offhook", endpoint="127.0.0.1:1", insecure=True) as speech:
            with pytest.raises(Unavailable, match="Speech-to-Text could not be reached"):
                await speech.check()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (
            Plan(fails=(StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials."), after=0),
            "did not accept the credentials: check the service account",
        ),
        (
            Plan(fails=(StatusCode.UNAVAILABLE, "Getting metadata from plugin failed with error: expired")),
            "no token could be had: check the service account",
        ),
        (
            Plan(fails=(StatusCode.PERMISSION_DENIED, "not used before"), reason="SERVICE_DISABLED", after=0),
            "is not enabled in the Google Cloud project: run `gcloud services enable speech.googleapis.com`",
        ),
        (
            Plan(fails=(StatusCode.PERMISSION_DENIED, "Permission denied on resource"), after=0),
            "refused permission: grant `roles/speech.client` to the account that Offhook runs as",
        ),
        (
            Plan(fails=(StatusCode.NOT_FOUND, "Unable to find it"), after=0),
            "refused model telephony for en-US in global of project offhook: choose",
        ),
        (
            Plan(fails=(StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded\nfor x"), after=800),
            "has no quota left",
        ),
        (Plan(fails=(StatusCode.DATA_LOSS, "odd"), after=0), "Speech-to-Text failed (DATA_LOSS)"),
    ],
    ids=lambda value: value.fails[0].name if isinstance(value, Plan) else None,
)
def test_what_is_wrong_is_said_in_a_sentence(plan: Plan, says: str) -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        server.will(*[plan] * 4)
        with pytest.raises(Unavailable) as problem:
            await speech.check()
        assert says in str(problem.value)
        assert "\n" not in str(problem.value)

    tell(story)


def test_check_tells_whether_model_language_and_location_go_together() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        await speech.check()
        await speech.check("de-DE")
        assert server.sound_s < 1
        with pytest.raises(Unavailable, match=r"refused model telephony for tlh in global .*\"tlh\" is not supported"):
            await speech.check("tlh")

    tell(story)
    for wrong, named in ({"model": "telepathy"}, "telepathy"), ({"location": "mars"}, "in mars"):

        async def refused(server: SpeechServer, speech: GoogleSpeech, named: str = named) -> None:
            with pytest.raises(Unavailable, match=named):
                await speech.check()

        tell(refused, **wrong)


def test_who_has_no_credentials_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    async def story() -> None:
        with pytest.raises(Unavailable, match="there are no Google credentials: run `gcloud auth application-default"):
            async with GoogleSpeech("offhook"):
                pass

    asyncio.run(story())


def test_a_location_has_its_own_endpoint() -> None:
    assert GoogleSpeech("offhook").endpoint == "speech.googleapis.com:443"
    assert GoogleSpeech("offhook", "eu").endpoint == "eu-speech.googleapis.com:443"


# --- the server itself ---


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda requests: requests[1:], "the first request must hold the configuration"),
        (lambda requests: [requests[0], requests[0]], "only the first request may hold a configuration"),
    ],
)
def test_the_server_refuses_what_google_would(spoil: Any, says: str) -> None:
    from google.cloud.speech_v2 import SpeechAsyncClient
    from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
    from google.cloud.speech_v2.types import StreamingRecognizeRequest

    from adapters.google_speech import opening

    async def story() -> None:
        async with SpeechServer() as server, grpc.aio.insecure_channel(server.endpoint) as channel:
            client = SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel))

            async def requests() -> AsyncIterator[Any]:
                good = [opening("offhook", "global", "telephony", ANYTHING), StreamingRecognizeRequest(audio=say("x"))]
                for request in spoil(good):
                    yield request

            with pytest.raises(Exception, match=says):
                async for _ in await client.streaming_recognize(requests()):
                    pass

    asyncio.run(story())


def test_the_server_refuses_sound_that_comes_faster_than_anybody_speaks() -> None:
    async def story(server: SpeechServer, speech: GoogleSpeech) -> None:
        assert await finals(speech, *spoken(words(20))) == [words(20)]
        with pytest.raises(Unavailable, match="OUT_OF_RANGE"):
            await finals(speech, *spoken(words(200)))

    tell(story, SpeechServer(most_ahead_s=20))


def test_the_server_hears_what_was_cut() -> None:
    from tests.fakes.speech_server import hear

    sound = say("one two three")
    for cut in range(1, len(sound)):
        if cut % WORD:
            heard = [word.word for part in (sound[:cut], sound[cut:]) for word in hear(part)[0]]
            assert heard != ["one", "two", "three"]
    assert [word.word for word in hear(sound + sound)[0]] == ["one", "two", "three"] * 2


@pytest.mark.parametrize(
    "grpc_says",
    [
        "errors resolving mars-speech.googleapis.com:443: [address lookup failed: Domain name not found]",
        "DNS resolution failed for mars-speech.googleapis.com:443: C-ares status is not ARES_SUCCESS",
    ],
)
def test_a_location_that_there_is_not_is_told(grpc_says: str) -> None:
    unreachable = grpc.aio.AioRpcError(StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), grpc_says)
    said = str(GoogleSpeech("offhook", location="mars").explain(unreachable, "en-US"))
    assert said.endswith("nobody knows mars-speech.googleapis.com:443; correct OFFHOOK_SPEECH_LOCATION")
    anywhere = str(GoogleSpeech("offhook").explain(unreachable, "en-US"))
    assert anywhere == "Speech-to-Text could not be reached"
