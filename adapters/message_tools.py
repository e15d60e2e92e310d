"""The tool that sends text messages."""

from collections.abc import Mapping

from pydantic import BaseModel, Field, ValidationError

from domain.outbox import Outbox, Unsendable, address_of, message_id
from domain.ports import Clock
from domain.unfit import first_fault
from schemas.organisation import Organisation
from schemas.outbound_message import OutboundMessage
from schemas.tool import Tool, ToolCall, ToolResult


class SendSms(BaseModel):
    text: str = Field(description="What it says, at most 1600 characters.")
    to: str = Field(default="", description="The phone number, if it isn't the caller's.")


TOOL = Tool(
    name="send_sms",
    description="Sends a text message, to the caller unless told otherwise.",
    parameters=SendSms.model_json_schema(),
    acts=True,
    if_unknown="retry",
)


class MessageTools:
    """`send_sms`: queues a message, once for each call's key. That it was delivered is told later, with the message."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox, self._clock = outbox, clock

    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        """For everyone."""
        return {TOOL.name: TOOL}

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        """Validates the arguments first. Cancelling may come after the effect."""
        if call.tool != TOOL.name:
            return ToolResult(id=call.id, error=f"there is no tool {call.tool!r}")
        try:
            wanted = SendSms.model_validate(call.arguments)
            message = await self._send(organisation, wanted, call)
        except ValidationError as problem:
            return ToolResult(id=call.id, error=first_fault(problem))
        except Unsendable as problem:
            return ToolResult(id=call.id, error=str(problem))
        if message.state == "suppressed":
            return ToolResult(id=call.id, error=f"{message.to} has opted out of text messages")
        output = {"id": message.id, "state": message.state, "to": message.to, "segments": message.segments}
        return ToolResult(id=call.id, output=output)

    async def _send(self, organisation: Organisation, wanted: SendSms, call: ToolCall) -> OutboundMessage:
        to = wanted.to.strip() or call.caller
        if not to:
            raise Unsendable("to", "the caller's number is withheld: ask for one")
        now = self._clock.now()
        message = OutboundMessage(
            id=message_id(organisation.id, "tool", call.key or call.id),
            channel="sms",
            to=address_of("sms", to, organisation.country),
            text=wanted.text,
            conversation=call.key.partition(":")[0],
            due_at=now,
            created_at=now,
        )
        return await self._outbox.schedule(organisation.id, message, now)
