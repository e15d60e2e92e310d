"""The tools that come with the platform: appointments, and the two look-ups of the order desk."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from domain.ports import Clock, Documents, Transaction
from schemas.appointment import Appointment
from schemas.organisation import Organisation
from schemas.tool import Tool, ToolCall, ToolResult

PER_SLOT = 100
"""How many appointments begin at the same minute, unless calendars/main says otherwise."""


class Declined(Exception):
    """The tool did not do it. The message says why, for the caller's agent."""


class BookAppointment(BaseModel):
    date: date
    time: time
    name: str = ""
    phone: str = ""


class OrderStatus(BaseModel):
    order_number: str


class ItemStock(BaseModel):
    item: str


class BuiltinTools:
    """Tools over the organisation's own documents."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents, self._clock = documents, clock
        self._known: dict[str, tuple[Tool, type[BaseModel], Callable[..., Awaitable[dict[str, Any]]]]] = {}
        self._add("book_appointment", "Books an appointment.", BookAppointment, self._book, acts=True)
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
            arguments = kind.model_validate(call.arguments)
            return ToolResult(id=call.id, output=await run(organisation, arguments, call.key))
        except ValidationError as problem:
            first = problem.errors()[0]
            return ToolResult(id=call.id, error=f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except Declined as problem:
            return ToolResult(id=call.id, error=str(problem))

    async def _book(self, organisation: Organisation, wanted: BookAppointment, key: str) -> dict[str, Any]:
        """Once per key: the key is the appointment's id."""
        now = self._clock.now()
        zone = ZoneInfo(organisation.time_zone)
        if datetime.combine(wanted.date, wanted.time, zone) <= now:
            raise Declined("that time has passed")
        root = f"organisations/{organisation.id}"
        appointment = Appointment(
            id=f"apt_{hashlib.sha256(key.encode()).hexdigest()[:20]}",
            key=key,
            conversation=key.partition(":")[0],
            date=wanted.date.isoformat(),
            time=f"{wanted.time:%H:%M}",
            name=wanted.name,
            phone=wanted.phone,
            booked_at=now,
        )

        async def body(tx: Transaction) -> str:
            slot = f"{root}/slots/{appointment.date}T{appointment.time}"
            if await tx.get(f"{root}/appointments/{appointment.id}"):
                return appointment.id
            calendar = await tx.get(f"{root}/calendars/main") or {}
            taken = (await tx.get(slot) or {}).get("taken", 0)
            if taken >= calendar.get("per_slot", PER_SLOT):
                raise Declined("that time is taken")
            tx.put(slot, {"taken": taken + 1})
            tx.put(f"{root}/appointments/{appointment.id}", appointment.model_dump(mode="json"))
            return appointment.id

        return {"id": await self._documents.transact(body), "date": appointment.date, "time": appointment.time}

    async def _order(self, organisation: Organisation, wanted: OrderStatus, key: str) -> dict[str, Any]:
        return await self._look_up(organisation, "orders", wanted.order_number, "order")

    async def _item(self, organisation: Organisation, wanted: ItemStock, key: str) -> dict[str, Any]:
        return await self._look_up(organisation, "items", wanted.item.lower().replace(" ", "-"), "item")

    async def _look_up(self, organisation: Organisation, collection: str, id: str, noun: str) -> dict[str, Any]:
        found = None
        if id and "/" not in id:
            found = await self._documents.get(f"organisations/{organisation.id}/{collection}/{id}")
        if found is None:
            raise Declined(f"there is no such {noun}")
        return found
