"""The conversation: step(signal) → acts. Pure; folding a journal's signals rebuilds it.

`State` is all that changes. The table in `turn` says who has the floor; here is what
follows from it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain import acts as a
from domain import prompt
from domain.backchannel import is_backchannel
from domain.controls import CONTROLS, END_CALL, PRESS_KEYS, TRANSFER_CALL
from domain.endpointing import silence_ms
from domain.flow import SEND_SMS, Walk
from domain.guardrails import offence, offence_in
from domain.hours import is_open
from domain.moment import Moment
from domain.reading import completeness, wish
from domain.reading.cancel import is_cancel
from domain.reading.plain import plain
from domain.state import Ending, State
from domain.step import Ask, FlowStuck, HandOver, HangUp, Listen, PutThrough, Run, Step
from domain.turn import Enter, Interrupt, Leave, Phase, Resume, Take, Yield, after
from domain.values import valid
from schemas import signals as s
from schemas.agent import AgentVersion
from schemas.conversation import Reply, Turn, Waterfall
from schemas.flow import FlowState, Function, Handoff, Talk, Transfer
from schemas.organisation import Organisation
from schemas.remark import Remark
from schemas.tool import LONG_MS, Tool, ToolCall, ToolResult
from schemas.variable import Expectation, Value

HESITATE_MS = 650
"""How long the agent may pause for a sound before it goes on, or gives the caller the floor."""
SHORTEST_ECHO = 3
"""Words; fewer of the agent's own in the caller's mouth may be an answer."""
LONGEST_SILENCE_MS = 2300
"""From the end of the caller's speech to the agent's beginning to do something audible, of the 3 s that it may last at
most: the store may take 500 ms of the rest, and the voice 700 at the same time."""
AT_LEAST_MS = 500
"""How long a final transcript may take once the silence has settled the turn."""
OVERLAP_MS = 400
"""Speech that the VAD tells of so soon after the agent's end began before it."""
MOST_THOUGHTS = 6
"""How often a model may think in one reply: each round of tools needs another."""


_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_KEYS = re.compile(r"[0-9*#w]{1,32}")
PROGRESS_MS = 10_000
"""How long the caller may hear nothing while a long tool runs."""
MOST_FOUND = 12
"""Passages that are remembered."""
MOST_HANDOFFS = 10
"""From agent to agent, in one conversation."""


class _Agent:
    """One version of an agent, made ready to hold a conversation."""

    def __init__(self, version: AgentVersion, tools: Mapping[str, Tool], organisation: Organisation) -> None:
        self.version = version
        self.walk = Walk(version.flow, version.language)
        self.tools = {name: tools[name] for name in (*version.tools, SEND_SMS) if name in tools}
        self.zone = ZoneInfo(version.time_zone or organisation.time_zone)


class Conversation:
    """One conversation with one version of an agent, and of those that it may be handed to.

    `id` names its effects; `tools` are those that the organisation offers, by name; `team` are the versions of other
    agents, by the agent's id."""

    def __init__(
        self,
        id: str,
        organisation: Organisation,
        version: AgentVersion,
        tools: Mapping[str, Tool],
        state: State | None = None,
        team: Mapping[str, AgentVersion] | None = None,
    ) -> None:
        self.id = id
        self.organisation = organisation
        offered = {**CONTROLS, **tools}
        everybody = {**(team or {}), version.agent: version}
        self._team = {agent: _Agent(each, offered, organisation) for agent, each in everybody.items()}
        self._first = version.agent
        self.state = state or State()
        self._acts: list[a.Act] = []
        self._drafting = False
        self._later: list[a.Act] = []
        """What the draft would do that can't be undone. Not part of the state: no line goes on with another's draft."""

    @property
    def _agent(self) -> _Agent:
        """Who has the conversation now."""
        return self._team[self.state.agent or self._first]

    @property
    def version(self) -> AgentVersion:
        """Of the agent that has the conversation now."""
        return self._agent.version

    @property
    def walk(self) -> Walk:
        """Its flow."""
        return self._agent.walk

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What it may use."""
        return self._agent.tools

    @property
    def over(self) -> bool:
        """The agent's last words were said."""
        return self.state.phase is Phase.GONE and self.state.ending is not None

    def step(self, signal: s.Signal) -> list[a.Act]:
        """What to do about it, in order."""
        state = self.state
        self._acts = []
        if isinstance(signal, s.Spent):
            self._spend(signal)
            return self._acts
        if isinstance(signal, s.Returned) and state.errand and signal.id == state.running:
            self._moment = self._moment_of(signal)
            self._errand_returned(signal)
            return self._acts
        if state.draft and _concerns(state.draft, signal):
            self._moment = self._moment_of(signal)
            self._go_on_drafting(state.draft, signal)
            return self._acts
        reply = getattr(signal, "reply", state.reply)
        if reply != state.reply or (state.phase is Phase.GONE and not isinstance(signal, s.Opened)):
            return []
        self._moment = self._moment_of(signal)
        before = state.phase
        if not self._held(signal):
            state.phase = after(before, type(signal))
        try:
            self._follow(signal, before)
        except FlowStuck as problem:
            self._give_up(f"stuck: {problem}")
        return self._acts

    def fold(self, journal: Iterable[s.Signal]) -> None:
        """Takes signals whose acts were performed already."""
        for signal in journal:
            self.step(signal)

    # --- which signals leave the floor where it is ---

    def _held(self, signal: s.Signal) -> bool:
        state = self.state
        match signal:
            case s.SpeechBegan() | s.Pressed():
                # An effect under way can't be taken back, so its outcome is told before the caller is heard again.
                if state.phase in (Phase.THINKING, Phase.SPEAKING) and self._acting:
                    return True
                return state.phase is Phase.SPEAKING and not self.version.listening.interruptions
            case s.Settled():
                return not state.final
            case s.Overdue(what=what):
                expected = {
                    Phase.HESITATING: "doubt",
                    Phase.LISTENING: "progress" if state.errand else "caller",
                    Phase.HEARING: "speech",
                    Phase.SETTLING: "transcript",
                    Phase.KEYING: "keys",
                }
                return expected.get(state.phase) != what
        return False

    # --- what follows ---

    def _follow(self, signal: s.Signal, before: Phase) -> None:
        state = self.state
        match signal:
            case s.Opened():
                self._open(signal)
            case s.SpeechBegan():
                state.speaking = True
                if state.phase is Phase.HEARING:
                    if before is Phase.LISTENING:
                        ended = state.finished_at
                        state.overlapping = ended is not None and signal.at - ended <= OVERLAP_MS
                    self._listen()
                elif state.phase is Phase.HESITATING and before is Phase.SPEAKING:
                    self._hesitate()
            case s.Paused():
                if state.phase is Phase.HEARING:
                    state.speech_end = signal.at - signal.silence
                    self._draft()
            case s.SpeechEnded():
                state.speaking = False
                if state.phase in (Phase.SETTLING, Phase.HESITATING):
                    state.final = state.settled = False  # a final of this piece is to come
                    state.speech_end, state.final_at = signal.at - signal.silence, None
                if state.phase is Phase.SETTLING:
                    self._wait_for_silence()
            case s.Heard():
                state.partials = state.partials or not signal.final
                if state.phase in (Phase.HEARING, Phase.SETTLING):
                    self._hear(signal)
                elif state.doubted and state.phase in (Phase.HESITATING, Phase.SPEAKING, Phase.LISTENING):
                    self._weigh_sound(signal)
            case s.Settled():
                state.settled = True
                if before is Phase.SETTLING and state.phase is Phase.THINKING:
                    self._take_turn()
            case s.Pressed():
                if state.phase is Phase.KEYING:
                    self._press(signal.digit, before)
            case s.Typed():
                if before is Phase.LISTENING:
                    state.words = signal.text
                    self._take_turn()
            case s.Found():
                titles = dict.fromkeys((*self._turn.sources, *(passage.title for passage in signal.passages)))
                state.turn = self._turn.model_copy(update={"sources": tuple(titles)})
                state.found = [*state.found, *(passage.text for passage in signal.passages)][-MOST_FOUND:]
            case s.Thought():
                if state.alive and not state.guarded:
                    self._say_if_allowed(signal.text)
            case s.Requested():
                if state.alive and not state.guarded:
                    call = ToolCall(id=signal.id, tool=signal.tool, arguments=signal.arguments)
                    state.requests.append(Remark(role="request", call=call, opaque=signal.opaque))
            case s.ThoughtOut() | s.Returned() if state.phase is Phase.HESITATING:
                state.postponed.append(signal)  # it may start what can't be taken back
            case s.ThoughtOut():
                if state.alive:
                    self._thought_out()
            case s.Returned():
                self._returned(signal)
            case s.Failed():
                if state.alive:
                    self._failed(signal)
            case s.Deaf() | s.Garbled() if state.ending:
                pass  # the last words are being said; nothing more is to be understood
            case s.FellBack():
                self._fell_back(signal)
            case s.Deaf():
                self._give_up(f"speech recognition: {signal.why}")
            case s.Sent():
                self._sent(signal)
            case s.Audible():
                if state.turn and state.turn.waterfall.first_audio_played_ms is None:
                    self._measure("first_audio_played_ms")
            case s.Finished():
                if state.cutting:  # it was heard to its end just before
                    self._was_cut(s.Cut(at=signal.at, reply=signal.reply, heard=" ".join(state.said), unheard=""))
                elif state.alive:
                    self._finished(before)
            case s.Cut():
                self._was_cut(signal)
            case s.Overdue():
                self._overdue(signal, before)
            case s.Garbled():
                self._give_up("garbled_line")
            case s.Lost():
                self._discard()
                self._close_books()
                self._do(a.Unwatch())

    def _open(self, signal: s.Opened) -> None:
        state = self.state
        state.speaking = False
        if state.flow is None:
            state.began = signal.now - timedelta(milliseconds=signal.at)
            self._moment = self._moment_of(signal)
            state.turn = Turn(number=0, at_ms=signal.at, node=self.version.flow.start, held_by=self.version.agent)
            state.caller = signal.caller
            self._begin_reply()
            self._go(self.walk.begin(self._known_from_the_start(), self._moment))
        else:
            self._come_back(signal, state.flow)

    def _known_from_the_start(self) -> dict[str, Value]:
        """A flow's variables that nobody has to ask for."""
        return {"caller": self.state.caller, "open": is_open(self.version, self._moment.now)}

    def _come_back(self, signal: s.Opened, flow: FlowState) -> None:
        """Another line after one was lost, after keys were pressed, or after a transfer that nobody answered."""
        state = self.state
        ending, running, last_words = state.ending, state.running, state.unheard or " ".join(state.said)
        state.alive, state.errand, state.done = False, None, None  # what was being said is lost with the line
        self._discard()
        node = self.walk.nodes[flow.node]
        put_through = isinstance(node, Transfer) and bool(signal.dial_status)
        if put_through and signal.dial_status == "completed":
            self._begin_reply()
            self._go(self.walk.went_on(flow, self._moment))
        elif put_through and (step := self.walk.failed(flow, self._moment, signal.dial_status)):
            self._begin_reply()
            self._go(step)
        elif ending and ending.do == "press_keys":
            self._begin_reply()
            if isinstance(node, Function):
                self._go(self.walk.returned(flow, {}, {}, self._moment))
            else:
                self._close()
        elif ending:
            self._begin_reply()
            self._say(last_words or self.version.phrases.go_on)
            self._leave(ending)
        elif running:
            self._begin_reply()
            self._say(self.version.phrases.go_on)
            self._go(self.walk.again(flow, self._moment))  # as the same effect, whose outcome isn't known
        else:
            self._go_on(flow, first=self.version.phrases.go_on)

    # --- the caller speaks ---

    def _listen(self) -> None:
        """The caller has the floor."""
        state = self.state
        state.silences, state.final, state.fresh, state.settled = 0, False, False, False
        self._do(a.Watch("speech", self.version.patience.speech_ms))
        self._cut()

    def _wait_for_silence(self) -> None:
        """The caller fell silent: have they finished?"""
        state, endpoint = self.state, self._endpoint()
        patience = min(endpoint.silence_ms + self.version.patience.transcript_ms, self._bearable_ms(state.speech_end))
        self._do(endpoint, a.Watch("transcript", max(patience, endpoint.silence_ms + AT_LEAST_MS)))
        self._draft()

    def _hear(self, signal: s.Heard) -> None:
        state = self.state
        if self.version.knowledge and signal.text.strip() and plain(signal.text) != plain(state.words):
            self._do(a.Search(signal.text.strip()))
        state.words, state.final, state.fresh = signal.text, signal.final, True
        if state.draft and not self._fits(state.draft):
            self._discard()
        if state.phase is not Phase.SETTLING:
            return
        endpoint = self._endpoint()
        if state.speech_end is not None and signal.at - state.speech_end < endpoint.silence_ms:
            state.settled = False  # these words ask for more silence than there was
        if signal.final:
            state.final_at = signal.at
            if state.settled:
                state.phase = after(state.phase, s.Settled)
                return self._take_turn()
        self._do(endpoint)
        self._draft()

    # --- a sound while the agent speaks ---

    def _hesitate(self) -> None:
        """Nobody knows at once whether a sound is a word: wait for a moment."""
        state = self.state
        state.doubted = True
        state.words, state.final, state.speech_end = "", False, None
        self._do(a.Pause(state.reply), a.Watch("doubt", HESITATE_MS))

    def _weigh_sound(self, signal: s.Heard) -> None:
        state = self.state
        state.words, state.final = signal.text, signal.final
        if self._means_something(signal.text, signal.final):
            return self._interrupt()
        if signal.final and not state.speaking:
            if signal.text:  # the recogniser shall forget it
                self._do(a.Expect(self._expectation()))
            if state.phase is Phase.HESITATING:
                self._resume()

    def _means_something(self, words: str, final: bool = True) -> bool:
        """Whether these words are meant for us, and no murmur, noise or echo."""
        if not words.strip():
            return False
        asked = self._expectation().asked
        if wish(words) or any(completeness(variable, words, self._moment) == "whole" for variable in asked):
            return True
        return not is_backchannel(words, final) and not self._echoes(words)

    def _breaks_nothing_off(self, words: str) -> bool:
        """The agent was cut by it, and it was nothing."""
        state = self.state
        broken_off = bool(state.unheard) or state.thinking or state.overlapping
        return broken_off and not self._means_something(words)

    def _echoes(self, words: str) -> bool:
        heard = plain(words)
        return len(heard.split()) >= SHORTEST_ECHO and heard in plain(" ".join(self.state.said))

    def _interrupt(self) -> None:
        """The caller means it, unless what is under way can't be taken back."""
        state = self.state
        if self._acting:
            return self._resume()
        state.phase = after(state.phase, Interrupt)
        state.postponed = []
        final = state.final
        self._listen()
        if not state.speaking:
            state.final, state.fresh = final, True
            state.phase = after(state.phase, s.SpeechEnded)
            self._wait_for_silence()

    def _resume(self) -> None:
        """It was nothing: the agent goes on."""
        state = self.state
        if state.phase is Phase.HESITATING:
            state.phase = after(state.phase, Resume)
            postponed, state.postponed = state.postponed, []
            self._do(a.Resume(state.reply), a.Watch("reply", self.version.patience.filler_ms))
            for signal in postponed:
                if getattr(signal, "reply", state.reply) == state.reply:
                    self._follow(signal, state.phase)

    # --- drafts ---

    def _draft(self) -> None:
        """Prepares the reply to what was said so far, as if the caller were done."""
        state = self.state
        most = self.version.listening.drafts - (not state.final)
        if state.draft or state.cutting or state.drafts >= most or not state.fresh or not state.words.strip():
            return
        if self._endpoint().silence_ms > self.version.listening.silence_ms or self._breaks_nothing_off(state.words):
            return  # they are in the middle of something, or the agent is
        state.drafts += 1
        apart = {"remarks": [*state.remarks], "spent_prompt": 0, "spent_reply": 0}
        draft = state.model_copy(update={**apart, "phase": after(Phase.SETTLING, s.Settled)})
        state.draft, self._later = draft, []
        self._aside(draft, self._take_turn)

    def _go_on_drafting(self, draft: State, signal: s.Signal) -> None:
        if isinstance(signal, s.Failed):
            self._give_up_drafting()
        else:
            self._aside(draft, lambda: self._follow(signal, draft.phase))

    def _aside(self, draft: State, what: Callable[[], None]) -> None:
        """Lets something happen to the draft. Only what can be taken back is done at once."""
        state, acts = self.state, self._acts
        self.state, self._acts, self._drafting = draft, [], True
        stuck = False
        try:
            what()
        except FlowStuck:
            stuck = True
        finally:
            wanted, self.state, self._acts, self._drafting = self._acts, state, acts, False
            state.numbered = draft.numbered
        for act in wanted:
            match act:
                case a.Record():
                    pass  # a draft leaves no trace
                case a.Say() | a.Close() | a.Think() | a.RunTool(acts=False, aside=False):
                    self._do(act)
                case _:
                    self._later.append(act)
        if stuck:
            self._give_up_drafting()

    def _fits(self, draft: State) -> bool:
        """Whether it answers what was said."""
        drafted, words = draft.turn.caller if draft.turn else "", self.state.words.strip()
        return drafted == words or plain(drafted) == plain(words)

    def _discard(self) -> None:
        """The caller said something else, or more."""
        state = self.state
        if state.draft:
            self._do(a.Discard(state.draft.reply))
            if turn := state.draft.turn:
                state.spent_prompt += turn.prompt_tokens
                state.spent_reply += turn.reply_tokens
            state.draft = None
            state.discarded += 1

    def _give_up_drafting(self) -> None:
        """What the draft ran into may be better once the turn has settled."""
        self._discard()
        self.state.drafts = self.version.listening.drafts

    def _release(self, draft: State) -> None:
        """The caller was done: the draft is the turn."""
        state = self.state
        assert draft.turn
        waterfall, ended = draft.turn.waterfall, state.speech_end
        if ended is not None and waterfall.speech_end_ms is not None:
            late = waterfall.speech_end_ms - ended
            waterfall = Waterfall(
                speech_end_ms=ended,
                final_ms=None if state.final_at is None else state.final_at - ended,
                drafted_ms=_plus(waterfall.settled_ms, late),
                reply_ready_ms=_plus(waterfall.reply_ready_ms, late),
            )
        at = draft.turn.at_ms if ended is None else ended
        draft.turn = _costing(draft.turn, state.spent_prompt, state.spent_reply).model_copy(
            update={
                "at_ms": at,
                "caller": state.words.strip(),
                "fell_back": tuple(state.fell_back),
                "waterfall": waterfall,
            }
        )
        draft.speaking, draft.partials = state.speaking, state.partials
        if draft.running == state.running:
            draft.done = state.done
        self.state, draft.fell_back = draft, []
        self._measure("settled_ms")
        owed = self._owe_answer(ended)
        self._do(*(owed if isinstance(act, a.Watch) and act.what == "reply" else act for act in self._later))
        self._do(a.Record(self._turn))

    def _expectation(self) -> Expectation:
        assert self.state.flow
        return self.walk.expectation(self.state.flow, self.version.language)

    def _endpoint(self) -> a.Endpoint:
        return a.Endpoint(silence_ms(self.version.listening, self.state.words, self._expectation(), self._moment))

    def _press(self, digit: str, before: Phase) -> None:
        state = self.state
        if before is not Phase.KEYING:
            state.keys = ""
        state.keys += digit
        self._cut()
        if not state.cutting:  # else once it is known what was heard
            self._weigh_keys()

    def _weigh_keys(self) -> None:
        state = self.state
        assert state.flow
        if self.walk.is_enough(state.flow, state.keys):
            state.phase = after(state.phase, Enter)
            self._take_turn()
        else:
            self._do(a.Watch("keys", self.version.patience.keys_ms))

    def _take_turn(self) -> None:
        """The caller is done: what they said or pressed becomes a turn, unless it was only a noise."""
        state = self.state
        assert state.flow
        words, keys = state.words.strip(), state.keys
        if state.draft and not keys and self._fits(state.draft):
            return self._release(state.draft)
        if not keys and self._breaks_nothing_off(words):
            return self._go_on(state.flow) if state.unheard or state.thinking else self._listen_on()
        self._discard()
        number = state.turn.number + 1 if state.turn else 0
        state.turn = Turn(
            number=number,
            at_ms=self._at,
            node=state.flow.node,
            held_by=self.version.agent,
            caller=words,
            keys=keys,
            discarded_drafts=state.discarded,
            prompt_tokens=state.spent_prompt,
            reply_tokens=state.spent_reply,
        )
        state.discarded = state.spent_prompt = state.spent_reply = 0
        if state.speech_end is not None and not keys:
            final = None if state.final_at is None else state.final_at - state.speech_end
            waterfall = Waterfall(speech_end_ms=state.speech_end, final_ms=final)
            state.turn = state.turn.model_copy(update={"at_ms": state.speech_end, "waterfall": waterfall})
            self._measure("settled_ms")
        self._begin_reply()
        if words or keys:
            state.remarks.append(Remark(role="caller", text=words or f"(pressed {keys})"))
        if state.errand:
            self._answer_aside(words, keys)
        elif keys:
            self._go(self.walk.pressed(state.flow, keys, self._moment))
        elif words:
            self._go(self.walk.answer(state.flow, words, self._moment))
        else:
            self._go(self.walk.fill(state.flow, {}, self._moment))
        self._do(a.Record(self._turn))

    def _listen_on(self) -> None:
        """It was a murmur at the end of what the agent said."""
        state = self.state
        state.phase = after(state.phase, Yield)
        state.words, state.overlapping = "", False
        self._do(a.Expect(self._expectation()))
        self._let_speak()

    def _go_on(self, flow: FlowState, first: str = "") -> None:
        """The agent goes on where it stopped: after a noise that nothing was understood of, or on a new line."""
        state = self.state
        unheard, thinking, fallback = state.unheard, state.thinking, state.fallback
        self._begin_reply()
        if first:
            self._say(first)
        if not unheard and not thinking:
            return self._go(self.walk.question(flow, self._moment))
        if unheard:
            self._say(unheard)
        self._do(a.Expect(self.walk.expectation(flow, self.version.language)))
        if thinking:
            self._think(fallback)
        else:
            self._close()

    # --- the reply ---

    def _begin_reply(self) -> None:
        state = self.state
        assert not state.alive, "a reply is cut before the next begins"
        self._discard()
        self._note_round()
        if state.turn and state.fell_back:
            state.turn = state.turn.model_copy(update={"fell_back": (*state.turn.fell_back, *state.fell_back)})
            state.fell_back = []
        state.phase = after(state.phase, Take)
        state.numbered += 1
        state.reply = state.numbered
        state.alive, state.said, state.unheard, state.sent_at = True, [], "", None
        state.delays = state.thoughts = state.fillers = state.drafts = 0
        state.closed = state.cutting = state.doubted = state.overlapping = state.guarded = False
        state.thinking, state.fallback = False, ""
        if not state.errand:
            state.running = ""
        state.ending, state.failing = None, ""
        state.words, state.final, state.settled, state.keys = "", False, False, ""
        state.postponed = []
        self._do(a.Release(state.reply), self._owe_answer(state.speech_end))
        state.speech_end = state.final_at = None

    def _go(self, step: Step) -> None:
        """Takes a step along the flow: says what it says, and sees to what comes next."""
        state = self.state
        state.flow = step.state
        for text in step.say:
            self._say(text)
        self._do(a.Expect(self.walk.expectation(step.state, self.version.language)))
        match step.then:
            case Listen():
                self._close()
            case Ask(fallback=fallback):
                self._think(fallback)
            case Run(tool=name, arguments=arguments, again=again):
                self._run_node(step.state, name, arguments, again)
            case PutThrough(number=number, way_back=way_back, briefing=briefing, way_on=way_on):
                number = number or self.version.transfer_number or ""
                if _NUMBER.fullmatch(number):
                    if not state.said:
                        self._say(self.version.phrases.putting_through)
                    how = {"number": number, "way_back": way_back, "way_on": way_on, "briefing": briefing}
                    self._leave(Ending(do="put_through", outcome="transferred", **how))
                elif refused := self.walk.failed(step.state, self._moment):
                    self._go(refused)
                else:
                    self._say(self.version.phrases.nobody_free)
                    self._leave(Ending(do="hang_up", outcome="nobody_free"))
            case HandOver(to=node):
                self._begin_handing_over(step.state, node)
            case HangUp(outcome=outcome):
                self._leave(Ending(do="hang_up", outcome=outcome))

    # --- another agent ---

    def _begin_handing_over(self, flow: FlowState, node: Handoff) -> None:
        """Once what this agent says is said, the other one goes on."""
        state = self.state
        if self._drafting:
            raise FlowStuck("another agent's words can't be prepared in this one's voice")
        if node.agent in self._team and state.handoffs < MOST_HANDOFFS:
            self._leave(Ending(do="hand_over"))
        elif step := self.walk.failed(flow, self._moment):
            self._go(step)
        else:
            self._give_up(f"there is no agent {node.agent!r} to hand over to")

    def _hand_over(self) -> None:
        state = self.state
        assert state.flow
        node, kinds, known = self.walk.nodes[state.flow.node], self.walk.kinds, state.flow.variables
        assert isinstance(node, Handoff)
        state.remarks = _told(state.remarks, node)
        state.agent, state.reason, state.ending = node.agent, node.reason, None
        self._moment = self._moment_at(self._at)  # in the other agent's time zone
        state.handoffs += 1
        names = known if node.variables is None else node.variables
        wanted = [name for name in names if name in known and self.walk.kinds.get(name) == kinds.get(name, "")]
        self._do(a.Become(self.version))
        self._begin_reply()
        state.turn = self._turn.model_copy(update={"held_by": node.agent})
        variables = {**{name: known[name] for name in wanted}, **self._known_from_the_start()}
        self._go(self.walk.begin(variables, self._moment, state.flow.visit))
        self._do(a.Record(self._turn))

    # --- words ---

    def _say(self, text: str) -> None:
        state = self.state
        if self._turn.waterfall.reply_ready_ms is None:
            self._measure("reply_ready_ms")
        state.said.append(text)
        self._do(a.Say(state.reply, text))

    def _say_if_allowed(self, sentence: str) -> None:
        """The model's sentence; or what is said in its place, and nothing more of this reply."""
        state, guardrails = self.state, self.version.guardrails
        assert state.flow
        why = self._offence(sentence, " ".join(state.said))
        if not why:
            return self._say(sentence)
        state.guarded, state.requests = True, []
        state.turn = self._turn.model_copy(update={"guarded": (*self._turn.guarded, why)})
        self._say(guardrails.instead)
        if guardrails.then == "transfer" and self.version.transfer_number:
            self._go(Step(state.flow, (), PutThrough("", way_back=False)))
        elif guardrails.then == "end":
            self._leave(Ending(do="hang_up", outcome="guardrail"))

    def _known_texts(self) -> Iterator[str]:
        """All that this agent and this caller have told each other, and what tools and documents said."""
        state, version = self.state, self.version
        yield from (version.prompt, version.personality, version.transfer_number or "", state.caller)
        yield version.flow.model_dump_json()
        yield from state.found
        for remark in state.remarks:
            yield remark.text
            if remark.result and remark.result.output:
                yield json.dumps(remark.result.output, ensure_ascii=False, default=str)
        if state.flow:
            yield from (str(value) for value in state.flow.variables.values())

    def _close(self) -> None:
        state = self.state
        if state.said:
            state.closed = True
            self._do(a.Close(state.reply))
        else:
            state.alive = False
            state.phase = after(state.phase, Yield)
            self._let_speak()

    def _leave(self, ending: Ending) -> None:
        state = self.state
        state.ending = ending
        self._resume()
        state.phase = after(state.phase, Leave)
        if state.said:
            state.closed = True
            self._do(a.Close(state.reply))
        else:
            self._end()

    def _end(self) -> None:
        state = self.state
        assert state.ending
        state.phase, state.alive = Phase.GONE, False
        self._close_books()
        self._do(a.Unwatch())
        match state.ending:
            case Ending(do="put_through", outcome=outcome) as how:
                self._do(a.PutThrough(how.number, how.way_back, outcome, how.briefing, how.way_on))
            case Ending(do="press_keys", number=digits):
                self._do(a.PressKeys(digits))
            case Ending(do="hand_over"):
                self._hand_over()
            case Ending(outcome=outcome):
                self._do(a.HangUp(outcome))

    def _let_speak(self) -> None:
        if self.state.done:
            self._take_up()
        elif self.state.errand:
            self._do(a.Watch("progress", PROGRESS_MS))
        else:
            self._do(a.Watch("caller", self.version.patience.caller_ms))

    def _think(self, fallback: str) -> None:
        state = self.state
        assert state.flow
        state.thinking, state.fallback = True, fallback
        state.thoughts += 1
        build = prompt.build(
            self.version,
            self.walk,
            state.flow,
            state.remarks,
            self.tools,
            self._moment,
            fallback,
            state.reason,
            state.errand,
        )
        self._do(a.Think(state.reply, build, self._turn.caller if self.version.knowledge else ""))

    def _thought_out(self) -> None:
        state = self.state
        state.thinking = False
        if state.ending:
            pass  # the last words are being said
        elif state.guarded:
            self._close()
        elif state.requests:
            self._grant()
        else:
            self._close_with_fallback()

    def _close_with_fallback(self) -> None:
        """The model is done; if it left nothing to say, say what the flow would."""
        state = self.state
        assert state.flow
        was_asked = not state.errand and not state.fallback
        if was_asked and (step := self.walk.unjudged(state.flow, self._answered, self._moment)):
            return self._go(step)
        if not self._answered:
            self._say(self.state.fallback or self.version.phrases.not_understood)
        self._close()

    def _grant(self) -> None:
        """Does what the model asked for, as far as the node allows it."""
        state = self.state
        assert state.flow
        if state.thoughts > MOST_THOUGHTS:
            state.requests = []
            return self._close_with_fallback()
        moves = [r for r in state.requests if r.call and r.call.tool in prompt.MOVES]
        if moves and len(moves) == len(state.requests):
            state.requests = []
            step = self._move(state.flow, moves)
            return self._go(step) if step else self._close_with_fallback()
        offered = {tool.name: tool for tool in self._offered(state.flow)}
        controls = [r for r in state.requests if r.call and r.call.tool in CONTROLS and r.call.tool in offered]
        if controls and len(controls) == len(state.requests):
            return self._control(controls[0])
        state.granted = True
        for request in list(state.requests):
            assert request.call
            call = request.call
            if call.tool in offered and request not in controls:
                if why := self._refusal(call):
                    self._returned(s.Returned(at=self._at, id=call.id, error=why))
                    continue
                if not self._answered and (filler := offered[call.tool].filler):
                    state.fillers += 1
                    self._say(filler)
                self._run(call.model_copy(update={"key": self._key(call.tool, call.arguments)}))
            else:
                wait = "not yet: call it again once the other tools have answered"
                error = wait if request in (*moves, *controls) else f"there is no tool {call.tool!r} here"
                self._returned(s.Returned(at=self._at, id=call.id, error=error))

    def _refusal(self, call: ToolCall) -> str:
        """Why the model may not have this run, though its node offers the tool; empty if it may."""
        assert self.state.flow
        known = self.state.flow.variables.values()
        if call.tool == SEND_SMS and (to := call.arguments.get("to")) and to != self.state.caller and to not in known:
            return "a message goes to the caller, or to a number that they gave"
        written = {"text": str(call.arguments.get("text", ""))}
        if call.tool == SEND_SMS and offence_in(written, *self._guarded_by, instructions=self._instructions):
            return "these words must not be sent"
        return ""

    def _offence(self, text: str, before: str = "") -> str:
        """Why this must not be said; empty if it may be."""
        return offence(text, *self._guarded_by, before=before, instructions=self._instructions)

    @property
    def _guarded_by(self) -> tuple[AgentVersion, Iterator[str], str]:
        """What words are held against: the version, all that is known, the country."""
        return self.version, self._known_texts(), self.organisation.country

    @property
    def _instructions(self) -> list[str]:
        """What the model was told besides the version's prompt."""
        assert self.state.flow
        node = self.walk.nodes[self.state.flow.node]
        told = [node.prompt, self.state.reason] if isinstance(node, Talk) else [self.state.reason]
        return [text for text in told if text]

    def _move(self, flow: FlowState, moves: list[Remark]) -> Step | None:
        """Along the flow as the model judged: values first, then the way out."""
        values: dict[str, Value] = {}
        remembered = [move.call.arguments for move in moves if move.call and move.call.tool == prompt.REMEMBER]
        for variable in () if self.state.errand else self.walk.rememberable(flow):
            for arguments in remembered:
                given = arguments.get(variable.name)
                spoken = str(given) if variable.kind in ("text", "name") else ""  # it may be said in the flow's words
                if valid(variable, given, self._moment) and not self._offence(spoken):
                    values[variable.name] = given  # type: ignore[assignment]
        if values:
            return self.walk.fill(flow, values, self._moment)
        for move in moves:
            assert move.call
            match move.call.tool:
                case prompt.HUMAN:
                    step = self._unless_acting(self.walk.happened(flow, "human", self._moment))
                case prompt.GO_ON if not self.state.errand:
                    step = self.walk.follow(flow, str(move.call.arguments.get("which", "")), self._moment)
                case prompt.CANCEL:
                    step = self._unless_acting(self.walk.cancelled(flow, self._moment))
                case _:
                    step = None
            if step:
                return step
        return None

    def _control(self, request: Remark) -> None:
        """The model acts on the call itself."""
        state = self.state
        assert request.call
        assert state.flow
        state.requests = []
        self._note_tool(request.call.tool)
        match request.call.tool:
            case name if name == END_CALL:
                if not self._answered:
                    self._say(self.version.phrases.goodbye)
                self._leave(Ending(do="hang_up", outcome="completed"))
            case name if name == TRANSFER_CALL and not self.version.transfer_number:
                state.requests, state.granted = [request], True
                self._returned(s.Returned(at=self._at, id=request.call.id, error="there is nobody to put through to"))
            case name if name == TRANSFER_CALL:
                self._go(Step(state.flow, (), PutThrough("", way_back=False)))
            case name if name == PRESS_KEYS:
                result = ToolResult(id=request.call.id, output={"pressed": True})
                state.remarks += [request, Remark(role="result", call=request.call, result=result)]
                self._press_keys(request.call.arguments.get("digits"))

    def _press_keys(self, digits: object) -> None:
        if isinstance(digits, str) and _KEYS.fullmatch(digits):
            self._leave(Ending(do="press_keys", number=digits))
        else:
            self._close_with_fallback()

    def _offered(self, flow: FlowState) -> list[Tool]:
        node = self.walk.nodes[flow.node]
        return [self.tools[name] for name in getattr(node, "tools", ()) if name in self.tools]

    def _run(self, call: ToolCall, aside: bool = False, again: bool = False) -> None:
        tool = self.tools[call.tool]
        self._note_tool(call.tool)
        call = call.model_copy(update={"agent": self.version.agent, "caller": self.state.caller})
        self._do(a.RunTool(call, tool.acts, tool.timeout_ms, again, aside))

    def _note_tool(self, name: str) -> None:
        self.state.turn = self._turn.model_copy(update={"tools": (*self._turn.tools, name)})

    def _run_node(self, flow: FlowState, name: str, arguments: dict[str, Any], again: bool) -> None:
        """The node's own tool: a short one is waited for, a long one leaves the caller free to talk."""
        state, tool = self.state, self.tools.get(name)
        if name == PRESS_KEYS:
            self._note_tool(name)
            return self._press_keys(arguments.get("digits"))
        if tool is None or name in CONTROLS:
            step = self.walk.failed(flow, self._moment)
            return self._go(step) if step else self._give_up(f"there is no tool {name!r}")
        if not self._answered and tool.filler:
            self._say(tool.filler)
        state.running = f"{flow.node}.{flow.visit}.{state.reply}"
        is_long = tool.timeout_ms > LONG_MS
        call = ToolCall(id=state.running, tool=name, arguments=arguments, key=self._key(name, arguments))
        self._run(call, aside=is_long, again=again)
        if is_long:
            state.errand = tool
            if not state.said:
                self._say(self.version.phrases.filler)
            self._close()

    # --- while a long tool runs ---

    def _answer_aside(self, words: str, keys: str) -> None:
        """The caller talks while a long tool runs."""
        state, tool = self.state, self.state.errand
        assert tool
        assert state.flow
        event = f"key:{keys}" if keys else wish(words) or ""
        step = self._unless_acting(self.walk.happened(state.flow, event, self._moment))
        if step is None and is_cancel(words):
            step = self._unless_acting(self.walk.cancelled(state.flow, self._moment))
            if step:
                self._say(self.version.phrases.cancelled)
        if step:
            return self._go(step)
        state.flow = self.walk.volunteer(state.flow, words, self._moment)
        if state.done:
            return self._take_up_now(state.done)
        self._think(tool.progress or self.version.phrases.still_working)

    def _unless_acting(self, step: Step | None) -> Step | None:
        """The step, and an end to the errand that it makes pointless; none if that is acting, since it can't be taken
        back."""
        state = self.state
        if step and state.errand:
            if state.errand.acts:
                return None
            self._do(a.StopTool(state.running))
            state.running, state.errand, state.done = "", None, None
        return step

    def _errand_returned(self, signal: s.Returned) -> None:
        """Whatever is under way, a draft included, its outcome is kept, and taken up once nobody speaks."""
        state = self.state
        if state.phase is Phase.GONE:
            return  # the line is lost: another one asks again
        state.done = signal
        if state.phase is Phase.LISTENING and not state.alive:
            self._take_up()

    def _take_up(self) -> None:
        """The errand is done, and nobody speaks."""
        done = self.state.done
        assert done
        self._begin_reply()
        self._take_up_now(done)

    def _take_up_now(self, done: s.Returned) -> None:
        state = self.state
        state.running, state.errand, state.done = "", None, None
        self._came_back(done)

    def _came_back(self, signal: s.Returned) -> None:
        """The node's tool came to this."""
        state = self.state
        assert state.flow
        if signal.error is None:
            node = self.walk.nodes[state.flow.node]
            tool = self.tools.get(node.tool) if isinstance(node, Function) else None
            saves = tool.saves if tool else {}
            return self._go(self.walk.returned(state.flow, signal.output or {}, saves, self._moment))
        if not signal.unknown and (step := self.walk.failed(state.flow, self._moment)):
            return self._go(step)
        self._give_up(f"tool failed: {signal.error}")

    def _returned(self, signal: s.Returned) -> None:
        state = self.state
        assert state.flow
        if state.running and signal.id == state.running:
            if state.cutting:
                return None  # we are giving up on it
            state.running = ""
            return self._came_back(signal)
        asked = next((call for call in self._unanswered if call.id == signal.id), None)
        if asked is None or not state.alive:
            return
        if signal.unknown:
            return self._give_up(f"tool failed: {signal.error}")
        result = ToolResult(id=signal.id, output=signal.output, error=signal.error)
        if signal.output and asked.tool in self.tools:
            state.flow = self.walk.saved(state.flow, signal.output, self.tools[asked.tool].saves)
        state.results.append(Remark(role="result", call=asked, result=result))
        if not self._unanswered:
            self._note_round()
            self._think(state.fallback)

    @property
    def _unanswered(self) -> list[ToolCall]:
        """What the model asked for and nothing came back of yet."""
        answered = {result.call.id for result in self.state.results if result.call}
        calls = (request.call for request in self.state.requests if request.call)
        return [call for call in calls if call.id not in answered]

    def _note_round(self) -> None:
        """What the model asked for becomes part of the dialogue, if something came back of it: all of it and in the
        model's order, whichever tool was first, for a provider that signs a round of requests signs the first."""
        state = self.state
        results = {result.call.id: result for result in state.results if result.call}
        for request in state.requests if results else ():
            assert request.call
            result = results.get(request.call.id)
            state.remarks += [request, result] if result else [request]
        state.requests, state.results, state.granted = [], [], False

    def _fell_back(self, signal: s.FellBack) -> None:
        """Notes it in the turn that it concerns: the caller's next one while they have the floor."""
        state = self.state
        instead = f"{signal.to} instead of {signal.provider}" if signal.to else f"{signal.provider} failed"
        what = f"{signal.port}: {instead}"
        if state.phase in (Phase.THINKING, Phase.SPEAKING, Phase.LEAVING) and signal.port != "speech":
            known = self._turn.fell_back
            state.turn = self._turn.model_copy(update={"fell_back": tuple(dict.fromkeys((*known, what)))})
        elif what not in state.fell_back:
            state.fell_back = [*state.fell_back, what]

    def _failed(self, signal: s.Failed) -> None:
        state = self.state
        if signal.what == "brain" and state.ending:
            return  # the last words are being said
        if signal.what == "brain" and state.guarded:
            return self._close()  # something was said in the model's place
        if signal.what == "brain" and (self._answered or state.fallback):
            state.requests = []
            return self._close_with_fallback()
        assert state.flow
        was_asked = signal.what == "brain" and not state.errand
        if was_asked and (step := self.walk.unjudged(state.flow, False, self._moment)):
            return self._go(step)
        self._give_up(f"{signal.what}: {signal.why}")

    def _give_up(self, why: str) -> None:
        """We can't go on: say so, and find the caller someone who can."""
        state = self.state
        if state.ending:
            return self._end()  # what was decided stands, even if it can't be said
        if state.alive:
            state.failing = why
            return self._cut()
        self._begin_reply()
        self._say(self.version.phrases.failure)
        outcome = f"failed: {why}"
        number = self.version.fallback_number or self.version.transfer_number
        if number:
            self._say(self.version.phrases.putting_through)
            self._leave(Ending(do="put_through", outcome=outcome, number=number))
        else:
            self._leave(Ending(do="hang_up", outcome=outcome))

    # --- playback ---

    def _sent(self, signal: s.Sent) -> None:
        self.state.sent_at = signal.at
        if self._turn.agent_at_ms is None:
            self._measure("first_audio_sent_ms")
            self.state.turn = self._turn.model_copy(
                update={"agent_at_ms": signal.at, "unconfirmed": not signal.confirmed}
            )

    def _finished(self, before: Phase) -> None:
        state = self.state
        state.alive, state.finished_at = False, self._at
        self._heard(" ".join(state.said))
        if before is Phase.LEAVING:
            return self._end()
        self._do(a.Record(self._turn))
        if state.speaking:
            state.phase = after(state.phase, s.SpeechBegan)
            return self._do(a.Watch("speech", self.version.patience.speech_ms))
        if before is Phase.HESITATING:  # what the sound was is still to be told
            state.phase = after(after(state.phase, s.SpeechBegan), s.SpeechEnded)
            return self._wait_for_silence()
        self._let_speak()

    def _cut(self) -> None:
        """Stops the reply, if one is under way; the signal Cut tells what was heard of it."""
        state = self.state
        self._discard()
        if state.alive:
            state.alive, state.cutting, state.postponed = False, True, []
            state.thinking = state.thinking or bool(state.requests)
            self._note_round()
            self._do(a.Cut(state.reply))

    def _was_cut(self, signal: s.Cut) -> None:
        state = self.state
        state.alive = state.cutting = False
        state.unheard = signal.unheard
        self._heard(signal.heard, interrupted=True)
        if self._turn.agent_at_ms is not None:
            state.turn = self._turn.model_copy(update={"interrupted": True})
        self._do(a.Record(self._turn))
        if state.failing:
            self._give_up(state.failing)
        elif state.phase is Phase.KEYING:
            self._weigh_keys()
        elif state.phase is Phase.SETTLING:
            self._draft()

    def _heard(self, text: str, interrupted: bool = False) -> None:
        if text:
            self.state.remarks.append(Remark(role="agent", text=text))
            at = self._at if self.state.sent_at is None else self.state.sent_at
            replies = (*self._turn.replies, Reply(text=text, at_ms=at, interrupted=interrupted))
            agent = f"{self._turn.agent} {text}".strip()
            self.state.turn = self._turn.model_copy(update={"agent": agent, "replies": replies})

    # --- time running out ---

    def _overdue(self, signal: s.Overdue, before: Phase) -> None:
        state = self.state
        phrases, patience = self.version.phrases, self.version.patience
        match signal.what:
            case "speech" if before is Phase.HEARING:
                state.speaking = False
                self._take_turn()
            case "transcript" if before is Phase.SETTLING:
                self._take_turn()
            case "keys" if before is Phase.KEYING:
                self._take_turn()
            case "doubt" if before is Phase.HESITATING:
                if state.speaking and not state.words and not state.partials:
                    self._interrupt()  # a recogniser that says nothing yet has still to say what it was
                else:
                    self._resume()
            case "progress" if before is Phase.LISTENING and state.errand:
                self._begin_reply()
                self._say(state.errand.progress or phrases.still_working)
                self._close()
            case "caller" if before is Phase.LISTENING and not state.errand:
                state.silences += 1
                self._begin_reply()
                if step := self._after_silence():
                    self._go(step)
                elif state.silences > 2:
                    self._say(phrases.farewell)
                    self._leave(Ending(do="hang_up", outcome="silence"))
                else:
                    self._say(phrases.still_there)
                    self._close()
            case "reply" if state.alive:
                state.delays += 1
                runs = state.granted or (state.running and not state.errand)  # a tool has a time of its own
                if state.delays > 2 and not runs:
                    return self._give_up("no answer in time")
                first = state.delays == 1
                if not state.closed:
                    state.fillers += 1
                    self._say(phrases.filler if first else phrases.apology)
                self._do(a.Watch("reply", patience.apology_ms if first else patience.give_up_ms))

    def _after_silence(self) -> Step | None:
        """Where the caller's silence leads, if the flow has a way for it."""
        state = self.state
        assert state.flow
        step = self.walk.happened(state.flow, f"silence:{state.silences}", self._moment)
        if step is None and state.silences > 2:
            step = self.walk.happened(state.flow, "silence", self._moment)
        return step

    def _owe_answer(self, ended: int | None) -> a.Watch:
        """The agent owes an answer: ask for patience before the caller's silence gets too long."""
        return a.Watch("reply", min(self.version.patience.filler_ms, self._bearable_ms(ended)))

    def _bearable_ms(self, ended: int | None) -> int:
        """For how much longer the caller, who `ended` speaking then, may hear nothing."""
        passed = 0 if ended is None else self._at - ended
        return LONGEST_SILENCE_MS - passed if passed < LONGEST_SILENCE_MS else LONGEST_SILENCE_MS

    # --- what it cost ---

    def _spend(self, signal: s.Spent) -> None:
        """Counts it in the turn of its reply, or in the next one if that is over or was thrown away."""
        state = self.state
        for owner in (state.draft, state):
            if owner and owner.turn and owner.alive and owner.reply == signal.reply:
                owner.turn = _costing(owner.turn, signal.prompt_tokens, signal.reply_tokens)
                return
        state.spent_prompt += signal.prompt_tokens
        state.spent_reply += signal.reply_tokens

    def _close_books(self) -> None:
        """Drafts that were thrown away since the last turn are that one's, for there may be no other."""
        state = self.state
        turn = _costing(self._turn, state.spent_prompt, state.spent_reply)
        state.turn = turn.model_copy(update={"discarded_drafts": turn.discarded_drafts + state.discarded})
        state.discarded = state.spent_prompt = state.spent_reply = 0
        self._do(a.Record(self._turn))

    # --- small things ---

    def _do(self, *acts: a.Act) -> None:
        self._acts += acts

    @property
    def _answered(self) -> bool:
        """The reply says more than that it takes a moment."""
        return len(self.state.said) > self.state.fillers

    @property
    def _acting(self) -> bool:
        """A tool is under way whose outcome must be known."""
        state = self.state
        names = [call.tool for call in self._unanswered] if state.granted else []
        waited_for = bool(state.running) and not state.errand
        return waited_for or any(self.tools[name].acts for name in names if name in self.tools)

    @property
    def _turn(self) -> Turn:
        assert self.state.turn
        return self.state.turn

    def _measure(self, *stages: str) -> None:
        """Notes in the turn's waterfall that it got this far; times count from the end of the caller's speech."""
        waterfall = self._turn.waterfall
        if waterfall.speech_end_ms is not None:
            passed = self._at - waterfall.speech_end_ms
            waterfall = waterfall.model_copy(update=dict.fromkeys(stages, passed))
            self.state.turn = self._turn.model_copy(update={"waterfall": waterfall})

    def _key(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """The same for the same effect: conversation, node visit, tool and arguments."""
        assert self.state.flow
        body = json.dumps([tool, arguments], sort_keys=True, default=str)
        visit = f"{self.id}:{self.state.flow.node}:{self.state.flow.visit}"
        return f"{visit}:{hashlib.sha256(body.encode()).hexdigest()[:16]}"

    def _moment_of(self, signal: s.Signal) -> Moment:
        self._at = signal.at
        return self._moment_at(signal.at, getattr(signal, "now", None))

    def _moment_at(self, at: int, opened: datetime | None = None) -> Moment:
        began = self.state.began or opened
        assert began is not None, "the first signal is Opened"
        now = began + timedelta(milliseconds=at)
        return Moment(now.astimezone(self._agent.zone), self.organisation.country)


def _concerns(draft: State, signal: s.Signal) -> bool:
    if isinstance(signal, s.Returned):
        asked = [request.call.id for request in draft.requests if request.call]
        return signal.id in (draft.running, *asked)
    return getattr(signal, "reply", None) == draft.reply


def _told(remarks: list[Remark], node: Handoff) -> list[Remark]:
    """What another agent is told of what was said."""
    if node.history == "all":
        return remarks
    callers = [i for i, remark in enumerate(remarks) if remark.role == "caller"]
    if node.history == "none" or not callers:
        return []
    return remarks[callers[-node.turns :][0] :]


def _costing(turn: Turn, prompt: int, reply: int) -> Turn:
    """The turn, with so many tokens more."""
    tokens = {"prompt_tokens": turn.prompt_tokens + prompt, "reply_tokens": turn.reply_tokens + reply}
    return turn.model_copy(update=tokens)


def _plus(ms: int | None, more: int) -> int | None:
    return None if ms is None else ms + more
