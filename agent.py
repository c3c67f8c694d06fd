"""The worker: composition root of a job. Wires, decides nothing, holds no state.

Run it with ``python agent.py dev`` (or ``start``, ``console``, ``connect``), or through
LiveKit's own command line: ``lk agent dev``, ``python -m livekit.agents start agent.py``.

In a job process this module is ``__mp_main__``, and ``import agent`` there would make a
second copy: so it keeps nothing, and no other module of the project imports it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from livekit import rtc
from livekit.agents import CloseEvent, CloseReason, JobContext, JobExecutorType, JobProcess, cli

from assistant.conversation import Conversation
from assistant.providers import build_models, load_vad, missing_provider_key, speech_is_configured
from assistant.wishes import Wishes
from config import Settings
from log_privacy import allow_personal_data, hide_identity, hide_personal_data, personal
from memory import memory_manager, open_supabase_store
from memory.outbox import delivering
from memory.transcript import open_default_transcripts
from people import person_manager
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
from sessions.contract import Conversations
from storage import decide_backend
from worker.connecting import connect
from worker.connection import PersonConnection
from worker.dispatch import DispatchMetadata
from worker.limits import Limit, Limits
from worker.participant import remembered_identity, wait_for_user
from worker.reaper import reaping
from worker.room import RoomEnd
from worker.server import Worker
from worker.session_link import SessionLink
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

_STOP_DEADLINE_S = 2.0


def prewarm(process: JobProcess) -> None:
    """Prepare a job process, before it has a job: settings, binding, signals, stores, VAD."""
    settings = Settings.from_environment()
    bind_job()
    allow_personal_data(bool(settings.worker.log_personal_data))
    hide_personal_data()
    if settings.store.memory_enabled:
        memory_manager.open()
        profile_manager.open()
        person_manager.open()
    termination = Termination(settings.worker.job_shutdown_timeout_s)
    if process.executor_type is JobExecutorType.PROCESS:
        termination.install()
    process.userdata["settings"] = settings
    process.userdata["termination"] = termination
    process.userdata["vad"] = load_vad() if speech_is_configured(settings.providers) else None


async def entrypoint(ctx: JobContext) -> None:
    """Serve one person in one room, until they leave or the job is shut down."""
    metadata = DispatchMetadata.parse(ctx.job.metadata)
    ctx.log_context_fields = {"room": ctx.job.room.name, "job_id": ctx.job.id}
    logger.info("[ENTRYPOINT]", extra={"session_id": metadata.session_id})
    ctx.proc.userdata["termination"].watch(ctx)
    link = SessionLink(ctx, metadata, ctx.proc.userdata["settings"])
    ctx.add_shutdown_callback(link.aclose)
    if not await link.admit():
        return
    if not await connect(ctx, has_ended=link.has_ended):
        return
    # The entrypoint returns, so that a shutdown never waits for somebody to arrive.
    serving = asyncio.create_task(_serve(ctx, link), name="serve")

    async def stop_serving() -> None:
        serving.cancel()
        await asyncio.wait({serving}, timeout=_STOP_DEADLINE_S)

    ctx.add_shutdown_callback(stop_serving)


async def _serve(ctx: JobContext, link: SessionLink) -> None:
    metadata = link.metadata
    timeout_s = ctx.proc.userdata["settings"].worker.participant_timeout_s
    try:
        participant = await wait_for_user(
            ctx, expected_identity=metadata.identity, timeout_s=timeout_s
        )
        if participant is None:
            logger.warning("nobody came; the job ends")
            ctx.shutdown("nobody came")
        else:
            link.joined(participant.identity)
            await _converse(ctx, metadata, participant, link)
    except Exception:
        logger.exception("the conversation could not be started; the job ends")
        ctx.shutdown("the conversation could not be started")


async def _converse(
    ctx: JobContext,
    metadata: DispatchMetadata,
    participant: rtc.RemoteParticipant,
    link: SessionLink,
) -> None:
    settings: Settings = ctx.proc.userdata["settings"]
    room_end = RoomEnd(ctx, participant.identity, before_dispatch=link.hand_over)
    connection = PersonConnection(
        ctx,
        participant.identity,
        link.session_id or ctx.job.room.name,
        settings,
        on_gone=room_end.person_left,
    )
    conversation = _bound_conversation(
        ctx, settings, metadata, participant, connection.histories, link
    )

    async def end_conversation() -> None:
        try:
            try:
                await connection.end(conversation.keep_history)
            finally:
                await conversation.aclose()
        finally:
            await asyncio.to_thread(memory_manager.close)

    async def end_session(limit: Limit) -> None:
        await link.end()
        room_end.session_over()
        ctx.shutdown(f"timeout: {limit.value}")

    limits = Limits(
        left_s=settings.sessions.max_session_s - link.age_s,
        silence_s=settings.sessions.silence_timeout_s,
        tell=lambda it: conversation.say_farewell(after_silence=it is Limit.SILENCE),
        end=end_session,
    )
    for end in (limits.aclose, end_conversation, room_end.leave):
        ctx.add_shutdown_callback(end)

    def on_close(event: CloseEvent) -> None:
        if event.reason is CloseReason.ERROR:
            room_end.session_failed()
            connection.failed()
        ctx.shutdown(event.reason.value)

    ready = await conversation.prepare()
    models = build_models(
        settings.providers,
        vad=ctx.proc.userdata["vad"],
        voice_id=metadata.voice_id,
        language=conversation.language,
    )
    session = await conversation.start(
        models, room=ctx.room, participant_identity=participant.identity, on_close=on_close
    )
    connection.attach(session, conversation.stages(), lost=conversation.lose, changed=limits.follow)
    link.ready(session)
    limits.start(session)
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
    await connection.until_here()
    conversation.greet()


def _bound_conversation(
    ctx: JobContext,
    settings: Settings,
    metadata: DispatchMetadata,
    participant: rtc.RemoteParticipant,
    histories: Conversations | None,
    link: SessionLink,
) -> Conversation:
    hide_identity(participant.identity)
    identity = remembered_identity(participant, settings.worker.sip_verified_when)
    if identity is None:
        logger.info("[SESSION] an unverified caller: nobody is remembered in this session")
    else:
        hide_identity(identity)
        user_uuid = set_session_user(identity)
        ctx.log_context_fields = {**ctx.log_context_fields, "user_uuid": user_uuid}
        logger.info("[SESSION] using session user", extra=personal(identity=identity))
    if not metadata.remember:
        logger.info("[SESSION] the dispatch asked that nothing of this session is remembered")
    remembers = identity is not None and settings.store.memory_enabled and metadata.remember
    keeps_transcript = remembers and settings.store.keep_transcripts
    return Conversation(
        settings,
        memory=memory_manager if remembers else None,
        profiles=profile_manager if remembers else None,
        erase=person_manager.erase,
        generation=person_manager.generation,
        transcripts=open_default_transcripts() if keeps_transcript else None,
        histories=histories if remembers else None,
        on_reading=partial(link.note_work, "fact_extraction"),
        wishes=Wishes(
            session_id=metadata.session_id or ctx.job.id,
            opening_line=metadata.opening_line,
            language=metadata.language,
            time_zone=metadata.time_zone,
        ),
    )


def _preflight(settings: Settings, devmode: bool) -> str | None:
    if not devmode and (problem := missing_provider_key(settings.providers)):
        return problem
    if settings.store.memory_enabled:
        decide_backend(settings.store)
    return None


@contextmanager
def _alongside(settings: Settings) -> Iterator[None]:
    # What a dead process left on this host is delivered, also while there is no job; and what
    # hangs is ended.
    with ExitStack() as running:
        if settings.store.memory_enabled and settings.store.supabase_url is not None:
            running.enter_context(delivering(settings.store, open_supabase_store))
        running.enter_context(reaping(settings))
        yield


server = Worker(
    setup_fnc=prewarm,
    preflight=_preflight,
    alongside=_alongside,
    preload=[
        "assistant.conversation",
        "assistant.providers",
        "worker.server",
        "worker.session_link",
    ],
)
server.rtc_session(entrypoint, on_request=server.admit)

if __name__ == "__main__":
    cli.run_app(server)
