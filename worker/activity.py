"""What a session does, counted for operators and clients; nothing that is said."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace

from livekit.agents import AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import AgentStateChangedEvent, ToolExecutionUpdatedEvent
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from sessions import Task, TaskState
from sessions.naming import now_ms

_MOST_TASKS = 500

_TOOL_NAME = re.compile(r"\w{1,64}")
_STATES = {
    "done": TaskState.COMPLETED,
    "error": TaskState.FAILED,
    "cancelled": TaskState.CANCELLED,
}


class Activity:
    """Messages and tool calls of one AgentSession that were not reported yet.

    Args:
        session_id: the session.
        on_task: called when a task's state has changed.
    """

    def __init__(self, session_id: str, *, on_task: Callable[[], None]) -> None:
        self._session_id = session_id
        self._on_task = on_task
        self._counts: Counter[str] = Counter()
        self._running: dict[str, Task] = {}
        self._changed: OrderedDict[str, Task] = OrderedDict()
        self._agent_state = "initializing"

    @property
    def agent_state(self) -> str:
        """What the agent does, in the framework's words."""
        return self._agent_state

    def watch(self, session: AgentSession[None]) -> None:
        """Begin to count."""
        session.on("conversation_item_added", self._on_item)
        session.on("agent_state_changed", self._on_agent_state)
        session.on("tool_execution_updated", self._on_tool)

    def take(self) -> tuple[dict[str, int], list[Task]]:
        """Return what was counted and which tasks changed since the last time."""
        counts, tasks = dict(self._counts), list(self._changed.values())
        self._counts.clear()
        self._changed.clear()
        return counts, tasks

    def give_back(self, counts: dict[str, int], tasks: list[Task]) -> None:
        """Take back what could not be reported."""
        self._counts.update(counts)
        newer = list(self._changed.values())
        self._changed.clear()
        for task in [*tasks, *newer]:
            self._note(task)

    def note_work(self, kind: str, work_id: str, state: TaskState) -> None:
        """Note how far a piece of work in the background is.

        Args:
            kind: what kind of work.
            work_id: the same one at each change.
            state: how far it is.
        """
        now = now_ms()
        begun = Task(work_id, self._session_id, kind, state, now, now)
        task = _now_in(self._running.pop(work_id, begun), state, "the work failed")
        if state in (TaskState.PENDING, TaskState.RUNNING):
            self._running[work_id] = task
        self._note(task)
        self._on_task()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage) and event.item.role in ("user", "assistant"):
            self._counts["messages"] += 1

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        self._agent_state = event.new_state

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            self._begin(update)
        elif isinstance(update, ToolCallEnded):
            self._end(update)
        else:
            return
        self._on_task()

    def _begin(self, update: ToolCallStarted) -> None:
        call = update.function_call
        # A model can make a name up, of words that the person said.
        name = call.name if _TOOL_NAME.fullmatch(call.name) else "unknown"
        now = now_ms()
        task = Task(call.call_id, self._session_id, name, TaskState.RUNNING, now, now)
        self._running[call.call_id] = task
        self._note(task)

    def _end(self, update: ToolCallEnded) -> None:
        task = self._running.pop(update.call_id, None)
        if task is None:
            return
        self._note(_now_in(task, _STATES[update.status], "the tool failed"))

    def _note(self, task: Task) -> None:
        self._changed[task.id] = task
        self._changed.move_to_end(task.id)
        while len(self._changed) > _MOST_TASKS:
            self._changed.popitem(last=False)


def _now_in(task: Task, state: TaskState, failure: str) -> Task:
    return replace(
        task,
        state=state,
        updated_at=now_ms(),
        result_available=state is TaskState.COMPLETED,
        error_message=failure if state is TaskState.FAILED else None,
    )
