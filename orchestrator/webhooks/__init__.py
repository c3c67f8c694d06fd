"""Webhooks: LiveKit's, which come in, and those about sessions, which go out."""
