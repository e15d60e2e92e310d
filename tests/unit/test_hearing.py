"""Speech began, speech ended: counted in frames of 20 ms."""

from domain.hearing import Heard, Hearing


def hear(hearing: Hearing, frames: str) -> list[tuple[int, Heard]]:
    """`#` is a frame of speech, anything else is not; what began or ended, and at which frame."""
    return [(number, change) for number, change in changes(hearing, frames) if change is not Heard.PAUSED]


def changes(hearing: Hearing, frames: str) -> list[tuple[int, Heard]]:
    heard = [(number, hearing.hear(frame == "#")) for number, frame in enumerate(frames)]
    return [(number, change) for number, change in heard if change]


def test_speech_begins_after_the_minimum_and_ends_after_the_release() -> None:
    assert hear(Hearing(100, release_ms=60), "..#######....") == [(6, Heard.BEGAN), (11, Heard.ENDED)]


def test_a_cough_is_not_speech() -> None:
    assert hear(Hearing(100), "..###.......###......") == []


def test_a_gap_within_the_window_is_bridged() -> None:
    assert hear(Hearing(100), "##.##.#") == [(6, Heard.BEGAN)]


def test_a_stop_consonant_does_not_end_speech() -> None:
    assert hear(Hearing(100, release_ms=160), "#####...####....###")[1:] == []


def test_a_pause_is_told_twice_and_before_the_end() -> None:
    hearing = Hearing(60, release_ms=160, pause_ms=40)
    found = changes(hearing, "###..#.##...###.........")
    assert [number for number, change in found if change is Heard.PAUSED] == [4, 10, 16, 20]
    assert found[-1] == (22, Heard.ENDED)


def test_silence_is_counted_from_the_last_speech() -> None:
    hearing = Hearing(60)
    hear(hearing, "####......")
    assert hearing.silence_ms == 120


def test_what_may_become_speech_stirs() -> None:
    hearing = Hearing(160)  # eight frames in a window of twelve
    found = []
    for frame in "...##......########" + "." * 12:
        hearing.hear(frame == "#")
        found.append("s" if hearing.stirring else "-")
    assert "".join(found) == "---ssssss--sssssss-" + "-" * 12
    assert hearing.window_ms == 240


def test_speech_that_is_over_does_not_stir() -> None:
    hearing = Hearing(600)
    assert hear(hearing, "#" * 30 + "." * 10) == [(29, Heard.BEGAN), (39, Heard.ENDED)]
    assert not hearing.stirring
