"""A table's rows as lines that are understood alone: a passage may hold one row without the table's head."""

from collections.abc import Sequence


def lines_of(rows: Sequence[Sequence[str]], has_head: bool = False) -> list[str]:
    """`[["Treatment", "Price"], ["Cleaning", "$80"]]` → `["- Treatment: Cleaning; Price: $80"]`. Without a head, cells
    stand side by side. `has_head` tells that the first row is one; otherwise it is if it looks like it."""
    rows = [row for cells in rows if any(row := [" ".join(cell.split()) for cell in cells])]
    if not rows:
        return []
    if len(rows) > 1 and (has_head or _is_head(rows[0])):
        head, *rows = rows
        return [f"- {_with_head(head, row)}" for row in rows]
    return [f"- {'; '.join(filter(None, row))}" for row in rows]


def _is_head(row: Sequence[str]) -> bool:
    """Of three columns or more, where two may as well be a name and its value."""
    return len(row) > 2 and all(cell and not any(map(str.isdigit, cell)) for cell in row[1:])


def _with_head(head: Sequence[str], row: Sequence[str]) -> str:
    named = [f"{name}: {cell}" if name else cell for name, cell in zip(head, row, strict=False) if cell]
    return "; ".join([*named, *filter(None, row[len(head) :])])
