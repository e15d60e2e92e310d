"""What one frame of a call costs between the network and the ear, against the least that has to be done with it.

Only ratios of what was measured in the same moment, and counts: a busy machine changes neither."""

import asyncio
import gc
import json
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import webrtcvad

from adapters.twilio_line import TwilioStreams
from adapters.webrtc_vad import WebrtcDetector
from domain import mulaw
from domain.ports import LineEvent
from media_service.ear import BACKLOG, PRE_ROLL, Ear
from schemas.agent import Listening
from tests.contract.test_media_socket import PaperTransport, frame, open_socket
from tests.contract.test_twilio_line import ACCOUNT, CONNECTED, START, media
from tests.fakes.caller import LOUD, QUIET, PaperDetector

FRAMES = 1000
"""Of a silent line: no signal comes of it."""
ROUNDS = 40
MOST_TIMES_THE_LEAST = 1.6
MOST_BLOCKS = 50
"""Blocks of memory that may be left over after a thousand frames; one a frame would be a thousand."""


class Inbound:
    """A call's way in, from the bytes of the network to the ear's signals, without a network."""

    def __init__(self) -> None:
        self._number = 1
        self.ear = Ear(Listening(), WebrtcDetector(), "en-US")
        self.signals = 0

    async def __aenter__(self) -> "Inbound":
        self._socket = await open_socket(self._hold, PaperTransport())
        self._socket.data_received(b"".join(frame(json.dumps(message).encode()) for message in (CONNECTED, START)))
        while not self._socket._taken:
            await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.connection_lost(None)
        await asyncio.wait(self._socket.tasks)

    async def _hold(self, socket: Any) -> None:
        line = (await TwilioStreams(ACCOUNT).begin(socket)).line
        await line.carry(self._take)

    def _take(self, event: LineEvent) -> None:
        assert isinstance(event, bytes)
        self.signals += len(self.ear.hear(event))

    def packets(self) -> Sequence[bytes]:
        """The next frames, as they come from the network."""
        numbers = range(self._number + 1, self._number + FRAMES + 1)
        self._number += FRAMES
        return [frame(json.dumps(media(number)).encode()) for number in numbers]

    def read(self, packets: Sequence[bytes]) -> None:
        receive = self._socket.data_received
        for packet in packets:
            receive(packet)


def least() -> Callable[[Sequence[bytes]], None]:
    """JSON, base64 and the model of speech, done the plain way, and nothing else."""
    vad = webrtcvad.Vad(2)

    def read(texts: Sequence[bytes]) -> None:
        for text in texts:
            sound = b64decode(json.loads(text)["media"]["payload"])
            vad.is_speech(mulaw.to_pcm(sound), mulaw.RATE)

    return read


def test_a_frame_costs_little_more_than_it_must() -> None:
    async def measure() -> tuple[float, float]:
        ours, theirs = [], []
        async with Inbound() as inbound:
            plain, texts = least(), [json.dumps(media(2)).encode()] * FRAMES
            for _ in range(ROUNDS):  # in turns, so that both meet the machine in the same mood
                packets = inbound.packets()
                ours.append(seconds(lambda: inbound.read(packets)))  # noqa: B023
                theirs.append(seconds(lambda: plain(texts)))
            assert inbound.signals == 0
        return min(ours), min(theirs)

    ours, theirs = asyncio.run(measure())
    assert ours < MOST_TIMES_THE_LEAST * theirs


def seconds(work: Callable[[], None]) -> float:
    """Of this process's time, not of the clock's."""
    before = time.process_time()
    work()
    return time.process_time() - before


@pytest.mark.benchmark(group="a thousand frames", timer=time.process_time)
@pytest.mark.parametrize("what", ["least", "call"])
def test_what_frames_cost(what: str, benchmark: Any) -> None:
    """For people: `pytest -n 0 tests/load/test_frame_cost.py` prints it."""

    async def measure() -> None:
        async with Inbound() as inbound:
            if what == "least":
                texts = [json.dumps(media(2)).encode()] * FRAMES
                benchmark.pedantic(least(), args=(texts,), rounds=ROUNDS)
            else:
                benchmark.pedantic(inbound.read, setup=lambda: ((inbound.packets(),), {}), rounds=ROUNDS)
                assert inbound.signals == 0

    asyncio.run(measure())


def test_a_frame_leaves_nothing_behind() -> None:
    async def count() -> int:
        async with Inbound() as inbound:
            hearing = asyncio.create_task(drain(inbound.ear))
            for _ in range(2):  # the second time everything is warm
                packets = inbound.packets()
                await asyncio.sleep(0.01)
                gc.collect()
                gc.disable()
                before = sys.getallocatedblocks()
                for packet in packets:
                    inbound.read([packet])
                    await asyncio.sleep(0)
                left = sys.getallocatedblocks() - before
                gc.enable()
            hearing.cancel()
            await asyncio.wait([hearing])
        return left

    assert asyncio.run(count()) < MOST_BLOCKS


async def drain(ear: Ear) -> None:
    """A recogniser that keeps up."""
    async for _ in ear.sound():
        pass


def test_neither_a_recogniser_that_stalls_nor_a_silence_fills_the_memory() -> None:
    ear = Ear(Listening(), PaperDetector(), "en-US")
    for _ in range(20):  # twenty seconds of speech at a time
        ear.hear(LOUD * 1000 + QUIET * 20)
    assert len(ear._sound) == BACKLOG
    for _ in range(60):
        ear.hear(QUIET * 50)
    assert len(ear._sound) == BACKLOG
    assert len(ear._piece) <= 2 * PRE_ROLL
