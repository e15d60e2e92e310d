"""`python -m offhook.bench.google_services`: Google's Speech-to-Text, Text-to-Speech and Gemini, as far as a
measurement needs them: on their real wire, at the paced stand-ins' pace, whatever they are asked.

Its plan is the first line of standard input; it ends when that is closed. It tells on standard output where it serves.
The messages are so few that they are written by hand: nothing is decoded that need not be, for this runs on the
callers' core."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio  # type: ignore[import-untyped]
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from domain import mulaw
from offhook.bench.affinity import stay_on
from offhook.bench.lifeline import end_with_parent
from offhook.bench.services_plan import Served, ServicesAt, ServicesPlan
from schemas.settings import Paced

PARTIAL_MS = 200
"""A word more is understood for each."""
PIECE_MS = 200
"""Of speech, in one message."""
LOUD = b"\x20\xa0" * (PIECE_MS * mulaw.BYTES_PER_MS // 2)
"""That much of a high tone."""
HEADS = 4
"""Bytes before a sentence, which stands in a message in a message: a tag and a length for each."""
STREAMS = 100
"""At once on one connection, as Google's servers have it."""


def field(number: int, value: bytes | str | int) -> bytes:
    """One field of a protocol buffer: text, bytes or message, or an integer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    body = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(body)) + body


def varint(value: int) -> bytes:
    """An integer from 0 up, as a protocol buffer holds it."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


class Services:
    """All three at a pace."""

    def __init__(self, paced: Paced) -> None:
        self._paced = paced
        self._utterances = self._sentences = self._replies = 0
        self._peers: set[object] = set()
        self._caller_words = paced.caller_words.split()
        self._chunks = [_chunk(f" {word}" if count else word) for count, word in enumerate(paced.reply_words.split())]
        self._chunks.append(_chunk("", "STOP"))

    async def recognise(self, requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        """StreamingRecognize: a word more each 200 ms of sound; all of them, final, when the sound ends."""
        self._utterances += 1
        words, heard, told = self._caller_words, 0, 0
        async for request in requests:
            if request[0] != 5 << 3 | 2:  # not sound but the configuration
                continue
            heard += len(request) - 3
            if (known := min(heard // (PARTIAL_MS * mulaw.BYTES_PER_MS), len(words))) > told:
                told = known
                yield _result(words[:told], heard, final=False)
        yield _result(words, heard, final=True)

    async def synthesise(self, requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        """StreamingSynthesize: a sentence's sound a little after the sentence came, all of it at once."""
        async for request in requests:
            if request[0] != 2 << 3 | 2:  # not text but the configuration
                continue
            self._sentences += 1
            await asyncio.sleep(self._paced.first_audio_ms / 1000)
            words = request[HEADS:].split()
            for start in range(0, ms := len(words) * self._paced.spoken_word_ms, PIECE_MS):
                yield field(1, LOUD[: (ms - start) * mulaw.BYTES_PER_MS])

    async def answer(self, request: Request) -> Response:
        """Gemini: always the same reply, a word in a chunk."""
        await request.body()
        self._replies += 1
        self._peers.add(request.client)
        if not request.url.path.endswith(":streamGenerateContent"):
            return JSONResponse({"totalTokens": 1})
        return StreamingResponse(self._reply(), media_type="text/event-stream")

    async def count(self, _: Request) -> Response:
        """What was asked so far."""
        served = Served(
            utterances=self._utterances,
            sentences=self._sentences,
            replies=self._replies,
            connections=len(self._peers),
        )
        return JSONResponse(served.model_dump())

    async def _reply(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._paced.first_word_ms / 1000
        for chunk in self._chunks:
            await asyncio.sleep(due - loop.time())
            yield chunk
            due += self._paced.word_ms / 1000


def _result(words: list[str], heard: int, final: bool) -> bytes:
    """A StreamingRecognizeResponse with one result."""
    seconds, rest = divmod(heard, mulaw.RATE)
    offset = field(1, seconds) + field(2, rest * 10**9 // mulaw.RATE)
    result = field(1, field(1, " ".join(words))) + field(2, final) + field(4, offset) + field(6, "en-us")
    return field(6, result)


def _chunk(text: str, reason: str = "") -> bytes:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    spent = {"promptTokenCount": 200, "candidatesTokenCount": 10, "totalTokenCount": 210}
    chunk = {
        "candidates": [{**candidate, "finishReason": reason} if reason else candidate],
        "usageMetadata": spent,
        "modelVersion": "gemini-3.8-flash",
        "responseId": "dGhlIGJlbmNo",
    }
    return b"data: " + orjson.dumps(chunk) + b"\r\n\r\n"


@asynccontextmanager
async def serve(paced: Paced) -> AsyncIterator[ServicesAt]:
    """Serves while the block runs, on ports that the system chooses."""
    services = Services(paced)
    rpcs = grpc.aio.server(options=[("grpc.max_concurrent_streams", STREAMS)])
    for service, method, behaviour in (
        ("google.cloud.speech.v2.Speech", "StreamingRecognize", services.recognise),
        ("google.cloud.texttospeech.v1.TextToSpeech", "StreamingSynthesize", services.synthesise),
    ):
        rpc = grpc.stream_stream_rpc_method_handler(behaviour)  # bytes in, bytes out
        rpcs.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: rpc}),))
    grpc_port = rpcs.add_insecure_port("127.0.0.1:0")
    await rpcs.start()
    app = Starlette(routes=[Route("/served", services.count), Route("/{path:path}", services.answer, methods=["POST"])])
    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False)
    socket = config.bind_socket()
    http = uvicorn.Server(config)
    serving = asyncio.create_task(http.serve(sockets=[socket]))
    try:
        yield ServicesAt(grpc=f"http://127.0.0.1:{grpc_port}", http=f"http://127.0.0.1:{socket.getsockname()[1]}")
    finally:
        http.should_exit = True
        await serving
        await rpcs.stop(None)


async def run(paced: Paced) -> None:
    """Tells where it serves, and serves for good."""
    async with serve(paced) as served:
        print(served.model_dump_json(), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serves until standard input is closed."""
    plan = ServicesPlan.model_validate_json(sys.stdin.buffer.readline())
    stay_on(plan.cores)
    end_with_parent(lambda: os._exit(0))  # connections end with their process
    asyncio.run(run(plan.paced))


if __name__ == "__main__":
    main()
