"""How a session gets its agent: by LiveKit's dispatch, or by a Celery task."""
