"""Twilio's side of the webhooks: signatures and TwiML."""

from collections.abc import Mapping

from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

RING_S = 30
"""How long a transfer rings."""
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

    def connect(self, stream_url: str, ticket: str, next_url: str, status_url: str, pause_s: int = 0) -> str:
        """`<Connect>` with a bidirectional stream; Twilio asks `next_url` once it ends, for whatever reason."""
        response = VoiceResponse()
        if pause_s:
            response.pause(length=pause_s)
        connect = Connect(action=next_url + OVERRIDES, method="POST")
        stream = connect.stream(url=stream_url, status_callback=status_url + OVERRIDES, status_callback_method="POST")
        stream.parameter(name="ticket", value=ticket)
        response.append(connect)
        return str(response)

    def dial(self, number: str, next_url: str, caller_id: str | None = None) -> str:
        """`<Dial>` with a number; Twilio asks `next_url` once it is over."""
        response = VoiceResponse()
        dial = Dial(
            action=next_url + OVERRIDES, method="POST", timeout=RING_S, answer_on_bridge=True, caller_id=caller_id
        )
        dial.number(number)
        response.append(dial)
        return str(response)

    def ask_again(self, url: str, pause_s: int) -> str:
        """`<Pause>` and `<Redirect>`."""
        response = VoiceResponse()
        response.pause(length=pause_s)
        response.redirect(url + OVERRIDES, method="POST")
        return str(response)

    def say_goodbye(self, text: str, language: str = "en-US") -> str:
        """`<Say>` and `<Hangup>`."""
        response = VoiceResponse()
        response.say(text, language=language)
        response.hangup()
        return str(response)

    def hang_up(self) -> str:
        """`<Hangup>`."""
        response = VoiceResponse()
        response.hangup()
        return str(response)
