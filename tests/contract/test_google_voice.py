"""Google's voice: what is its own beside what every voice does, told over a server that speaks Google's protocol."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from adapters.google_voice import HOST, GoogleVoice, split, unwrapped
from domain.ports import Spoken, Unavailable, VoiceStyle
from tests.fakes.voice_server import Answer, CutShort, Disconnect, Hang, Refusal, VoiceServer, heard, spelled, wrapped

GREETING = "Hello, this is the booking line."
QUESTION = "Which day would suit you best?"
FAREWELL = "Goodbye!"
KORE = VoiceStyle(voice="en-US-Chirp3-HD-Kore")
NEURAL = VoiceStyle(voice="en-US-Neural2-C")
both_ways = pytest.mark.parametrize("style", [KORE, NEURAL], ids=["streamed", "plain"])

Story = Callable[[VoiceServer, GoogleVoice], Awaitable[None]]


def tell(story: Story, server: VoiceServer | None = None, **settings: Any) -> None:
    async def told() -> None:
        async with server or VoiceServer() as next_door:
            async with GoogleVoice(next_door.endpoint, insecure=True, **settings) as voice:
                await story(next_door, voice)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in others if "_synthesise" in repr(task) or "take_in" in repr(task)]

    asyncio.run(told())


async def sentences(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


class Listener:
    """Keeps what it hears, also of a speech that breaks off."""

    def __init__(self) -> None:
        self.sound = bytearray()
        self.spoken: list[str] = []
        self.began = asyncio.Event()

    async def listen(self, voice: GoogleVoice, *texts: str, style: VoiceStyle = KORE) -> str:
        return await self.listen_to(voice, sentences(*texts), style)

    async def listen_to(self, voice: GoogleVoice, texts: AsyncIterator[str], style: VoiceStyle = KORE) -> str:
        async with aclosing(voice.speak(texts, style)) as speech:  # type: ignore[type-var]
            async for piece in speech:
                if isinstance(piece, Spoken):
                    assert heard(bytes(self.sound)).endswith(piece.text)
                    self.spoken.append(piece.text)
                else:
                    self.sound += piece
                    self.began.set()
        return self.heard

    @property
    def heard(self) -> str:
        return heard(bytes(self.sound))


# --- What Google is asked ------------------------------------------------------------------------------------------


def test_it_asks_for_the_phone_s_own_sound() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        await Listener().listen(voice, GREETING)
        audio = server.configs[0].streaming_audio_config
        assert (audio.audio_encoding.name, audio.sample_rate_hertz, audio.speaking_rate) == ("MULAW", 8000, 0.0)
        await Listener().listen(voice, GREETING, style=VoiceStyle(voice=KORE.voice, speed=1.25))
        assert server.configs[1].streaming_audio_config.speaking_rate == 1.25

    tell(story)


@pytest.mark.parametrize(
    ("style", "voice_used", "language_asked"),
    [
        (VoiceStyle(voice="de-DE-Chirp3-HD-Puck"), "de-DE-Chirp3-HD-Puck", "de-DE"),
        (VoiceStyle(language="de-DE"), "de-DE-Chirp3-HD-Kore", "de-DE"),
        (VoiceStyle(language="en-gb"), "en-GB-Chirp3-HD-Kore", "en-GB"),
        (VoiceStyle(language="zh-CN"), "cmn-CN-Chirp3-HD-Kore", "cmn-CN"),
    ],
)
def test_a_voice_and_its_language_agree(style: VoiceStyle, voice_used: str, language_asked: str) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        assert await Listener().listen(voice, GREETING, style=style) == GREETING
        assert (server.configs[0].voice.name, server.configs[0].voice.language_code) == (voice_used, language_asked)

    tell(story)


def test_a_language_without_a_streaming_voice_is_spoken_plainly() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        icelandic = VoiceStyle(language="is-IS")
        assert await Listener().listen(voice, GREETING, QUESTION, style=icelandic) == GREETING + QUESTION
        await Listener().listen(voice, FAREWELL, style=icelandic)
        assert [request.voice.language_code for request in server.plain] == ["is-IS"] * 3
        assert len(server.sessions) <= 2, "it was asked to stream again"

    tell(story)


def test_a_voice_that_refuses_to_stream_is_spoken_plainly() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=0, fault=Refusal(StatusCode.INVALID_ARGUMENT, "Streaming is not supported.")))
        assert await Listener().listen(voice, GREETING) == GREETING
        assert await Listener().listen(voice, QUESTION) == QUESTION
        assert (len(server.sessions), len(server.plain)) == (1, 2)

    tell(story)


@pytest.mark.parametrize("name", ["en-US-Chirp3-HD-Nobody", "en-US-Neural2-X", "Kore", "../../x"])
def test_a_voice_that_does_not_exist_is_named(name: str) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        with pytest.raises(Unavailable) as refusal:
            await Listener().listen(voice, GREETING, style=VoiceStyle(voice=name))
        assert name in str(refusal.value)

    tell(story)


def test_a_language_that_it_does_not_speak_is_named() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        with pytest.raises(Unavailable, match="tlh-KX"):
            await Listener().listen(voice, GREETING, style=VoiceStyle(language="tlh-KX"))

    tell(story)


@both_ways
def test_a_long_text_is_asked_for_in_parts_and_heard_whole(style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        text = " ".join(f"This is sentence number {n}, and it is one of many." for n in range(150))
        assert len(text) > 5000
        listener = Listener()
        async for piece in voice.speak(sentences(text), style):
            if isinstance(piece, bytes):
                listener.sound += piece
        assert listener.heard.replace(" ", "") == text.replace(" ", "")

    tell(story)


@both_ways
@pytest.mark.parametrize("text", ["", " ", "…", "\x00", "\n\t", "\ud800"])
def test_what_cannot_be_pronounced_is_passed_over(text: str, style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        assert [piece async for piece in voice.speak(sentences(text), style)] == [Spoken(text)]
        assert not server.sessions
        assert not server.plain

    tell(story)


@both_ways
def test_no_text_upsets_the_protocol(style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        for text in ["😀 Zażółć, naïve; 東京 — done.", "one <break time='20s'/> two", "a" * 1500]:
            pieces = [piece async for piece in voice.speak(sentences(text), style)]
            assert heard(b"".join(piece for piece in pieces if isinstance(piece, bytes))) == text
        pieces = [piece async for piece in voice.speak(sentences("lone \ud800 and\x00NUL"), style)]
        assert heard(b"".join(piece for piece in pieces if isinstance(piece, bytes))) == "lone   and NUL"

    tell(story)


@given(st.text(), st.integers(8, 60))
def test_a_text_s_parts_are_short_and_hold_all_of_it(text: str, most: int) -> None:
    parts = list(split(text, most))
    assert all(0 < len(part.encode()) <= most for part in parts)
    if any(c.isalnum() for c in text):
        kept = "".join(parts).split()
        plain = "".join(c if c.isprintable() else " " for c in text).split()
        assert [c for c in "".join(kept) if c.isprintable()] == [c for c in "".join(plain) if c.isprintable()]
    else:
        assert parts == []


def test_a_text_is_parted_at_the_best_place() -> None:
    assert list(split("One two. Three four! Five", 22)) == ["One two. Three four!", "Five"]
    assert list(split("One two, three four five", 22)) == ["One two,", "three four five"]
    assert list(split("One two three four five", 22)) == ["One two three four", "five"]
    assert list(split("東京です。大阪です。", 20)) == ["東京です。", "大阪です。"]


# --- How its sound comes -------------------------------------------------------------------------------------------


def test_sound_is_heard_while_more_of_it_is_made() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=1, fault=Hang()))
        listener = Listener()
        listening = asyncio.create_task(listener.listen(voice, GREETING))
        async with asyncio.timeout(10):
            await listener.began.wait()
        assert GREETING.startswith(listener.heard)
        listening.cancel()
        await asyncio.wait([listening])

    tell(story)


def test_the_next_sentence_is_made_while_the_first_is_heard_and_no_more() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        async with aclosing(voice.speak(sentences(*[QUESTION] * 5), KORE)) as speech:  # type: ignore[type-var]
            await anext(speech)
            async with asyncio.timeout(10):
                while len(server.sessions) < 2:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
            assert len(server.sessions) == 2
            spoken = [piece async for piece in speech if isinstance(piece, Spoken)]
        assert len(spoken) == len(server.sessions) == 5
        assert server.most_open <= 2

    tell(story)


def test_nothing_is_open_while_the_next_sentence_is_thought_of() -> None:
    """A session without text for too long is aborted."""

    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        async def hesitating() -> AsyncIterator[str]:
            yield GREETING
            await asyncio.sleep(0.2)
            assert server.open_sessions == 0
            yield QUESTION

        assert await Listener().listen_to(voice, hesitating()) == GREETING + QUESTION

    tell(story, VoiceServer(idle_s=0.1))


@pytest.mark.parametrize("pcm", [False, True])
def test_sound_is_taken_out_of_its_file(pcm: bool) -> None:
    file = wrapped(spelled(GREETING), pcm=pcm)
    assert unwrapped(file) == spelled(GREETING)
    assert heard(unwrapped(file[:-4800])) == GREETING[: -5 if pcm else -10]
    assert unwrapped(file[:20]) == b""


@pytest.mark.parametrize("file", [wrapped(b"\xff" * 99, pcm=True, rate=24000), wrapped(b"\xff" * 99, rate=16000)])
def test_sound_of_another_kind_is_not_played(file: bytes) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        for style in (KORE, NEURAL):
            server.will_answer(Answer(sound=file))
            with pytest.raises(Unavailable, match="another kind"):
                await Listener().listen(voice, GREETING, style=style)

    tell(story)


# --- Trouble -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Disconnect(), Refusal(StatusCode.UNAVAILABLE), Refusal(StatusCode.ABORTED)])
def test_a_session_that_breaks_before_its_sound_is_opened_again(fault: Refusal | Disconnect) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=0, fault=fault))
        assert await Listener().listen(voice, GREETING) == GREETING
        assert [session.text for session in server.sessions] == [GREETING, GREETING]

    tell(story)


def test_a_session_that_fails_for_no_known_reason_is_spoken_plainly() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=0, fault=Refusal(StatusCode.INTERNAL)))
        assert await Listener().listen(voice, GREETING) == GREETING
        assert await Listener().listen(voice, QUESTION) == QUESTION
        assert [session.text for session in server.sessions] == [GREETING, QUESTION]
        assert len(server.plain) == 1

    tell(story)


def test_a_connection_that_died_unused_is_not_noticed() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        await Listener().listen(voice, GREETING)
        await server.disconnect()
        assert await Listener().listen(voice, QUESTION) == QUESTION

    tell(story)


@pytest.mark.parametrize("fault", [Disconnect(), Refusal(StatusCode.UNAVAILABLE), Refusal(StatusCode.INVALID_ARGUMENT)])
def test_a_sentence_that_breaks_off_is_not_begun_again(fault: Refusal | Disconnect) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(), Answer(pieces=2, piece_s=0.02, fault=fault))
        listener = Listener()

        async def reply() -> AsyncIterator[str]:
            yield GREETING
            while not listener.spoken:
                await asyncio.sleep(0.005)
            yield QUESTION

        with pytest.raises(Unavailable):
            await listener.listen_to(voice, reply())
        assert listener.spoken == [GREETING]
        assert listener.heard.startswith(GREETING)
        assert QUESTION.startswith(listener.heard.removeprefix(GREETING))
        assert [session.text for session in server.sessions].count(QUESTION) == 1

    tell(story)


@pytest.mark.parametrize(("pieces", "what"), [(0, "any sound"), (2, "more sound")])
def test_a_hang_has_an_end(pieces: int, what: str) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=pieces, fault=Hang()))
        with pytest.raises(Unavailable, match=f"too long to send {what}"):
            await Listener().listen(voice, GREETING)
        async with asyncio.timeout(10):
            while not server.sessions[0].cancelled:
                await asyncio.sleep(0.005)

    tell(story, first_sound_s=0.1, next_sound_s=0.1)


def test_a_hang_of_a_plain_voice_has_an_end() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=0, fault=Hang()))
        with pytest.raises(Unavailable, match="too long"):
            await Listener().listen(voice, GREETING, style=NEURAL)

    tell(story, first_sound_s=0.1)


def test_sound_that_drips_is_heard_to_its_end() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(first_s=0.05, piece_s=0.05))
        assert await Listener().listen(voice, GREETING) == GREETING  # ten pieces

    tell(story, first_sound_s=0.3, next_sound_s=0.3)


@both_ways
def test_silence_is_never_an_answer(style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=0, fault=CutShort()))
        with pytest.raises(Unavailable, match="no sound"):
            await Listener().listen(voice, GREETING, style=style)

    tell(story)


@both_ways
def test_noise_is_passed_on_as_it_is(style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(sound=bytes(range(256)) * 10))
        pieces = [piece async for piece in voice.speak(sentences(GREETING), style)]
        assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == bytes(range(256)) * 10

    tell(story)


PLUGIN = "Getting metadata from plugin failed with error: ('invalid_grant: Invalid JWT Signature.')"


@both_ways
@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(StatusCode.UNAUTHENTICATED), "did not accept the credentials"),
        (Refusal(StatusCode.UNAVAILABLE, PLUGIN), "no token could be had"),
        (Refusal(StatusCode.PERMISSION_DENIED, reason="SERVICE_DISABLED"), f"gcloud services enable {HOST}"),
        (Refusal(StatusCode.PERMISSION_DENIED, reason="IAM_PERMISSION_DENIED"), r"\(IAM_PERMISSION_DENIED\): grant"),
        (Refusal(StatusCode.PERMISSION_DENIED, reason="BILLING_DISABLED"), "needs billing"),
        (
            Refusal(StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMIT_EXCEEDED", metadata=(("quota_limit", "Chirp3"),)),
            r"no quota left \(Chirp3\): ask for more",
        ),
        (Refusal(StatusCode.UNAVAILABLE), "could not be reached"),
        (Refusal(StatusCode.DEADLINE_EXCEEDED), "took too long"),
        (Refusal(StatusCode.UNKNOWN), r"failed \(UNKNOWN\)"),
    ],
)
def test_trouble_is_told_in_a_sentence_with_its_fix(refusal: Refusal, words: str, style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        answer = Answer(pieces=0, fault=refusal)
        server.will_answer(answer, answer, answer)
        with pytest.raises(Unavailable, match=words):
            await Listener().listen(voice, GREETING, style=style)
        server.will_answer(answer)
        with pytest.raises(Unavailable, match=words):
            await voice.check()

    tell(story)


def test_what_google_says_of_a_text_is_not_repeated() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        for code in StatusCode:
            if code is not StatusCode.OK:
                answer = Answer(pieces=0, fault=Refusal(code, 'Sentence starting with: "My card is 4111" is too long.'))
                server.will_answer(answer, answer, answer)
                with pytest.raises(Unavailable) as refusal:
                    await Listener().listen(voice, GREETING)
                assert "4111" not in str(refusal.value)

    tell(story)


def test_without_a_server_it_is_unavailable() -> None:
    async def story() -> None:
        async with GoogleVoice("127.0.0.1:1", insecure=True) as voice:
            with pytest.raises(Unavailable, match="could not be reached"):
                await Listener().listen(voice, GREETING)
            with pytest.raises(Unavailable, match="could not be reached"):
                await voice.check()

    asyncio.run(story())


# --- Many at once, and ends ----------------------------------------------------------------------------------------


def test_150_speeches_at_once_are_each_whole() -> None:
    """More than a connection carries."""

    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        texts = [(f"Hello, caller {n}.", f"You are number {n}.") for n in range(150)]
        server.will_answer(*[Answer(first_s=1.0)] * 300)  # so that they are open together
        async with asyncio.timeout(30):
            heard_by_all = await asyncio.gather(*(Listener().listen(voice, *two) for two in texts))
        assert heard_by_all == ["".join(two) for two in texts]
        assert server.most_open > 150
        assert 2 <= len(server.peers) <= 4

    tell(story, VoiceServer(most_sessions=300), first_sound_s=20)


def test_a_session_too_many_is_spoken_plainly() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(pieces=0, fault=Hang()))
        first = asyncio.create_task(Listener().listen(voice, GREETING))
        await server.asked.wait()
        assert await Listener().listen(voice, QUESTION) == QUESTION
        assert [request.input.text for request in server.plain] == [QUESTION]
        first.cancel()
        await asyncio.wait([first])
        async with asyncio.timeout(10):
            while server.open_sessions:
                await asyncio.sleep(0.005)
        assert await Listener().listen(voice, FAREWELL) == FAREWELL
        assert len(server.plain) == 1, "it didn't stream again"

    tell(story, VoiceServer(most_sessions=1))


@both_ways
def test_cancelling_cancels_what_is_under_way_at_once(style: VoiceStyle) -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(*[Answer(pieces=0, fault=Hang())] * 2)
        listening = asyncio.create_task(Listener().listen(voice, GREETING, QUESTION, FAREWELL, style=style))
        async with asyncio.timeout(10):
            while len(server.sessions) + len(server.plain) < 2:
                await asyncio.sleep(0.005)
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
            while server.open_sessions:
                await asyncio.sleep(0.005)
        assert all(session.cancelled for session in server.sessions)
        assert await Listener().listen(voice, FAREWELL, style=style) == FAREWELL

    tell(story)


def test_cancelling_before_there_is_a_connection_leaves_nothing() -> None:
    async def story(endpoint: str) -> None:
        async with GoogleVoice(endpoint, insecure=True) as voice:
            before = asyncio.all_tasks()
            listening = asyncio.create_task(Listener().listen(voice, GREETING))
            await asyncio.wait([listening], timeout=0.05)
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
            await asyncio.sleep(0.01)
            assert asyncio.all_tasks() == before

    with socket.create_server(("127.0.0.1", 0)) as deaf:  # connects, and says nothing
        asyncio.run(story(f"127.0.0.1:{deaf.getsockname()[1]}"))


def test_a_speech_that_is_left_takes_its_sessions_along() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(*[Answer(pieces=1, fault=Hang())] * 2)
        async with aclosing(voice.speak(sentences(GREETING, QUESTION), KORE)) as speech:  # type: ignore[type-var]
            await anext(speech)
        async with asyncio.timeout(10):
            while server.open_sessions:
                await asyncio.sleep(0.005)

    tell(story)


@both_ways
def test_closing_the_voice_is_not_mistaken_for_cancelling_its_listener(style: VoiceStyle) -> None:
    async def story() -> None:
        async with VoiceServer() as server:
            server.will_answer(Answer(pieces=0, fault=Hang()))
            async with GoogleVoice(server.endpoint, insecure=True) as voice:
                listening = asyncio.create_task(Listener().listen(voice, GREETING, style=style))
                await server.asked.wait()
            with pytest.raises(Unavailable):
                await listening

    asyncio.run(story())


# --- Its list ------------------------------------------------------------------------------------------------------


def test_voices_are_listed_and_remembered_for_a_while() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        german = await voice.voices("de-DE")
        assert {each.name for each in german if each.streams} >= {"de-DE-Chirp3-HD-Kore"}
        assert {each.name for each in german if not each.streams} >= {"de-DE-Neural2-C"}
        assert german[0].languages == ["de-DE"]
        assert german[0].gender == "female"
        assert await voice.voices("de-DE") == german
        assert server.listings == 1
        assert len(await voice.voices()) > len(german)
        assert server.listings == 2
        await asyncio.sleep(0.3)
        await voice.voices("de-DE")
        assert server.listings == 3

    tell(story, listed_for_s=0.3)


def test_a_style_is_checked_against_the_list() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        await voice.check()
        for good in (VoiceStyle(), KORE, NEURAL, VoiceStyle(language="is-IS")):
            await voice.check_style(good)
        with pytest.raises(
            Unavailable, match=r"no voice 'de-DE-Chirp3-HD-Core'; for de-DE it has de-DE-Chirp3-HD-Aoede"
        ):
            await voice.check_style(VoiceStyle("de-DE-Chirp3-HD-Core", "de-DE"))
        with pytest.raises(Unavailable, match="no voice for 'tlh'"):
            await voice.check_style(VoiceStyle(language="tlh"))

    tell(story)


def test_a_list_that_does_not_come_has_an_end() -> None:
    async def story(server: VoiceServer, voice: GoogleVoice) -> None:
        server.will_answer(Answer(fault=Hang()))
        with pytest.raises(Unavailable, match="too long to list"):
            await voice.check()

    tell(story, first_sound_s=0.1)
