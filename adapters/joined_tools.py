"""Several sets of tools as one."""

from collections.abc import Mapping

from domain.ports import Tools
from schemas.organisation import Organisation
from schemas.tool import Tool, ToolCall, ToolResult


class JoinedTools:
    """See `domain.ports.Tools`. Of two tools of one name, the earlier set's is offered and run."""

    def __init__(self, *sets: Tools) -> None:
        self._sets = sets

    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        offered: dict[str, Tool] = {}
        for each in self._sets:
            offered = {**await each.offered(organisation), **offered}
        return offered

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        for each in self._sets:
            if call.tool in await each.offered(organisation):
                return await each.run(organisation, call)
        return ToolResult(id=call.id, error=f"there is no tool {call.tool!r}")
