"""Tools that act on the call itself: the conversation does them, nobody runs them."""

from collections.abc import Mapping

from schemas.tool import Tool

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
PRESS_KEYS = "press_keys"

_DIGITS = {"type": "string", "description": "0-9, * and #; w waits half a second", "pattern": "^[0-9*#w]{1,32}$"}

CONTROLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name=END_CALL,
            description="Ends the call, once the caller has what they wanted and said goodbye. Say goodbye first.",
            parameters={"type": "object", "properties": {}},
        ),
        Tool(
            name=TRANSFER_CALL,
            description="Puts the caller through to a person. Tell the caller first.",
            parameters={"type": "object", "properties": {}},
        ),
        Tool(
            name=PRESS_KEYS,
            description="Presses keys of the telephone, for a menu at the other end.",
            parameters={"type": "object", "properties": {"digits": _DIGITS}, "required": ["digits"]},
        ),
    )
}
