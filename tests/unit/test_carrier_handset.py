"""The caller's telephone, in virtual time."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable

import pytest

from domain.mulaw import BYTES_PER_MS, FRAME, SILENCE, silence
from offhook.carrier.handset import Handset, HungUp, Silent
from offhook.carrier.noise import LineNoise
from offhook.carrier.tape import stereo
from offhook.carrier.timing import exchanges
from tests.fakes import virtual_time
from tests.fakes.tiny_agent import tone

WORDS = tone(400)


class FarEnd:
    """Writes down what comes."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.keys = ""

    async def frame(self, sound: bytes) -> None:
        self.frames.append(sound)

    async def key(self, digit: str) -> None:
        self.keys += digit


def on_the_phone(story: Callable[[Handset], Awaitable[None]], noise: LineNoise | None = None) -> Handset:
    """Runs a story with a telephone whose clock ticks."""

    async def run() -> Handset:
        loop = asyncio.get_running_loop()
        phone = Handset(lambda: loop.time() * 1000, lambda text: None, noise)
        phone.far = FarEnd()
        clock = loop.create_task(phone.run())
        await story(phone)
        clock.cancel()
        return phone

    return virtual_time.run(run())


def after(phone: Handset, ms: float, sound: bytes) -> None:
    """The agent's sound comes in so long from now."""
    asyncio.get_running_loop().call_later(ms / 1000, phone.hear, sound)


def test_a_frame_leaves_every_20_ms_and_silence_when_nothing_is_said() -> None:
    async def story(phone: Handset) -> None:
        await asyncio.sleep(1.001)

    phone = on_the_phone(story)
    assert isinstance(phone.far, FarEnd)
    assert phone.far.frames == [SILENCE * FRAME] * 50
    assert max(phone.late_ms) < 0.01


def test_what_is_said_leaves_in_frames_and_its_last_audible_one_ends_it() -> None:
    async def story(phone: Handset) -> None:
        await asyncio.sleep(0.11)
        await phone.say(WORDS + silence(105), "words")

    phone = on_the_phone(story)
    [said] = phone.said
    assert isinstance(phone.far, FarEnd)
    assert b"".join(phone.far.frames).strip(SILENCE) == WORDS.strip(SILENCE)
    assert {len(frame) for frame in phone.far.frames} == {FRAME}
    assert said.start_ms == pytest.approx(120)
    assert said.end_ms == pytest.approx(120 + 400 - 20)


def test_what_is_said_while_nobody_listens_is_lost() -> None:
    async def story(phone: Handset) -> None:
        phone.far, far = None, phone.far
        await phone.say(WORDS)
        phone.far = far
        await asyncio.sleep(0.05)

    phone = on_the_phone(story)
    assert isinstance(phone.far, FarEnd)
    assert set(phone.far.frames) == {SILENCE * FRAME}
    assert WORDS in bytes(phone.sent.sound)


def test_the_same_seed_hisses_the_same_and_under_the_words_too() -> None:
    async def story(phone: Handset) -> None:
        await phone.say(WORDS)

    first, again, other = (on_the_phone(story, LineNoise(seed)).sent.sound for seed in (1, 1, 2))
    assert first == again != other
    assert WORDS not in bytes(first)


def test_listening_waits_for_the_agent_to_have_spoken_and_paused() -> None:
    async def story(phone: Handset) -> None:
        after(phone, 1000, silence(300))
        after(phone, 1600, silence(200))  # it went on within the pause
        await phone.listen(quiet_ms=700)
        assert phone.now() == pytest.approx(1000 + 600 + 200 + 700)
        with pytest.raises(Silent, match="2 s"):  # that was listened to
            await phone.listen(within_s=2)

    on_the_phone(story)


def test_sound_is_played_in_order_and_a_flush_drops_the_rest() -> None:
    async def story(phone: Handset) -> None:
        phone.hear(silence(300))
        phone.hear(silence(300))
        assert phone.heard_until_ms == pytest.approx(600)
        await asyncio.sleep(0.25)
        assert phone.flush() == pytest.approx(350)
        assert phone.flush() == 0
        phone.hear(silence(100))
        await asyncio.sleep(0.5)
        phone.hear(silence(100))

    phone = on_the_phone(story)
    assert [(round(p.start_ms), round(p.end_ms), p.cut) for p in phone.heard] == [
        (0, 250, True),
        (250, 350, False),
        (750, 850, False),
    ]


def test_an_interrupted_answer_is_not_taken_for_the_next_one() -> None:
    async def story(phone: Handset) -> None:
        phone.hear(tone(3000))
        await phone.hears(after_s=0.81)
        assert phone.now() == pytest.approx(810)
        asyncio.get_running_loop().call_later(0.3, phone.flush)
        after(phone, 1500, silence(200) + tone(500))
        await phone.say(WORDS, "stop")
        await phone.listen(quiet_ms=100)
        assert phone.now() == pytest.approx(810 + 1500 + 700 + 100)

    [exchange] = exchanges(on_the_phone(story))
    assert exchange.start_ms == 820  # the next frame
    assert exchange.cut_ms == 810 + 300 - 820
    assert exchange.gap_ms == (810 + 1500 + 200) - exchange.end_ms


def test_a_gap_ends_where_the_answer_can_be_heard_and_belongs_to_the_last_words_before_it() -> None:
    async def story(phone: Handset) -> None:
        await phone.say(WORDS, "first")
        await asyncio.sleep(0.5)
        await phone.say(WORDS, "second")
        after(phone, 600, silence(100) + tone(100))
        await phone.listen(quiet_ms=0)
        await phone.press("12")

    first, second, keys = exchanges(on_the_phone(story))
    assert first.gap_ms is None
    assert second.gap_ms == 700
    assert (keys.text, keys.end_ms - keys.start_ms, keys.gap_ms) == ("[12]", 120, None)


def test_keys_go_to_the_far_end_one_by_one() -> None:
    async def story(phone: Handset) -> None:
        await phone.press("1*#")

    phone = on_the_phone(story)
    assert isinstance(phone.far, FarEnd)
    assert phone.far.keys == "1*#"


def test_hanging_up_ends_whatever_the_caller_was_about_to_do() -> None:
    async def story(phone: Handset) -> None:
        with pytest.raises(HungUp):
            phone.hang_up()

    on_the_phone(story)


def test_sound_lies_on_the_tape_where_it_was_heard() -> None:
    async def story(phone: Handset) -> None:
        await asyncio.sleep(0.1)
        phone.hear(tone(200))
        await asyncio.sleep(0.05)
        phone.flush()
        await phone.say(WORDS)

    samples = array("h", stereo(on_the_phone(story)))
    left, right = samples[0::2], samples[1::2]
    assert len(left) == len(right)
    loud = [at / BYTES_PER_MS for at, sample in enumerate(right) if abs(sample) > 1000]
    assert 100 <= loud[0] < 102
    assert 148 < loud[-1] <= 150
    spoken = [at / BYTES_PER_MS for at, sample in enumerate(left) if abs(sample) > 1000]
    assert 140 <= spoken[0] < 142
