"""The telephone company: it has calls come in to one server, as Twilio would.

For example, with a caller who is a coroutine (or a `ScriptedCaller`):

    async def caller(phone: Handset) -> None:
        await phone.listen()
        await phone.say(recordings.line("next tuesday", "slt"), "next tuesday")

    async with Carrier("http://127.0.0.1:8080") as carrier:
        call = await carrier.call("+15005550001", caller=caller)
    assert call.ended == "agent" and not call.violations
"""

from collections.abc import Callable, Mapping

from offhook.carrier.call import ANYBODY, Account, Call, Forgery, Note
from offhook.carrier.handset import Caller, stay
from offhook.carrier.noise import LineNoise
from offhook.carrier.person import Human
from offhook.carrier.webhooks import Webhooks

ACCOUNT_SID = "AC00000000000000000000000000000000"
AUTH_TOKEN = "offhook-development-token"
OVERRIDES = "#ct=2000&rt=4900&rc=3&rp=ct,rt,5xx"
"""What README.md says to put behind a number's addresses."""
CALLER = "+15005550100"
PATIENCE_S = 30.0
"""So long a caller who has nothing more to say waits for the agent to end the call."""
LONGEST_S = 600.0
SOMEBODY = Human()
NOTHING = Forgery()


class Carrier:
    """Carries any number of calls to one server, as one Twilio account. `async with` it."""

    def __init__(
        self,
        server: str,
        account_sid: str = ACCOUNT_SID,
        auth_token: str = AUTH_TOKEN,
        voice_path: str = f"/twilio/voice{OVERRIDES}",
        status_path: str = f"/twilio/status{OVERRIDES}",
        say_ms_per_character: float = 60.0,
    ) -> None:
        """`voice_path` and `status_path` are what its numbers are configured with; `say_ms_per_character` is how fast
        the carrier's own voice speaks."""
        server = server.rstrip("/")
        self.webhooks = Webhooks(auth_token)
        self.account = Account(
            account_sid, server + voice_path, server + status_path, say_ms_per_character, self.webhooks
        )

    async def __aenter__(self) -> "Carrier":
        await self.webhooks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.webhooks.__aexit__()

    async def call(
        self,
        to: str,
        from_: str = CALLER,
        caller: Caller = stay,
        *,
        human: Human = SOMEBODY,
        others: Mapping[str, Human] | None = None,
        noise: int | None = None,
        forgery: Forgery = NOTHING,
        patience_s: float = PATIENCE_S,
        longest_s: float = LONGEST_S,
        watch: Callable[[Call, Note], None] = lambda call, note: None,
    ) -> Call:
        """Calls a number and stays on the line until somebody hangs up; returns the call, over. `from_` may be
        anything ("anonymous", a SIP address, empty); `human` is whoever a transfer is dialled to, but for `others`, by
        number; `noise` seeds the line's hiss; `watch` is told what happens.
        Raises Unreachable, and whatever the caller raised. Cancelling hangs up."""
        hiss = LineNoise(noise) if noise is not None else None
        call = Call(self.account, to, from_, {ANYBODY: human, **(others or {})}, forgery, hiss, watch)
        await call.run(caller, patience_s, longest_s)
        return call
