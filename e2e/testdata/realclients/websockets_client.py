"""A client on python3-websockets: talk|leave|quiet URL [NAME N]. A line of JSON on its standard output says how it went; what is wrong ends it."""
import asyncio
import json
import os
import sys

import websockets


def connect(url, **options):
    return websockets.connect(url, max_size=None, **options)


async def echoes(ws, data):
    await ws.send(data)
    got = await ws.recv()
    assert got == data, f"a message of {len(data)} came back as {type(got)} of {len(got)}"


async def end(ws):
    """The close that the server has sent, once all messages have been read."""
    try:
        got = await ws.recv()
    except websockets.ConnectionClosed as e:
        assert e.rcvd is not None, f"no close frame came: {e!r}"
        return {"code": e.rcvd.code, "reason": e.rcvd.reason, "clean": e.sent is not None}
    raise AssertionError(f"{got!r} instead of the end")


async def talk(url):
    ws = await connect(url + "/talk?a=b")
    headers = ws.response_headers if hasattr(ws, "response_headers") else ws.response.headers
    report = {"extensions": headers.get("Sec-WebSocket-Extensions", ""), "protocols": [ws.subprotocol or ""]}
    for text in "", "hello", "k\u00e4se \u2603 \U0001F600", *("x" * n for n in (125, 126, 65535, 65536, 1 << 20)):
        await echoes(ws, text)
    for n in 0, 1, 125, 126, 65535, 65536, 1 << 20:
        await echoes(ws, os.urandom(n))
    for i in range(20):
        await echoes(ws, json.dumps({"i": i, "words": ["the same again"] * 300}))
    await ws.send(["in ", "three ", "parts"])
    assert await ws.recv() == "in three parts"
    await asyncio.wait_for(await ws.ping(b"are you there"), 20)
    await ws.send("who")
    report["who"] = json.loads(await ws.recv())
    await ws.close(3001, "enough")
    report["closed"] = await end(ws)

    ws = await connect(url, subprotocols=["nobody", "chat"])
    report["protocols"].append(ws.subprotocol or "")
    await echoes(ws, "hello")
    await ws.send("kick")
    assert await ws.recv() == "farewell"
    report["kicked"] = await end(ws)
    return report


async def leave_one(url, name):
    ws = await connect(url)
    sent = answers = 0
    while True:
        try:
            while sent < answers + 4:
                await ws.send(f"{name} {sent}")
                sent += 1
        except websockets.ConnectionClosed:
            pass  # what was said before the end is still to be read
        try:
            got = await ws.recv()
        except websockets.ConnectionClosed:
            return {"name": name, "answers": answers, **await end(ws)}
        assert got == f"{name} {answers}", f"{name}: answer {answers} is {got}"
        answers += 1


async def quiet(url):
    ws = await connect(url, ping_interval=None)
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await echoes(ws, "still here")
    await ws.close()
    return {}


async def main():
    what, url, *rest = sys.argv[1:]
    if what == "leave":
        return await asyncio.gather(*(leave_one(url, f"{rest[0]}-{i}") for i in range(int(rest[1]))))
    return await (quiet if what == "quiet" else talk)(url)


print(json.dumps(asyncio.run(main())))
