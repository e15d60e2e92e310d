"""TwiML → verbs. What the tables here don't list is refused, as a schema validator would.

Sources: Twilio's TwiML pages for each verb. Left out because nothing here carries them out: conferences, queues, SIP
and client legs, recording, payments, speech in `<Gather>`, one-way streams.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from offhook.carrier.violation import Breach

NOT_XML = 12100
NOT_VALID = 12200
BAD_URL = 11100
BAD_VOICE = 13512

LONGEST_PARAMETER = 500
"""Characters of a `<Parameter>`: its name and its value together are shorter."""
KEYS = frozenset("0123456789*#")
_VOICE = re.compile(r"man|woman|alice|(Google|Polly)\.[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Play:
    url: str
    """Empty if only digits are played."""
    digits: str = ""
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: int = 1


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Stream:
    url: str
    name: str = ""
    status_callback: str = ""
    status_callback_method: str = "POST"
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Connect:
    stream: Stream
    action: str | None = None
    """None: go on with the next verb."""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Dial:
    number: str
    action: str | None = None
    method: str = "POST"
    timeout_s: int = 30
    caller_id: str = ""
    url: str = ""
    """Where to ask what happens on the leg of who answers, before the two are connected; empty for nothing."""
    url_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Gather:
    prompts: "tuple[Say | Play | Pause, ...]" = ()
    action: str | None = None
    """None: ask the address that this document came from."""
    method: str = "POST"
    num_digits: int | None = None
    timeout_s: int = 5
    finish_on_key: str = "#"
    action_on_empty_result: bool = False


Verb = Say | Play | Pause | Hangup | Reject | Redirect | Connect | Dial | Gather


@dataclass(frozen=True, slots=True)
class _Rule:
    """What may stand in an element."""

    attributes: str = ""
    children: str = ""
    text: bool = False


_SPOKEN = "break emphasis lang p phoneme prosody s say-as sub w"
_VERBS = "Say Play Pause Hangup Reject Redirect Connect Dial Gather"

_GRAMMAR = {
    "Response": _Rule(children=_VERBS),
    "Say": _Rule("voice language loop", text=True),
    "Play": _Rule("loop digits", text=True),
    "Pause": _Rule("length"),
    "Hangup": _Rule(),
    "Reject": _Rule("reason"),
    "Redirect": _Rule("method", text=True),
    "Connect": _Rule("action method", "Stream"),
    "Stream": _Rule("url name track statusCallback statusCallbackMethod", "Parameter"),
    "Parameter": _Rule("name value"),
    "Dial": _Rule("action method timeout timeLimit callerId answerOnBridge hangupOnStar ringTone", "Number", text=True),
    "Number": _Rule("url method", text=True),
    "Gather": _Rule("input action method timeout numDigits finishOnKey actionOnEmptyResult language", "Say Play Pause"),
}


def parse(text: str) -> tuple[Verb, ...]:
    """The verbs of a TwiML document, in order. Raises Breach."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as problem:
        raise Breach(NOT_XML, f"the TwiML is not XML: {problem}") from None
    if root.tag != "Response":
        raise Breach(NOT_VALID, f"the TwiML's root is <{root.tag}>, not <Response>")
    _check(root)
    return tuple(_VERB[element.tag](element) for element in root)


def _check(element: Element) -> None:
    rule = _GRAMMAR[element.tag]
    if unknown := set(element.attrib) - set(rule.attributes.split()):
        names = ", ".join(sorted(unknown))
        raise Breach(NOT_VALID, f"<{element.tag}> has an attribute that the simulated carrier doesn't know: {names}")
    if element.tag == "Say":  # speech markup inside is of no interest here
        if strange := {child.tag for child in element.iter()} - {"Say", *_SPOKEN.split()}:
            raise Breach(NOT_VALID, f"<{strange.pop()}> can't stand in <Say>")
        return
    loose = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
    if loose and not rule.text:
        raise Breach(NOT_VALID, f"<{element.tag}> holds text: {loose[:40]!r}")
    allowed = rule.children.split()
    for child in element:
        if child.tag not in _GRAMMAR:
            raise Breach(NOT_VALID, f"<{child.tag}> is not a verb or noun that the simulated carrier knows")
        if child.tag not in allowed:
            raise Breach(NOT_VALID, f"<{child.tag}> can't stand in <{element.tag}>")
        _check(child)


# --- one builder a verb ---------------------------------------------------------------------------------------


def _say(element: Element) -> Say:
    voice = element.get("voice", "alice")
    if not _VOICE.fullmatch(voice):
        raise Breach(BAD_VOICE, f"<Say voice={voice!r}> is no voice of Twilio's")
    return Say(" ".join("".join(element.itertext()).split()))


def _play(element: Element) -> Play:
    url, digits = _text(element), element.get("digits", "")
    if not url and not digits:
        raise Breach(NOT_VALID, "<Play> has neither a URL nor digits")
    if set(digits) - KEYS - set("wW"):
        raise Breach(NOT_VALID, f"<Play digits={digits!r}> are not keys")
    return Play(url, digits, max(_number(element, "loop", 1), 1))


def _pause(element: Element) -> Pause:
    return Pause(_number(element, "length", 1))


def _reject(element: Element) -> Reject:
    return Reject(_one_of(element, "reason", "rejected", "busy"))


def _redirect(element: Element) -> Redirect:
    if not (url := _text(element)):
        raise Breach(NOT_VALID, "<Redirect> has no URL")
    return Redirect(url, _method(element))


def _connect(element: Element) -> Connect:
    if len(element) != 1:
        raise Breach(NOT_VALID, f"<Connect> holds {len(element)} nouns, not one")
    return Connect(_stream(element[0]), element.get("action"), _method(element))


def _stream(element: Element) -> Stream:
    url = element.get("url", "")
    if not url.startswith(("wss://", "ws://127.0.0.1", "ws://localhost", "ws://[::1]")):
        # Twilio takes wss only; plain ws is let through where no one else can listen.
        raise Breach(BAD_URL, f"<Stream url={url!r}> is not a wss:// address")
    _one_of(element, "track", "inbound_track")
    return Stream(
        url=url,
        name=element.get("name", ""),
        status_callback=element.get("statusCallback", ""),
        status_callback_method=_method(element, "statusCallbackMethod"),
        parameters=tuple(_parameter(child) for child in element),
    )


def _parameter(element: Element) -> tuple[str, str]:
    name, value = element.get("name", ""), element.get("value", "")
    if not name:
        raise Breach(NOT_VALID, "<Parameter> has no name")
    if len(name) + len(value) >= LONGEST_PARAMETER:
        raise Breach(NOT_VALID, f"<Parameter name={name!r}> has {len(name) + len(value)} characters, 499 are allowed")
    return name, value


def _dial(element: Element) -> Dial:
    numbers = [number for number in (_text(element), *(_text(child) for child in element)) if number]
    if len(numbers) != 1:
        raise Breach(NOT_VALID, f"<Dial> names {len(numbers)} numbers; the simulated carrier dials one")
    noun = next(iter(element), element)
    return Dial(
        number=numbers[0],
        action=element.get("action"),
        method=_method(element),
        timeout_s=_number(element, "timeout", 30),
        caller_id=element.get("callerId", ""),
        url=noun.get("url", ""),
        url_method=_method(noun),
    )


def _gather(element: Element) -> Gather:
    if "dtmf" not in element.get("input", "dtmf").split():
        raise Breach(NOT_VALID, "<Gather> without dtmf: the simulated carrier gathers keys only")
    finish = element.get("finishOnKey", "#")
    if finish and finish not in KEYS:
        raise Breach(NOT_VALID, f"<Gather finishOnKey={finish!r}> is not a key")
    prompts = (_VERB[child.tag](child) for child in element)
    return Gather(
        prompts=tuple(prompt for prompt in prompts if isinstance(prompt, Say | Play | Pause)),
        action=element.get("action"),
        method=_method(element),
        num_digits=_number(element, "numDigits", 0) or None,
        timeout_s=_number(element, "timeout", 5),
        finish_on_key=finish,
        action_on_empty_result=_one_of(element, "actionOnEmptyResult", "false", "true") == "true",
    )


_VERB: dict[str, Callable[[Element], Verb]] = {
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Hangup": lambda element: Hangup(),
    "Reject": _reject,
    "Redirect": _redirect,
    "Connect": _connect,
    "Dial": _dial,
    "Gather": _gather,
}


def _text(element: Element) -> str:
    return "".join([element.text or "", *(child.tail or "" for child in element)]).strip()


def _one_of(element: Element, name: str, default: str, *others: str) -> str:
    value = element.get(name, default)
    if value not in (default, *others):
        raise Breach(NOT_VALID, f"<{element.tag} {name}={value!r}> is none of {', '.join((default, *others))}")
    return value


def _method(element: Element, name: str = "method") -> str:
    return _one_of(element, name, "POST", "GET")


def _number(element: Element, name: str, default: int) -> int:
    value = element.get(name, str(default))
    if not value.isdecimal():
        raise Breach(NOT_VALID, f"<{element.tag} {name}={value!r}> is not a whole number")
    return int(value)
