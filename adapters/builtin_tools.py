"""The tools that come with the platform: appointments, and the two look-ups of the order desk."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from adapters.appointment_tools import (
    AppointmentTools,
    BookAppointment,
    CancelAppointment,
    FreeTimes,
    ListAppointments,
)
from domain.ports import Calendars, Clock, Declined, Documents
from domain.unfit import first_fault
from schemas.organisation import Organisation
from schemas.tool import Tool, ToolCall, ToolResult


class OrderStatus(BaseModel):
    order_number: str


class ItemStock(BaseModel):
    item: str


class BuiltinTools:
    """Tools over the organisation's own documents and calendars."""

    def __init__(self, documents: Documents, clock: Clock, calendars: Calendars) -> None:
        self._documents = documents
        self._known: dict[str, tuple[Tool, type[BaseModel], Callable[..., Awaitable[dict[str, Any]]]]] = {}
        appointments = AppointmentTools(calendars, clock)
        self._add("free_times", "Looks up when an appointment can be had.", FreeTimes, appointments.free)
        self._add("book_appointment", "Books an appointment.", BookAppointment, appointments.book, acts=True)
        self._add("list_appointments", "Looks up the caller's appointments.", ListAppointments, appointments.list)
        self._add(
            "cancel_appointment",
            "Cancels one of the caller's appointments.",
            CancelAppointment,
            appointments.cancel,
            acts=True,
        )
        self._add("check_order_status", "Looks up where an order is.", OrderStatus, self._order)
        self._add("check_item_stock", "Looks up how many of an item are in stock.", ItemStock, self._item)
        self._tools = {name: tool for name, (tool, _, _) in self._known.items()}

    def _add(
        self,
        name: str,
        description: str,
        arguments: type[BaseModel],
        run: Callable[..., Awaitable[dict[str, Any]]],
        acts: bool = False,
    ) -> None:
        parameters = arguments.model_json_schema()
        tool = Tool(name=name, description=description, parameters=parameters, acts=acts, if_unknown="retry")
        self._known[name] = (tool, arguments, run)

    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        """All of them, for everyone."""
        return self._tools

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        """Validates the arguments first. Cancelling may come after the effect."""
        if call.tool not in self._known:
            return ToolResult(id=call.id, error=f"there is no tool {call.tool!r}")
        _, kind, run = self._known[call.tool]
        try:
            given = {name: value for name, value in call.arguments.items() if value is not None}
            return ToolResult(id=call.id, output=await run(organisation, kind.model_validate(given), call))
        except ValidationError as problem:
            return ToolResult(id=call.id, error=first_fault(problem))
        except Declined as problem:
            return ToolResult(id=call.id, error=str(problem))

    async def _order(self, organisation: Organisation, wanted: OrderStatus, call: ToolCall) -> dict[str, Any]:
        return await self._look_up(organisation, "orders", wanted.order_number, "order")

    async def _item(self, organisation: Organisation, wanted: ItemStock, call: ToolCall) -> dict[str, Any]:
        return await self._look_up(organisation, "items", wanted.item.lower().replace(" ", "-"), "item")

    async def _look_up(self, organisation: Organisation, collection: str, id: str, noun: str) -> dict[str, Any]:
        found = None
        if id and "/" not in id:
            found = await self._documents.get(f"organisations/{organisation.id}/{collection}/{id}")
        if found is None:
            raise Declined(f"there is no such {noun}")
        return found
