"""The conversation: who the assistant is, its models, greeting, recall and tools."""

import os

# onnxruntime, which the voice activity detector runs on, reports its use to its maker from
# its import on, keeps a device id in the home folder, and reads this only once.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
