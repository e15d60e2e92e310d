"""`python -m offhook.bench.server`: the platform that a measurement calls, as `offhook up` runs it, in a process of its
own. Its plan is the first line of standard input; it ends when that is closed."""

import asyncio
import sys

from adapters.wiring import open_ports
from offhook.bench.affinity import stay_on
from offhook.bench.agent import publish
from offhook.bench.lifeline import end_with_parent
from offhook.bench.plan import ServerPlan
from offhook.main import server, set_up_logs
from offhook.platform import platform

LOG_LEVEL = "warning"


async def prepare(plan: ServerPlan) -> None:
    """Puts the agent into the home before the platform opens it."""
    async with open_ports(plan.settings) as ports:
        await publish(ports, plan.calls)


def main() -> None:
    """Serves until standard input is closed."""
    plan = ServerPlan.model_validate_json(sys.stdin.buffer.readline())
    stay_on(plan.cores)
    set_up_logs(LOG_LEVEL)
    asyncio.run(prepare(plan))
    serving = server(platform(plan.settings), plan.settings, log_level=LOG_LEVEL)

    def end() -> None:
        serving.should_exit = True

    end_with_parent(end)
    serving.run()


if __name__ == "__main__":
    main()
