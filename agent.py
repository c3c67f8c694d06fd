"""The worker: composition root of a job. Wires, decides nothing, holds no state.

Run it with ``python agent.py dev`` (or ``start``, ``console``, ``connect``), or through
LiveKit's own command line: ``lk agent dev``, ``python -m livekit.agents start agent.py``.

In a job process this module is ``__mp_main__``, and ``import agent`` there would make a
second copy: so it keeps nothing, and no other module of the project imports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from livekit import rtc
from livekit.agents import CloseEvent, JobContext, JobExecutorType, JobProcess, cli

from assistant.conversation import Conversation, Wishes
from assistant.providers import build_models, load_vad, missing_provider_key, speech_is_configured
from config import Settings
from log_privacy import PersonalDataFilter, allow_personal_data, personal
from memory import memory_manager
from profiles import profile_manager
from session_context import (
    bind_job,
    get_current_user,
    get_or_create_default_user,
    get_session_identity,
    get_session_user_uuid,
    livekit_identity_to_uuid,
    set_session_user,
)
from storage import settle_backend
from worker.dispatch import DispatchMetadata
from worker.participant import remembered_identity, wait_for_user
from worker.room import RoomEnd
from worker.server import Worker
from worker.termination import Termination

__all__ = [
    "entrypoint",
    "get_current_user",
    "get_or_create_default_user",
    "get_session_identity",
    "get_session_user_uuid",
    "livekit_identity_to_uuid",
    "memory_manager",
    "server",
    "set_session_user",
]

logger = logging.getLogger("agent")


def prewarm(process: JobProcess) -> None:
    """Prepare a job process, before it has a job: binding, signals, log privacy, VAD."""
    settings = Settings.from_environment()
    in_own_process = process.executor_type is JobExecutorType.PROCESS
    bind_job(whole_process=in_own_process)
    allow_personal_data(bool(settings.worker.log_personal_data))
    privacy = PersonalDataFilter(get_session_identity)
    for handler in logging.getLogger().handlers:
        handler.addFilter(privacy)
    if settings.store.memory_enabled:
        memory_manager.open()
        profile_manager.open()
    termination = Termination(settings.worker.job_shutdown_timeout_s)
    if in_own_process:
        termination.install()
    process.userdata["termination"] = termination
    process.userdata["vad"] = load_vad() if speech_is_configured(settings.providers) else None


async def entrypoint(ctx: JobContext) -> None:
    """Serve one person in one room, until they leave or the job is shut down."""
    metadata = DispatchMetadata.parse(ctx.job.metadata)
    ctx.log_context_fields = {"room": ctx.job.room.name, "job_id": ctx.job.id}
    logger.info("[ENTRYPOINT]", extra={"session_id": metadata.session_id})
    ctx.proc.userdata["termination"].watch(ctx)
    await ctx.connect()
    # The entrypoint returns, so that a shutdown never waits for somebody to arrive.
    serving = asyncio.create_task(_serve(ctx, metadata), name="serve")

    async def stop_serving() -> None:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    ctx.add_shutdown_callback(stop_serving)


async def _serve(ctx: JobContext, metadata: DispatchMetadata) -> None:
    settings = Settings.from_environment()
    try:
        participant = await wait_for_user(
            ctx,
            expected_identity=metadata.identity,
            timeout_s=settings.worker.participant_timeout_s,
        )
        if participant is None:
            logger.warning("nobody came; the job ends")
            ctx.shutdown("nobody came")
            return
        await _converse(ctx, settings, metadata, participant)
    except Exception:
        logger.exception("the conversation could not be started; the job ends")
        ctx.shutdown("the conversation could not be started")


async def _converse(
    ctx: JobContext,
    settings: Settings,
    metadata: DispatchMetadata,
    participant: rtc.RemoteParticipant,
) -> None:
    remembered = _bind(ctx, settings, participant)
    wishes = Wishes(
        session_id=metadata.session_id or ctx.job.id,
        opening_line=metadata.opening_line,
        language=metadata.language,
        time_zone=metadata.time_zone,
    )
    conversation = Conversation(
        settings,
        memory=memory_manager if remembered else None,
        profiles=profile_manager if remembered else None,
        wishes=wishes,
    )
    room_end = RoomEnd(ctx, participant.identity)
    ctx.add_shutdown_callback(conversation.aclose)
    ctx.add_shutdown_callback(room_end.settle)

    def on_close(event: CloseEvent) -> None:
        room_end.note_close(event.reason)
        ctx.shutdown(event.reason.value)

    ready = await conversation.prepare()
    models = build_models(
        settings.providers,
        vad=ctx.proc.userdata["vad"],
        voice_id=metadata.voice_id,
        language=conversation.language,
    )
    await conversation.start(
        models, room=ctx.room, participant_identity=participant.identity, on_close=on_close
    )
    logger.info(
        "[SESSION INIT]",
        extra={
            "participant_sid": participant.sid,
            "user_uuid": get_session_user_uuid(),
            "profile_ready": ready,
            "started": True,
            "model": models.llm.model,
            **personal(identity=participant.identity),
        },
    )
    conversation.greet()


def _bind(ctx: JobContext, settings: Settings, participant: rtc.RemoteParticipant) -> bool:
    identity = remembered_identity(participant, settings.worker.sip_verified_when)
    if identity is None or not settings.store.memory_enabled:
        logger.info("[SESSION] nobody is remembered in this session")
        return False
    user_uuid = set_session_user(identity)
    ctx.log_context_fields = {**ctx.log_context_fields, "user_uuid": user_uuid}
    logger.info("[SESSION] using session user", extra=personal(identity=identity))
    return True


def _preflight(settings: Settings, devmode: bool) -> str | None:
    if not devmode and (problem := missing_provider_key(settings.providers)):
        return problem
    if settings.store.memory_enabled:
        settle_backend(settings.store)
    return None


server = Worker(
    setup_fnc=prewarm,
    preflight=_preflight,
    preload=["assistant.conversation", "assistant.providers", "worker.server"],
)
server.rtc_session(entrypoint, on_request=server.admit)

if __name__ == "__main__":
    cli.run_app(server)
