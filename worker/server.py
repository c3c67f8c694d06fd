"""The AgentServer with its settings applied, checked before it starts, and its load its own."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from livekit import api
from livekit.agents import AgentServer, JobExecutorType, JobProcess, JobRequest
from livekit.agents.job import JobAcceptArguments, RunningJobInfo
from livekit.agents.utils import shortuuid
from livekit.protocol import agent as protocol

from config import ConfigError, Settings

logger = logging.getLogger("worker.server")

Preflight = Callable[[Settings, bool], str | None]

_FULL = 1.0
_NEARLY_FULL = 0.69
"""Both the worker and the server turn jobs away at a reported load of 0.7, and a job that
was turned away is not offered again. So the load stays below until there is truly no room."""

_INITIALIZE_TIMEOUT_S = 30.0
_FIND_ROOM_TIMEOUT_S = 3.0


class Worker(AgentServer):
    """An AgentServer that counts its own jobs and refuses to start half configured.

    Args:
        setup_fnc: prepares each job process.
        preflight: is told the settings and whether this is development, before anything
            starts; returns the sentence that says why the worker cannot run, or None.
        preload: modules that job processes share through the forkserver.
        alongside: what runs in this process while the worker does.
    """

    def __init__(
        self,
        *,
        setup_fnc: Callable[[JobProcess], None],
        preflight: Preflight,
        preload: list[str],
        alongside: Callable[[Settings], AbstractContextManager[None]] | None = None,
    ) -> None:
        super().__init__(
            host="127.0.0.1",
            setup_fnc=setup_fnc,
            load_fnc=self.load,
            load_threshold=math.inf,
            initialize_process_timeout=_INITIALIZE_TIMEOUT_S,
            preload_modules=preload,
        )
        self._preflight = preflight
        self._alongside = alongside or (lambda _: nullcontext())
        self._max_jobs = 1
        self._pending_jobs = 0
        self._serves_one = False

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Apply the settings, check them, and run.

        Raises:
            SystemExit: a setting is missing or unusable, or LiveKit could not be reached;
                with one sentence, and so a non-zero exit status.
        """
        try:
            settings = Settings.from_environment()
            self._apply(settings, devmode=devmode)
            problem = await asyncio.to_thread(self._preflight, settings, devmode)
        except ConfigError as error:
            raise SystemExit(str(error)) from None
        problem = problem or (None if unregistered else self._unreachable())
        if problem is not None:
            raise SystemExit(problem)
        try:
            port = None if self._serves_one else settings.worker.prometheus_port
            with self._metrics(port), self._alongside(settings):
                await super().run(devmode=devmode, unregistered=unregistered)
        except RuntimeError as error:
            if self._closed:
                raise
            # The framework would log it and exit 0, and a supervisor would not restart it.
            await self.aclose()
            raise SystemExit(f"LIVEKIT_URL: {error}") from error

    async def serve_one(self, room: str, *, metadata: str, ended: asyncio.Event) -> bool:
        """Serve one room, without registering with LiveKit, until its job has ended.

        The job runs in a thread of this process, so that a signal to the process that runs
        the session is one to this. `AgentServer.simulate_job` would do but for the metadata.

        Args:
            room: the room's name. It must be there: an agent that joined a deleted room
                would make it anew.
            metadata: what the job reads as its dispatch's metadata.
            ended: set it to shut the job down; it is set when the job has ended.

        Returns:
            False where there is no such room.

        Raises:
            SystemExit: as `run` does.
        """
        self._serves_one = True
        started = asyncio.Event()
        self.once("worker_started", started.set)
        running = asyncio.create_task(self.run(unregistered=True), name="worker")
        running.add_done_callback(lambda _: started.set())
        running.add_done_callback(lambda _: ended.set())
        try:
            await started.wait()
            found = await self._find_room(room) if not ended.is_set() else None
            if found is not None:
                self._proc_pool.on("process_closed", lambda _: ended.set())
                await self._proc_pool.launch_job(self._job_in(found, metadata))
                await ended.wait()
        finally:
            await self.aclose()
            await running
        return found is not None

    def load(self) -> float:
        """Return the share of MAX_JOBS that is taken, kept under what turns jobs away."""
        taken = len(self.active_jobs) + self._pending_jobs
        return _FULL if taken >= self._max_jobs else _NEARLY_FULL * taken / self._max_jobs

    async def admit(self, request: JobRequest) -> None:
        """Accept a job while there is room; else leave it to another worker."""
        if len(self.active_jobs) + self._pending_jobs >= self._max_jobs:
            await request.reject(terminate=False)
            return
        self._pending_jobs += 1
        try:
            await request.accept()
        finally:
            self._pending_jobs -= 1

    async def _find_room(self, name: str) -> api.Room | None:
        async with api.LiveKitAPI(self._ws_url, self._api_key, self._api_secret) as livekit:
            asked = livekit.room.list_rooms(api.ListRoomsRequest(names=[name]))
            listed = await asyncio.wait_for(asked, _FIND_ROOM_TIMEOUT_S)
        if not listed.rooms:
            logger.warning("the room is not there; nobody is served", extra={"room": name})
        return next(iter(listed.rooms), None)

    def _job_in(self, room: api.Room, metadata: str) -> RunningJobInfo:
        job_id = shortuuid("AJ_")
        identity = f"agent-{job_id}"  # another for each job: the same would evict the former
        grants = api.VideoGrants(
            room_join=True, room=room.name, agent=True, can_update_own_metadata=True
        )
        token = api.AccessToken(self._api_key, self._api_secret).with_kind("agent")
        job = protocol.Job(
            id=job_id,
            room=room,
            type=protocol.JobType.JT_ROOM,
            metadata=metadata,
            agent_name=self._agent_name,
        )
        return RunningJobInfo(
            accept_arguments=JobAcceptArguments(identity=identity, name="", metadata=""),
            job=job,
            url=self._ws_url,
            token=token.with_identity(identity).with_grants(grants).to_jwt(),
            worker_id=self._id,
            fake_job=False,
        )

    def _apply(self, settings: Settings, *, devmode: bool) -> None:
        mine = settings.worker
        self._max_jobs = mine.max_jobs
        self._host = mine.host
        if mine.port is not None:
            self._port = mine.port
        if mine.agent_name:
            self._agent_name = mine.agent_name
        if mine.idle_processes is not None:
            self._num_idle_processes = mine.idle_processes
        self._ws_url = self._ws_url or mine.livekit_url or ""
        self._api_key = self._api_key or mine.livekit_api_key or ""
        self._api_secret = self._api_secret or mine.livekit_api_secret or ""
        # Job processes read their own settings; dev mode is known only here.
        if mine.log_personal_data is None:
            os.environ["LOG_PERSONAL_DATA"] = "true" if devmode else "false"
        if self._serves_one:
            self._port, self._num_idle_processes = 0, 0
            self._job_executor_type = JobExecutorType.THREAD

    @contextmanager
    def _metrics(self, port: int | None) -> Iterator[None]:
        """Serve the counters of the job processes, which they leave in files of a folder."""
        if port is None:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="voice-agent-metrics-") as folder:
            self._prometheus_port, self._prometheus_multiproc_dir = port, folder
            yield

    def _unreachable(self) -> str | None:
        for name, value in (
            ("LIVEKIT_URL", self._ws_url),
            ("LIVEKIT_API_KEY", self._api_key),
            ("LIVEKIT_API_SECRET", self._api_secret),
        ):
            if not value:
                return f"{name}: set it to your LiveKit server's, or try make run."
        return None
