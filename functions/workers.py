"""Who takes which event and does which task, in whatever process they reach."""

from collections.abc import Awaitable, Callable

from domain.ports import Event, Ports, Task
from functions import webhooks
from functions.analyse import analyse
from functions.knowledge import read_document

GetPorts = Callable[[], Awaitable[Ports]]


def take_events(ports: Ports) -> None:
    """From now on, those of the bus."""

    async def on_ended(event: Event) -> None:
        await analyse(ports, event)

    ports.bus.subscribe("conversation.ended", "analyse", on_ended)


def do_tasks(ports: Ports) -> None:
    """From now on, those of the queue."""

    async def on_left_alone(task: Task) -> None:
        await webhooks.left_alone(ports, task)

    async def on_settle_appointment(task: Task) -> None:
        await ports.calendars.settle(task.body["organisation"], task.body["appointment"])

    async def on_read_document(task: Task) -> None:
        await read_document(ports, task)

    ports.queue.serve("left_alone", on_left_alone)
    ports.queue.serve("read_document", on_read_document)
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
