"""What connections to gRPC services do when the process has no time for them."""

import subprocess
import sys

PROGRAM = """
import asyncio, threading, time
from concurrent.futures import ThreadPoolExecutor
import grpc
from adapters.grpc_channels import GrpcChannels

CALLS, TURNS = 1000, 400
answered = threading.Semaphore(0)

def answer(request, context):
    answered.release()
    return request

async def story():
    async with GrpcChannels(address, lambda channel: channel.unary_unary("/any/call"), insecure=True) as channels:
        with channels.stream() as call:
            await call(b"")
            calls = [asyncio.ensure_future(call(b"")) for _ in range(CALLS)]
            for _ in range(5):
                await asyncio.sleep(0)
            for _ in range(CALLS):
                assert answered.acquire(timeout=60)  # the loop has no turn meanwhile
            for turn in range(TURNS):
                if all(call.done() for call in calls):
                    break
                time.sleep(0.005)
                await asyncio.sleep(0)
            print(sum(call.done() for call in calls))

server = grpc.server(ThreadPoolExecutor(8))
handler = grpc.unary_unary_rpc_method_handler(answer)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("any", {"call": handler})])
address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
server.start()
asyncio.run(story())
"""
"""In a process of its own, for gRPC has one thread for all events of a process, made with its first channel."""


def test_a_loop_that_was_busy_for_a_while_takes_all_that_came_meanwhile_in_few_turns() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "1000", done.stderr
