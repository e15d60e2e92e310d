"""An agent, and the published versions of it that take calls."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.flow import Flow
from schemas.model import Model
from schemas.time_zone import TimeZone

E164 = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


class Listening(Model):
    """When the caller has the floor, and when they have given it up. All times are of audio, in ms."""

    silence_ms: Annotated[int, Field(ge=100, le=5000)] = 600
    """Silence that ends a turn; a complete answer settles sooner, an unfinished one later."""
    shortest_silence_ms: Annotated[int, Field(ge=100, le=5000)] = 100
    """No answer settles sooner, however complete; the same as `silence_ms` to give every caller that time."""
    longest_silence_ms: Annotated[int, Field(ge=100, le=10_000)] = 10_000
    """No answer settles later, however unfinished."""
    minimum_speech_ms: Annotated[int, Field(ge=20, le=2000)] = 250
    """Shorter sounds aren't speech."""
    drafts: Annotated[int, Field(ge=0, le=10)] = 4
    """How many replies may be prepared before the caller's turn has settled; those that don't fit are thrown away, and
    each costs a request to the model. The last one waits for the final transcript; 0: none are."""
    interruptions: bool = True
    """Whether the caller may interrupt the agent."""

    @model_validator(mode="after")
    def _in_order(self) -> "Listening":
        if not self.shortest_silence_ms <= self.silence_ms <= self.longest_silence_ms:
            raise ValueError("silence_ms must lie between shortest_silence_ms and longest_silence_ms")
        return self


class Patience(Model):
    """How long either side may stay silent, in ms."""

    filler_ms: int = 2000
    """The agent owes an answer for this long: it says `filler`."""
    apology_ms: int = 4000
    """… and this long after that: `apology`."""
    give_up_ms: int = 8000
    """… and this long after that: it transfers or takes leave."""
    caller_ms: int = 8000
    """The caller says nothing for this long: `still_there`, twice, then `farewell`."""
    transcript_ms: int = 2500
    """The caller fell silent and no final transcript came for this long: go on with what was heard."""
    speech_ms: int = 35_000
    """The caller's speech was not heard to end for this long: go on with what was understood."""
    keys_ms: int = 3000
    """No further key for this long: the number is complete."""


class Providers(Model):
    """Who understands, thinks and speaks, each in the order in which they are asked: the next one if the one before
    fails. Names are those of the deployment's adapters; empty for all that it has, in its own order."""

    speech: tuple[str, ...] = ()
    brain: tuple[str, ...] = ()
    """`model` is the first one's."""
    voice: tuple[str, ...] = ()
    """`voice` is the first one's."""


class Phrases(Model):
    """Fixed sentences; their audio is kept."""

    filler: str = "One moment, please."
    apology: str = "I'm sorry, this is taking longer than it should."
    failure: str = "I'm sorry, something went wrong on our side."
    still_there: str = "Are you still there?"
    farewell: str = "I can't hear you, so I'll hang up now. Goodbye."
    go_on: str = "Sorry about that, where were we?"
    not_understood: str = "I'm sorry, I didn't get that."
    nobody_free: str = "I'm sorry, nobody could take your call just now. Goodbye."
    trying_another: str = "Nobody answers there. I'll try someone else."
    take_call: str = "Press any key to take the call, or hang up."
    """Behind a transfer's briefing, for the person."""
    closed: str = "We are closed at the moment. Please call again {{opens}}. Goodbye."
    """`{{opens}}`: when calls are taken next."""
    busy: str = "All our lines are busy right now. Please call again in a few minutes. Goodbye."
    putting_through: str = "I'll put you through."
    referred: str = "You can reach them at {{number}}."
    """In a chat, from where nobody can be put through."""
    still_working: str = "I'm still working on it, one moment please."
    goodbye: str = "Thank you for calling. Goodbye."
    cancelled: str = "All right, I've stopped that."


def _refuse_no_stretch(opens: str, closes: str) -> None:
    if opens == "24:00":
        raise ValueError("what opens at 24:00 opens on the next day, at 00:00")
    if opens == closes:
        raise ValueError(f"opens and closes are both {opens}; a whole day is 00:00 to 24:00")


class Opening(Model):
    """One stretch of a weekday in which calls are taken, in the agent's time zone. One that closes before it opens
    lasts into the next day, and belongs to the day on which it opened."""

    day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    opens: TimeOfDay
    closes: TimeOfDay

    @model_validator(mode="after")
    def _is_a_stretch(self) -> "Opening":
        _refuse_no_stretch(self.opens, self.closes)
        return self


class SpecialDay(Model):
    """A day with hours of its own: a holiday, an inventory. A day with several stretches is given several times."""

    date: date
    name: str = ""
    opens: TimeOfDay | None = None
    """None for closed all day."""
    closes: TimeOfDay | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> "SpecialDay":
        if (self.opens is None) != (self.closes is None):
            raise ValueError("give both opens and closes, or neither for a day that is closed")
        if self.opens is not None and self.closes is not None:
            _refuse_no_stretch(self.opens, self.closes)
        return self


class Holidays(Model):
    """Public holidays, on which no calls are taken."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    """ISO 3166 two letters."""
    region: str = ""
    """ISO 3166-2, without the country: "BY", "CA"."""


class OutOfHours(Model):
    """What happens to a call outside the hours."""

    do: Literal["message", "transfer", "answer"] = "message"
    """message: the phrase `closed`, and hang up. transfer: to `number`. answer: the agent takes it all the same, and
    its flow sees `open == false`."""
    number: E164 | None = None

    @model_validator(mode="after")
    def _knows_where_to(self) -> "OutOfHours":
        if self.do == "transfer" and not self.number:
            raise ValueError("a transfer out of hours needs a number")
        return self


class Guardrails(Model):
    """What the agent must never say, checked for each sentence before it is spoken."""

    forbidden: tuple[str, ...] = ()
    """Topics, in words that name them: "legal advice", a competitor's name; a sentence that holds them isn't said."""
    instead: str = "I'm sorry, I can't talk about that. Is there anything else I can do for you?"
    """Said in its place."""
    then: Literal["go_on", "transfer", "end"] = "go_on"
    """What follows."""
    redact_cards: bool = True
    """Payment card numbers are never stored, and the model never sees them."""


class Agent(Model):
    """Stored at organisations/{org}/agents/{id}."""

    id: str
    organisation: str
    name: str
    description: str = ""
    active: bool = True
    """An agent that is switched off takes no calls."""
    live: int
    """The number of the version that takes calls; 0 while there is none."""

    @property
    def takes_calls(self) -> bool:
        """It is switched on, and a version of it was published."""
        return self.active and self.live > 0


class AgentDraft(Model):
    """What a person writes: a version before it is published."""

    prompt: str = ""
    """What the model is told in every request."""
    personality: str = ""
    """How it speaks: added to the prompt."""
    model: str = ""
    """Empty for the provider's default."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.3
    voice: str = ""
    """The voice provider's name for it; empty for its default."""
    speed: Annotated[float, Field(ge=0.25, le=2)] = 1.0
    language: str = "en-US"
    """BCP 47: what is recognised and spoken."""
    providers: Providers = Providers()
    tools: tuple[str, ...] = ()
    """Every tool that its flow or its model may use."""
    max_concurrent_calls: Annotated[int, Field(ge=1)] = 1000
    transfer_number: E164 | None = None
    """Where a caller who asks for a person is put through to."""
    fallback_number: E164 | None = None
    """Where a call goes that we can't go on with."""
    time_zone: TimeZone | Literal[""] = ""
    """Empty for the organisation's."""
    hours: tuple[Opening, ...] = ()
    """When calls are taken; empty for always."""
    special_days: tuple[SpecialDay, ...] = ()
    """They come before `hours` and `holidays`."""
    holidays: Holidays | None = None
    out_of_hours: OutOfHours = OutOfHours()
    knowledge: tuple[str, ...] = ()
    """Ids of the documents that are searched before the model answers; ("*",) for all of the organisation's."""
    guardrails: Guardrails = Guardrails()
    follow_up: str = ""
    """The name of the message template that is sent to the caller after the call; empty for none."""
    listening: Listening = Listening()
    patience: Patience = Patience()
    phrases: Phrases = Phrases()
    flow: Flow

    @model_validator(mode="after")
    def _special_days_are_open_or_closed(self) -> "AgentDraft":
        closed = {day.date for day in self.special_days if day.opens is None}
        for day in self.special_days:
            if day.opens is not None and day.date in closed:
                raise ValueError(f"special_days: {day.date} is given both as closed and with hours")
        return self


class AgentVersion(AgentDraft):
    """What a call is held with: immutable, pinned for the call's whole life.
    Stored at organisations/{org}/agents/{id}/versions/{number}."""

    agent: str
    number: int
    """From 1, without gaps."""
    published_at: datetime
