"""What is wrong with data that isn't what it should be, in words for whoever gave it."""

from pydantic import ValidationError


def why_unfit(problem: ValidationError, most: int = 3) -> str:
    """The first things that are wrong, each with its place, and how many there are besides."""
    told = _faults(problem, most)
    more = problem.error_count() - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def first_fault(problem: ValidationError) -> str:
    """The first of them alone: `to: Field required`."""
    return _faults(problem, 1)[0]


def _faults(problem: ValidationError, most: int) -> list[str]:
    return [f"{'.'.join(map(str, error['loc'])) or 'document'}: {error['msg']}" for error in problem.errors()[:most]]
