"""Publishes messages to clients of a gateway.

    SLUICE_TOKEN=... python3 publish.py '{"uid":"ada","json":{"type":"paid","order":7}}' order-7-paid
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("SLUICE_ADMIN", "http://127.0.0.1:9090") + "/api/v1/publish"
TOKEN = os.environ["SLUICE_TOKEN"]


def publish(body, key):
    """Sends a message, or {"messages": [...]}, and returns the answer.

    It tries again with the same key when the gateway does not answer or is busy, so that nobody
    gets the message twice. It raises an error when the gateway refuses the message.
    """
    request = urllib.request.Request(URL, json.dumps(body).encode(), {
        "Authorization": "Bearer " + TOKEN,
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    })
    last = None
    for attempt in range(5):
        wait = 2 ** attempt
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            last = RuntimeError(json.load(e)["detail"])
            if e.code not in (409, 429, 503):
                raise last
            wait = int(e.headers.get("Retry-After", wait))
        except OSError as e:
            last = e
        time.sleep(wait)
    raise last


if __name__ == "__main__":
    try:
        result = publish(json.loads(sys.argv[1]), sys.argv[2])
    except (RuntimeError, OSError) as problem:
        sys.exit(f"not published: {problem}")
    print(json.dumps(result))
    if result.get("failed"):
        sys.exit("some messages were not published")
