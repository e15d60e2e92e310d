"""The entry points of Google Cloud Functions, one line each."""

from typing import Any

import functions_framework.aio as framework
from starlette.requests import Request

from adapters.wiring import read_settings, shared_ports
from domain.ended import ENDED
from functions import tasks as posted
from functions import unsubscribe as unsubscribing
from functions import webhooks
from functions.admin.app import app as admin
from functions.analyse import analyse as analysed
from functions.appointment_messages import BOOKED, CANCELLED
from functions.appointment_messages import appointment_booked as booked
from functions.appointment_messages import appointment_cancelled as cancelled
from functions.events import event_of
from functions.follow_up import follow_up as followed_up
from functions.workers import doing_tasks

read_settings()  # settings that can't be used are refused as a revision starts, not at its first request
_webhooks = webhooks.app(shared_ports)
_admin = admin(shared_ports)
_tasks = posted.app(doing_tasks(shared_ports))
_unsubscribe = unsubscribing.app(shared_ports)


@framework.http
async def twilio(request: Request) -> Any:
    """`/twilio/…`"""
    return _webhooks


@framework.http
async def admin_api(request: Request) -> Any:
    """`/api/v1/…`"""
    return _admin


@framework.cloud_event
async def analyse(delivered: Any) -> None:
    """`conversation.ended`"""
    if event := event_of(ENDED, delivered):
        await analysed(await shared_ports(), event)


@framework.cloud_event
async def follow_up(delivered: Any) -> None:
    """`conversation.ended`"""
    if event := event_of(ENDED, delivered):
        await followed_up(await shared_ports(), event)


@framework.cloud_event
async def appointment_booked(delivered: Any) -> None:
    """`appointment.booked`"""
    if event := event_of(BOOKED, delivered):
        await booked(await shared_ports(), event)


@framework.cloud_event
async def appointment_cancelled(delivered: Any) -> None:
    """`appointment.cancelled`"""
    if event := event_of(CANCELLED, delivered):
        await cancelled(await shared_ports(), event)


@framework.http
async def unsubscribe(request: Request) -> Any:
    """`/m/unsubscribe`"""
    return _unsubscribe


@framework.http
async def tasks(request: Request) -> Any:
    """`/tasks/…`"""
    return _tasks
