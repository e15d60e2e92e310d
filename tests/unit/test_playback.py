"""What of a reply was heard."""

from hypothesis import given
from hypothesis import strategies as st

from domain.mulaw import silence
from domain.playback import Playback


def test_a_marked_sentence_was_heard_whole() -> None:
    playback = Playback()
    playback.say("One two three.")
    playback.sent(silence(900), now=0)
    number = playback.spoken("One two three.")
    playback.marked(number, now=900)
    assert playback.done
    assert playback.split(now=900) == ("One two three.", "")


def test_a_sentence_cut_in_the_middle_was_heard_in_part() -> None:
    playback = Playback()
    playback.say("One two three four.")
    playback.sent(silence(1000), now=0)
    playback.spoken("One two three four.")
    assert playback.split(now=500) == ("One two", "three four.")


def test_without_its_mark_a_sentence_was_not_heard_to_the_end() -> None:
    playback = Playback()
    playback.say("One two.")
    playback.sent(silence(1000), now=0)
    playback.spoken("One two.")
    assert playback.split(now=5000) == ("One", "two.")


def test_sentences_are_heard_in_order() -> None:
    playback = Playback()
    for sentence in ("First one.", "Second one."):
        playback.say(sentence)
    playback.sent(silence(1000), now=0)
    first = playback.spoken("First one.")
    playback.sent(silence(1000), now=10)
    playback.spoken("Second one.")
    playback.marked(first, now=1000)
    assert playback.split(now=1600) == ("First one. Second", "one.")


def test_a_late_mark_moves_what_follows() -> None:
    playback = Playback()
    playback.say("First one.")
    playback.say("Second one.")
    playback.sent(silence(1000), now=0)
    first = playback.spoken("First one.")
    playback.sent(silence(1000), now=0)
    playback.spoken("Second one.")
    playback.marked(first, now=1500)
    assert playback.ends_at == 2500
    assert playback.split(now=1600) == ("First one.", "Second one.")


def test_a_voice_that_does_not_tell_sentences_apart_is_estimated() -> None:
    playback = Playback()
    text = "one two three four five six seven eight nine ten"
    playback.say(text)
    playback.sent(silence(1000), now=0)  # about a third of what this text takes to say
    heard, unheard = playback.split(now=1000)
    assert 2 <= len(heard.split()) <= 4
    assert f"{heard} {unheard}" == text


def test_nothing_sent_is_nothing_heard() -> None:
    playback = Playback()
    playback.say("Hello there.")
    assert playback.split(now=100) == ("", "Hello there.")


@given(
    st.lists(st.tuples(st.text("abc ", min_size=1, max_size=30), st.integers(0, 3000), st.booleans()), max_size=6),
    st.integers(0, 20_000),
)
def test_heard_and_unheard_are_always_the_whole_text(sentences: list[tuple[str, int, bool]], now: int) -> None:
    playback = Playback()
    waiting: list[str] = []
    for text, ms, complete in sentences:
        playback.say(text)
        waiting.append(text)
        playback.sent(silence(ms), now=0)
        if complete:
            playback.spoken(" ".join(waiting))
            waiting.clear()
    heard, unheard = playback.split(now)
    said = [word for text, _, _ in sentences for word in text.split()]
    assert sorted((heard + " " + unheard).split()) == sorted(said)


def test_a_pause_stops_the_clock() -> None:
    playback = Playback()
    playback.say("One two three four.")
    playback.sent(silence(1000), now=0)
    number = playback.spoken("One two three four.")
    playback.pause(now=500)
    assert playback.split(now=900) == ("One two", "three four.")
    assert playback.unplayed(now=900) == 500
    assert playback.quiet_for(now=900) == 400
    playback.resume(now=1200)
    assert playback.ends_at == 1700
    assert playback.unplayed(now=1300) == 400
    assert playback.split(now=1450)[0] == "One two three"
    playback.marked(number, now=1700)
    assert playback.split(now=1700) == ("One two three four.", "")


def test_what_was_heard_before_a_pause_stays_heard() -> None:
    playback = Playback()
    for at, sentence in enumerate(("First one.", "Second one.")):
        playback.say(sentence)
        playback.sent(silence(500), now=0)
        assert playback.spoken(sentence) == at
    playback.marked(0, now=500)
    playback.pause(now=750)
    playback.pause(now=800)  # once is enough
    playback.resume(now=1750)
    assert playback.ends_at == 2000
    assert playback.split(now=1750)[0].startswith("First one.")
