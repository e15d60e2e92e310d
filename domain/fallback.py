"""The first provider in time. A fallback is itself a Speech, a Brain or a Voice: nobody else knows of several.

Every provider has a bound to its first useful output, and one that failed a few times in a row rests: no call asks it
until, after a while, one tries whether it works again. What was heard is never continued in its middle by somebody
else: a voice's broken sentence is said again whole, a model's words stay as they are. So the worst that a caller meets
is the sum of two bounds, and a caller of the next call not even that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import ClassVar, Generic, Literal, Self, TypeVar

import structlog
from pybreaker import STATE_CLOSED, STATE_OPEN, CircuitBreaker

from domain.mulaw import milliseconds
from domain.ports import (
    SPEECH_BEGINS,
    SPEECH_ENDS,
    Brain,
    Ports,
    Prompt,
    Sound,
    Speech,
    Spoken,
    Thought,
    ToolRequest,
    Transcript,
    Unavailable,
    Usage,
    Voice,
    VoiceStyle,
    Words,
)
from domain.sentences import Sentences
from schemas.agent import Providers
from schemas.signals import FellBack
from schemas.variable import Expectation

SPEECH_S, LAST_SPEECH_S = 1.0, 2.0
"""From when the end of speech is told to its final transcript; the second is for the last provider, after whom there is
nobody: a little less than the agent waits, for else it would never be found out that one hangs. A recogniser that
begins only then may say in its `final_s` that it needs longer."""
BRAIN_S, LAST_BRAIN_S = 1.2, 6.0
"""To a model's first word. The agent asks for patience meanwhile."""
NEXT_WORD_S = 3.0
VOICE_S, LAST_VOICE_S = 1.0, 2.0
"""How long a voice may keep the caller waiting for a sentence, its first sound and all gaps together. The phrase book
asks for patience meanwhile."""
FAILURES = 3
"""In a row, after which a provider rests."""
REST_S = 30.0
PROBE_S = 5.0
"""After its rest, one attempt is made in so much time until one comes to something."""
PRE_ROLL = 10
MOST_PIECES = 600
"""Of sound, 100 ms each, that a recogniser can be told again: from before the caller spoke, and of a turn."""


class _Late(Unavailable):
    """It took too long."""


T = TypeVar("T")
P = TypeVar("P")
"""Speech, Brain or Voice."""

log = structlog.get_logger()


Tell = Callable[[FellBack], None]


class Provider(Generic[P]):
    """One way to do it, and how it has done lately in all of this process's calls."""

    def __init__(self, name: str, does: P) -> None:
        self.name, self.does = name, does
        self._breaker = CircuitBreaker(fail_max=FAILURES, throw_new_error_on_trip=False, name=name)
        self._asked_from = 0.0

    def is_asked(self) -> bool:
        """Whether to ask it now. It counts as an attempt if it had been resting."""
        if self._breaker.current_state == STATE_CLOSED:
            return True
        if (now := _now()) < self._asked_from:
            return False
        self._asked_from = now + PROBE_S
        self._breaker.half_open()
        return True

    def worked(self) -> None:
        """It gave us something useful."""
        if self._breaker.current_state == STATE_CLOSED:
            self._breaker.call(lambda: None)
        else:
            self._breaker.close()
            log.info("provider_works_again", provider=self.name)

    def failed(self, problem: Unavailable) -> None:
        """It refused, broke or took too long."""
        if self._breaker.current_state == STATE_OPEN:
            return
        with suppress(Unavailable):
            self._breaker.call(_raise, problem)
        if self._breaker.current_state == STATE_OPEN:
            self._asked_from = _now() + REST_S
            log.warning("provider_rests", provider=self.name, seconds=REST_S, why=str(problem))


def _raise(problem: Unavailable) -> None:
    raise problem


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Fallback(Generic[P]):
    """Providers in the order in which they are asked; the first one's names of models and voices are the agent's."""

    port: ClassVar[Literal["speech", "brain", "voice"]]

    def __init__(self, providers: Sequence[Provider[P]], tell: Tell = lambda signal: None) -> None:
        if not providers:
            raise ValueError(f"no provider for {self.port}")
        self.providers, self._tell = providers, tell
        self.falls = 0
        """How often another than the first was asked, or nobody was left."""

    def chosen(self, names: Sequence[str], tell: Tell) -> Self:
        """Those of these names, in their order, or all if there are none; they share what is known of each."""
        known = {provider.name: provider for provider in self.providers}
        if unknown := [name for name in names if name not in known]:
            log.warning("provider_unknown", port=self.port, unknown=unknown, known=[*known])
        return type(self)([known[name] for name in names if name in known] or self.providers, tell)

    async def check(self) -> None:
        """Raises Unavailable unless one of them works."""
        problems: list[str] = []
        for provider in self.providers:
            try:
                if check := getattr(provider.does, "check", None):
                    await check()
                return
            except Unavailable as problem:
                problems.append(f"{provider.name}: {problem}")
        raise Unavailable("; ".join(problems))

    def _in_turn(self) -> Iterator[Provider[P]]:
        """Whom to ask, one after the other. The last is asked even while it rests: better than nobody."""
        for at, provider in enumerate(self.providers):
            if provider.is_asked() or self._is_last(provider):
                yield provider
            else:
                self._fell(provider, self.providers[at + 1], "it has failed lately")

    def _failed(self, provider: Provider[P], problem: Unavailable) -> None:
        provider.failed(problem)
        at = self.providers.index(provider)
        self._fell(provider, self.providers[at + 1] if at + 1 < len(self.providers) else None, str(problem))

    def _fell(self, provider: Provider[P], to: Provider[P] | None, why: str) -> None:
        self.falls += 1
        next_name = to.name if to else ""
        log.warning("fell_back", port=self.port, provider=provider.name, to=next_name, why=why)
        self._tell(FellBack(at=0, port=self.port, provider=provider.name, to=next_name, why=why))

    def _is_last(self, provider: Provider[P]) -> bool:
        return provider is self.providers[-1]


class _Bound:
    """When something is owed, while somebody waits for it or not yet."""

    def __init__(self) -> None:
        self._by: float | None = None
        self._wait: asyncio.Timeout | None = None

    def set(self, by: float | None) -> None:
        self._by = by
        if self._wait and not self._wait.expired():
            self._wait.reschedule(by)

    async def next(self, stream: AsyncIterator[T], what: str) -> T:
        """The stream's next. Raises StopAsyncIteration, and Unavailable for all that went wrong: a provider's bug is
        the provider's failure. Cancelling cancels the stream."""
        try:
            async with asyncio.timeout_at(self._by) as self._wait:
                return await anext(stream)
        except (StopAsyncIteration, Unavailable):
            raise
        except TimeoutError:
            raise _Late(f"{what} in time") from None
        except Exception as bug:
            log.exception("provider_broke")
            raise Unavailable(f"it broke ({type(bug).__name__})") from bug
        finally:
            self._wait = None


class _Tape(Generic[T]):
    """A stream that can be told again from `begins` on, for it outlives whoever listens to it."""

    def __init__(self, source: AsyncIterator[T]) -> None:
        self._source = source
        self._items: list[T] = []
        self._forgotten = 0
        self._more = asyncio.Event()
        self.begins = 0
        self.over = False

    @property
    def ends(self) -> int:
        return self._forgotten + len(self._items)

    async def __aenter__(self) -> Self:
        self._pouring = asyncio.create_task(self._pour())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raises what went wrong where the stream comes from."""
        self._pouring.cancel()
        await asyncio.wait([self._pouring])
        if not self._pouring.cancelled() and (problem := self._pouring.exception()) and kind is None:
            raise problem

    async def _pour(self) -> None:
        try:
            async for item in self._source:
                self._items.append(item)
                self.taken(item)
                self._more.set()
                if len(self._items) > 2 * MOST_PIECES:  # nobody listens
                    self._forget(self.ends - MOST_PIECES)
        finally:
            self.over = True
            self._more.set()

    def taken(self, item: T) -> None:
        """Something came."""

    def given(self, item: T) -> None:
        """The listener has it now."""

    async def play(self) -> AsyncIterator[T]:
        """All from where it begins, and what is still to come."""
        at = self.begins
        while True:
            while at < self.ends:
                at = max(at, self._forgotten)
                item = self._items[at - self._forgotten]
                at += 1
                self._forget(min(at, self.begins))
                self.given(item)
                yield item
            if self.over:
                return
            self._more.clear()
            await self._more.wait()

    def _forget(self, before: int) -> None:
        if (surplus := before - self._forgotten) > PRE_ROLL:
            del self._items[:surplus]
            self._forgotten = before


# --- Speech ---


class _Turn(_Tape[Sound]):
    """The sound of the caller's turn so far, and when a final transcript of it is due."""

    def __init__(self, sound: AsyncIterator[Sound], expectation: Expectation) -> None:
        super().__init__(sound)
        self.expectation = expectation
        self.patience_s = SPEECH_S
        self.bound = _Bound()
        self._spoken = self.owed = False

    def taken(self, item: Sound) -> None:
        if isinstance(item, bytes):
            kept = MOST_PIECES if self._spoken else PRE_ROLL
            self.begins = max(self.begins, self.ends - kept)
        elif item is SPEECH_BEGINS:
            self._spoken = True
            self.settled()
        elif item is SPEECH_ENDS:
            self.owed = True
            self.bound.set(_now() + self.patience_s)
        elif isinstance(item, Expectation):
            self.expectation, self.begins, self._spoken = item, self.ends, False
            self.settled()

    def settled(self) -> None:
        """Nothing is owed."""
        self.owed = False
        self.bound.set(None)

    def begin_again(self, patience_s: float) -> None:
        """Another recogniser hears it, and has as much time as the one before had."""
        self.patience_s = patience_s
        self.bound.set(_now() + patience_s if self.owed else None)


class FallbackSpeech(_Fallback[Speech]):
    """The next recogniser hears the caller's turn from its beginning, so no word is lost."""

    port = "speech"

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        """See `domain.ports.Speech`. All are asked a second time before it raises Unavailable, unless they are slow."""
        async with _Turn(sound, expectation) as turn:
            problem = Unavailable("nobody to ask")
            rounds = 0
            while rounds < 2 and not isinstance(problem, _Late):
                rounds += 1
                for provider in self._in_turn():
                    turn.begin_again(self._patience_s(provider))
                    try:
                        async with aclosing(self._hear(provider, turn)) as transcripts:  # type: ignore[type-var]
                            async for transcript in transcripts:
                                rounds = 0 if transcript.final else rounds
                                yield transcript
                        return
                    except Unavailable as reason:
                        self._failed(provider, problem := reason)
            raise problem

    def _patience_s(self, provider: Provider[Speech]) -> float:
        return LAST_SPEECH_S if self._is_last(provider) else getattr(provider.does, "final_s", SPEECH_S)

    async def _hear(self, provider: Provider[Speech], turn: _Turn) -> AsyncIterator[Transcript]:
        async with aclosing(provider.does.transcribe(turn.play(), turn.expectation)) as transcripts:  # type: ignore[type-var]
            while True:
                try:
                    transcript = await turn.bound.next(transcripts, "it gave no final transcript")
                except StopAsyncIteration:
                    if turn.over:
                        return
                    raise Unavailable("it stopped listening") from None
                if transcript.final:
                    provider.worked()
                    turn.settled()
                yield transcript


# --- Brain ---


class FallbackBrain(_Fallback[Brain]):
    """The next model begins anew, as long as no sentence was handed out; after that the reply ends there. What all of
    them cost is told."""

    port = "brain"

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        """See `domain.ports.Brain`."""
        problem = Unavailable("nobody to ask")
        for provider in self._in_turn():
            held: list[Words | ToolRequest] | None = []
            sentences, bound = Sentences(), _Bound()
            asked = prompt if provider is self.providers[0] else replace(prompt, model="")
            try:
                async with aclosing(provider.does.think(asked)) as thoughts:  # type: ignore[type-var]
                    bound.set(_now() + (LAST_BRAIN_S if self._is_last(provider) else BRAIN_S))
                    with suppress(StopAsyncIteration):
                        while True:
                            thought = await bound.next(thoughts, "it said nothing")
                            if isinstance(thought, Usage):
                                yield thought  # whatever the words are worth; and it is no word
                                continue
                            if held is None:
                                yield thought
                            else:
                                held.append(thought)
                                if isinstance(thought, Words) and sentences.feed(thought.text):
                                    provider.worked()
                                    ready, held = held, None
                                    for each in ready:
                                        yield each
                            bound.set(_now() + NEXT_WORD_S)
                if held is not None:
                    if not held:
                        raise Unavailable("it said nothing")
                    provider.worked()
                    for each in held:
                        yield each
                return
            except Unavailable as reason:
                self._failed(provider, problem := reason)
                if held is None:
                    break
        raise problem


# --- Voice ---


class _Text(_Tape[str]):
    """Sentences that weren't spoken yet, and how long a voice may take over the one that it has."""

    def __init__(self, text: AsyncIterator[str]) -> None:
        super().__init__(text)
        self.bound = _Bound()
        self._patience_s = self._credit = VOICE_S
        self._unspoken: list[str] = []

    def begin_again(self, patience_s: float) -> None:
        """Another voice speaks them."""
        self._patience_s = patience_s
        self._unspoken.clear()
        self.sounded = False

    def given(self, item: str) -> None:
        self._unspoken.append(item)
        if len(self._unspoken) == 1:
            self._credit = self._patience_s
            self.wait()

    def wait(self) -> None:
        """The voice is waited for from now on."""
        self._since = _now()
        self.bound.set(self._since + self._credit if self._unspoken else None)

    def heard(self, piece: bytes | Spoken) -> None:
        """What it gave. Raises Unavailable if it spoke without a sound."""
        self._credit -= _now() - self._since
        if isinstance(piece, bytes):
            self.sounded = self.sounded or bool(piece)
            self._credit += milliseconds(piece) / 1000
            return
        rest, self._credit = piece.text.strip(), self._patience_s
        if not self.sounded and any(map(str.isalnum, rest)):
            raise Unavailable("it made no sound")
        while self._unspoken and rest.startswith(sentence := self._unspoken[0].strip()):
            rest = rest[len(sentence) :].strip()
            self._unspoken.pop(0)
            self.begins += 1
        self.sounded = False


class FallbackVoice(_Fallback[Voice]):
    """The next voice begins with the sentence that the one before broke off."""

    port = "voice"

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        """See `domain.ports.Voice`."""
        async with _Text(text) as sentences:
            problem = Unavailable("nobody to ask")
            for provider in self._in_turn():
                own = style if provider is self.providers[0] else replace(style, voice="")
                try:
                    async with aclosing(self._speak(provider, sentences, own)) as sound:  # type: ignore[type-var]
                        async for piece in sound:
                            yield piece
                    return
                except Unavailable as reason:
                    self._failed(provider, problem := reason)
            raise problem

    async def _speak(
        self, provider: Provider[Voice], sentences: _Text, style: VoiceStyle
    ) -> AsyncIterator[bytes | Spoken]:
        sentences.begin_again(LAST_VOICE_S if self._is_last(provider) else VOICE_S)
        sounded = False
        async with aclosing(provider.does.speak(sentences.play(), style)) as sound:  # type: ignore[type-var]
            while True:
                sentences.wait()
                try:
                    piece = await sentences.bound.next(sound, "its sound did not come")
                except StopAsyncIteration:
                    break
                sentences.heard(piece)
                if sentences.sounded and not sounded:
                    sounded = True
                    provider.worked()
                yield piece


def chosen(ports: Ports, providers: Providers, tell: Tell) -> Ports:
    """The ports for one conversation, with its agent's providers; `tell` takes what fell back, its time left at 0."""
    speech, brain, voice = ports.speech, ports.brain, ports.voice
    return replace(
        ports,
        speech=speech.chosen(providers.speech, tell) if isinstance(speech, FallbackSpeech) else speech,
        brain=brain.chosen(providers.brain, tell) if isinstance(brain, FallbackBrain) else brain,
        voice=voice.chosen(providers.voice, tell) if isinstance(voice, FallbackVoice) else voice,
    )
