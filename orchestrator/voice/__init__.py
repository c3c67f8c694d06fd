"""Voice over WebSocket: for clients without WebRTC, carried into the session's LiveKit room.

docs/voice-websocket.md is the contract with clients.
"""
