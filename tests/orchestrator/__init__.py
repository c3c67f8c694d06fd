"""The orchestrator with real servers."""
