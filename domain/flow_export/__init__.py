"""Writes flows in the two foreign formats. Pure. What they mean to us is told in docs/flows.md."""

from domain.flow_export.exported import Exported
from domain.flow_export.to_f import write_f
from domain.flow_export.to_v import write_v

__all__ = ["Exported", "write_f", "write_v"]
