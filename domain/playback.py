"""What of a reply was heard: sound sent, marks returned and the time since, as far as the two agree.

The far end plays what it gets in order, at 8 bytes a ms, from the moment it gets it. Times are in ms of one clock."""

from dataclasses import dataclass

from domain.mulaw import milliseconds

MS_PER_CHARACTER = 65
"""How long speech takes whose own length isn't known yet: a voice speaks some 15 characters a second."""


@dataclass(slots=True)
class _Segment:
    text: str
    starts: float
    ends: float
    marked: bool = False


class Playback:
    """One reply's playback."""

    def __init__(self) -> None:
        self._segments: list[_Segment] = []
        self._open_since: float | None = None
        self._head = 0.0  # when what was sent so far will have been played
        self._said: list[str] = []  # given to the voice, not yet known to be spoken
        self._paused_at: float | None = None

    @property
    def ends_at(self) -> float:
        """When all that was sent will have been played."""
        return self._head

    @property
    def done(self) -> bool:
        """Whether marks confirmed everything."""
        return self._open_since is None and all(segment.marked for segment in self._segments)

    def unplayed(self, now: float) -> float:
        """How many ms of what was sent are still to be played."""
        return max(0.0, self._head - (now if self._paused_at is None else self._paused_at))

    def quiet_for(self, now: float) -> float:
        """How many ms nothing has been playing."""
        return max(0.0, now - (self._head if self._paused_at is None else min(self._head, self._paused_at)))

    def pause(self, now: float) -> None:
        """The far end dropped what it had not played; it will be sent again."""
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """Sound goes on where it was paused."""
        if self._paused_at is not None:
            self._delay(0, now - self._paused_at)
            self._paused_at = None

    def say(self, text: str) -> None:
        """A sentence was given to the voice."""
        self._said.append(text)

    def sent(self, sound: bytes, now: float) -> None:
        """Sound went out."""
        starts = max(self._head, now)
        if self._open_since is None:
            self._open_since = starts
        self._head = starts + milliseconds(sound)

    def spoken(self, text: str) -> int:
        """What was sent since the last time speaks this text. Returns the segment's number, to mark it with."""
        starts = self._head if self._open_since is None else self._open_since
        self._segments.append(_Segment(text, starts, self._head))
        self._open_since = None
        rest = text.strip()
        while self._said and rest.startswith(self._said[0].strip()):
            rest = rest[len(self._said.pop(0).strip()) :].strip()
        return len(self._segments) - 1

    def marked(self, number: int, now: float) -> None:
        """The segment's mark came back, sent off by the far end now: it was heard whole. If later than thought, so is
        all that follows."""
        segment = self._segments[number]
        if not segment.marked and (late := now - segment.ends) > 0:
            self._delay(number + 1, late)
        segment.marked = True

    def heard(self, number: int) -> None:
        """The segment was heard whole, though its mark was lost."""
        self._segments[number].marked = True

    def _delay(self, since: int, ms: float) -> None:
        """Everything from this segment on, as far as it wasn't heard, is played so much later."""
        for segment in self._segments[since:]:
            if not segment.marked:
                segment.starts += ms
                segment.ends += ms
        self._head += ms
        if self._open_since is not None:
            self._open_since += ms

    def split(self, now: float) -> tuple[str, str]:
        """The words heard by now, and the words to come."""
        now = now if self._paused_at is None else self._paused_at
        heard: list[str] = []
        unheard: list[str] = []
        for segment in self._segments:
            if segment.marked:
                heard.append(segment.text)
                continue
            first, rest = _divide(segment.text, _share(segment.starts, segment.ends, now))
            heard.append(first)
            unheard.append(rest)
        if self._said:
            text = " ".join(self._said)
            share = 0.0
            if self._open_since is not None:
                ends = max(self._open_since + len(text) * MS_PER_CHARACTER, self._head)
                share = _share(self._open_since, ends, min(now, self._head))
            first, rest = _divide(text, share)
            heard.append(first)
            unheard.append(rest)
        return _join(heard), _join(unheard)


def _share(starts: float, ends: float, now: float) -> float:
    return min(max((now - starts) / (ends - starts), 0.0), 1.0) if ends > starts else 0.0


def _divide(text: str, share: float) -> tuple[str, str]:
    """Whole words only, and never all of them: without its mark a text wasn't heard to the end."""
    words = text.split()
    length = sum(len(word) + 1 for word in words) * share
    heard = 0
    for word in words[:-1]:
        length -= len(word) + 1
        if length < 0:
            break
        heard += 1
    return " ".join(words[:heard]), " ".join(words[heard:])


def _join(texts: list[str]) -> str:
    return " ".join(text for text in texts if text)
