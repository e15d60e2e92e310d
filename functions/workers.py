"""Who takes which event and does which task, in whatever process they reach."""

from collections.abc import Awaitable, Callable

from domain.ended import ENDED
from domain.outbox import SEND
from domain.ports import Event, Ports, Task
from functions import webhooks
from functions.analyse import analyse
from functions.appointment_messages import BOOKED, CANCELLED, appointment_booked, appointment_cancelled
from functions.follow_up import follow_up
from functions.knowledge import read_document
from functions.messages import send_message

GetPorts = Callable[[], Awaitable[Ports]]


def take_events(ports: Ports) -> None:
    """From now on, those of the bus."""

    async def on_ended(event: Event) -> None:
        await analyse(ports, event)

    async def on_ended_too(event: Event) -> None:
        await follow_up(ports, event)

    async def on_booked(event: Event) -> None:
        await appointment_booked(ports, event)

    async def on_cancelled(event: Event) -> None:
        await appointment_cancelled(ports, event)

    ports.bus.subscribe(ENDED, "analyse", on_ended)
    ports.bus.subscribe(ENDED, "follow_up", on_ended_too)
    ports.bus.subscribe(BOOKED, "appointment_booked", on_booked)
    ports.bus.subscribe(CANCELLED, "appointment_cancelled", on_cancelled)


def do_tasks(ports: Ports) -> None:
    """From now on, those of the queue."""

    async def on_left_alone(task: Task) -> None:
        await webhooks.left_alone(ports, task)

    async def on_settle_appointment(task: Task) -> None:
        await ports.calendars.settle(task.body["organisation"], task.body["appointment"])

    async def on_read_document(task: Task) -> None:
        await read_document(ports, task)

    async def on_due_message(task: Task) -> None:
        await send_message(ports, task)

    ports.queue.serve("left_alone", on_left_alone)
    ports.queue.serve("read_document", on_read_document)
    ports.queue.serve(SEND, on_due_message)
    ports.queue.serve("settle_appointment", on_settle_appointment)


def doing_tasks(get_ports: GetPorts) -> GetPorts:
    """The same ports, but whoever gets them may rely on it that tasks are done."""
    working: Ports | None = None

    async def get() -> Ports:
        nonlocal working
        ports = await get_ports()
        if ports is not working:
            do_tasks(ports)
            working = ports
        return ports

    return get
