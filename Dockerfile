# The worker and the orchestrator (compose.yaml gives its command), for `lk agent deploy` and for any container platform.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    WORKER_HOST=0.0.0.0

# Not root, with a home for nothing but people's data.
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin agent \
    && install -d -o agent -g agent -m 0700 /data

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY --chown=root:root . .

USER agent
VOLUME /data

# SIGTERM lets the conversations under way end; give the container that long to stop.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8081/', timeout=2)"]
CMD ["python", "agent.py", "start"]
