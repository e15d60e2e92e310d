"""Twilio's side of the webhooks: signatures and TwiML."""

import re
from collections.abc import Mapping

from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Dial, Gather, VoiceResponse

from domain.ports import ANY_VOICE, VoiceStyle

RING_S = 30
"""How long a transfer rings."""
DECIDE_S = 10
"""How long a person may think, once they were told what a call is about."""
OVERRIDES = "#ct=2000&rt=4900&rc=3&rp=ct,rt,5xx"
"""Behind each address that Twilio is to ask: by default it tries again only if it found no connection. It gives up 15 s
after it first asked, whatever is said here: enough for three attempts, each of them a little longer than our webhooks
ever take. Source: its page "Webhooks: Connection Overrides"."""


class TwilioTelephony:
    """Telephony for one Twilio account."""

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def verify(self, url: str, form: Mapping[str, str], signature: str) -> bool:
        """With Twilio's own validator. It tries the URL with and without its port; one without a port is given its
        scheme's, since for wss the validator would assume 80. What follows a # in the URL is never signed."""
        url = url.partition("#")[0]
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        if scheme == "wss" and ":" not in host.rpartition("]")[2]:
            url = f"wss://{host}:443{slash}{path}"
        return bool(self._validator.validate(url, form, signature))

    def connect(
        self, stream_url: str, ticket: str, next_url: str, status_url: str, pause_s: int = 0, keys: str = ""
    ) -> str:
        """`<Connect>` with a bidirectional stream; Twilio asks `next_url` once it ends, for whatever reason. A stream
        can't send keys, so they are played before it."""
        response = VoiceResponse()
        if pause_s:
            response.pause(length=pause_s)
        if keys:
            response.play(digits=keys)
        connect = Connect(action=next_url + OVERRIDES, method="POST")
        stream = connect.stream(url=stream_url, status_callback=status_url + OVERRIDES, status_callback_method="POST")
        stream.parameter(name="ticket", value=ticket)
        response.append(connect)
        return str(response)

    def dial(
        self,
        number: str,
        next_url: str,
        caller_id: str | None = None,
        briefing_url: str = "",
        say: str = "",
        style: VoiceStyle = ANY_VOICE,
    ) -> str:
        """`<Dial>` with a number; Twilio asks `next_url` once it is over. What it finds at `briefing_url` is done on
        the person's leg, while the caller hears it ring."""
        response = VoiceResponse()
        if say:
            response.say(say, **_voice(style))
        dial = Dial(
            action=next_url + OVERRIDES, method="POST", timeout=RING_S, answer_on_bridge=True, caller_id=caller_id
        )
        if briefing_url:
            dial.number(number, url=briefing_url + OVERRIDES, method="POST")
        else:
            dial.number(number)
        response.append(dial)
        return str(response)

    def brief(self, text: str, accept_url: str, style: VoiceStyle = ANY_VOICE) -> str:
        """`<Gather>` of any one key around a `<Say>`, and `<Hangup>`. It begins with a pause: a telephone that was just
        picked up isn't at the ear yet."""
        response = VoiceResponse()
        gather = Gather(
            input="dtmf",
            action=accept_url + OVERRIDES,
            method="POST",
            num_digits=1,
            timeout=DECIDE_S,
            finish_on_key="",  # else # would count as no key at all
        )
        gather.pause(length=1)
        gather.say(text, **_voice(style))
        response.append(gather)
        response.hangup()
        return str(response)

    def bridge(self) -> str:
        """An empty `<Response>`: Twilio connects the two when a person's instructions have come to their end."""
        return str(VoiceResponse())

    def ask_again(self, url: str, pause_s: int) -> str:
        """`<Pause>` and `<Redirect>`."""
        response = VoiceResponse()
        response.pause(length=pause_s)
        response.redirect(url + OVERRIDES, method="POST")
        return str(response)

    def say_goodbye(self, text: str, style: VoiceStyle = ANY_VOICE) -> str:
        """`<Say>` and `<Hangup>`."""
        response = VoiceResponse()
        response.say(text, **_voice(style))
        response.hangup()
        return str(response)

    def hang_up(self) -> str:
        """`<Hangup>`."""
        response = VoiceResponse()
        response.hangup()
        return str(response)


_GOOGLE_S = re.compile(r"[a-z]{2,3}-[A-Z]{2}-(Standard|Wavenet|Neural2|Chirp3-HD)-[A-Za-z]+")


def _voice(style: VoiceStyle) -> dict[str, str]:
    """Twilio speaks with many of Google's voices, too; of any other it has one for the language."""
    named = {"voice": f"Google.{style.voice}"} if _GOOGLE_S.fullmatch(style.voice) else {}
    return {"language": style.language, **named}
