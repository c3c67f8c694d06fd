"""The conversation: who the assistant is, its models, greeting, recall and tools."""
