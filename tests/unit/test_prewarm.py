"""A job process is prepared in the main thread; in the console a job is a thread."""

from __future__ import annotations

import subprocess
import sys

import pytest

from devstack.machine import PROJECT_ROOT

PREPARED = """
import asyncio, signal, sys, threading
from livekit.agents import JobExecutorType
from livekit.agents.ipc.job_thread_executor import ThreadJobExecutor
import agent
from session_context import NoSessionUserError, get_current_user, set_session_user

seen = {}

def prewarm(process):
    agent.prewarm(process)
    seen["thread"] = threading.current_thread()
    seen["executor"] = process.executor_type
    seen["prepared"] = sorted(process.userdata)
    try:
        get_current_user()
    except NoSessionUserError:
        set_session_user("alice@example.com")
        seen["user"] = get_current_user()

async def nothing(_):
    pass

async def main():
    executor = ThreadJobExecutor(
        initialize_process_fnc=prewarm, job_entrypoint_fnc=nothing, session_end_fnc=None,
        simulation_end_fnc=None, inference_executor=None, initialize_timeout=30,
        close_timeout=10, session_end_timeout=10, ping_interval=5, high_ping_threshold=1,
        http_proxy=None, loop=asyncio.get_running_loop(),
    )
    await executor.start()
    await executor.initialize()
    await executor.aclose()

before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
asyncio.run(main())
after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
"""

IN_THE_CONSOLE = """
assert seen["executor"] is JobExecutorType.THREAD
assert seen["thread"] is not threading.main_thread()
assert seen["prepared"] == ["settings", "termination", "vad"]
assert seen["user"] == "edabafbb-61ad-51d6-9fd8-e976c892a731"
assert before == after, after
"""

IN_A_JOB_PROCESS = """
import asyncio, signal, threading
from livekit.agents import JobExecutorType, JobProcess
import agent
from session_context import NoSessionUserError, get_current_user, set_session_user

process = JobProcess(
    executor_type=JobExecutorType.PROCESS, user_arguments=None, http_proxy=None
)
agent.prewarm(process)
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) == process.userdata["termination"]._on_sigterm
try:
    get_current_user()
except NoSessionUserError:
    set_session_user("alice@example.com")
    raw = threading.Thread(target=lambda: seen.append(get_current_user()))
    seen = []
    raw.start()
    raw.join()
    assert seen == ["edabafbb-61ad-51d6-9fd8-e976c892a731"]
else:
    raise AssertionError("a job that has bound nobody has a user")
"""


@pytest.mark.parametrize(
    "script", [PREPARED + IN_THE_CONSOLE, IN_A_JOB_PROCESS], ids=["console", "job process"]
)
def test_prewarm_binds_the_job_and_handles_signals_in_the_main_thread_only(
    script, data_dir, monkeypatch
):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
