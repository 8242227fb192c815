"""Python: requests, httpx over HTTP/2, and the websockets package."""

import asyncio
import json
import os
import ssl

import httpx
import requests
import websockets

BASE, CA, GATE = (os.environ[name] for name in ("BASE", "CA", "GATE"))
LOGIN = {"username": os.environ["USER_NAME"], "password": os.environ["PASSWORD"]}


def ok(what):
    print(f"ok: {what}", flush=True)


def pair_of(answer):
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert list(said)[:5] == ["key", "username", "expires", "token", "role"], said
    return {"X-Key": said["key"], "X-Access-Token": said["token"]}


def use_requests():
    with requests.Session() as session:
        # The environment's own CA bundle would win over the next line.
        session.trust_env = False
        session.verify = CA
        assert session.get(f"{BASE}/api").status_code == 401
        session.headers.update(pair_of(session.post(f"{BASE}/login", json=LOGIN)))
        assert session.get(f"{BASE}/api", params={"q": "ä b"}).json()["url"] == "/api?q=%C3%A4+b"
        chunks = (b"x" * 1000 for _ in range(1000))
        assert session.post(f"{BASE}/api", data=chunks).json()["length"] == 1_000_000
        ok("requests: login, GET and a chunked upload")
        assert session.post(f"{BASE}/logout").json() == {"status": "OK", "info": "Successful logout."}
        assert session.get(f"{BASE}/api").json() == {"status": "error", "info": "Invalid token or key"}
        ok("requests: is out after the logout")


def use_httpx(context):
    with httpx.Client(http2=True, verify=context) as client:
        pair = pair_of(client.post(f"{BASE}/login", json=LOGIN))
        answer = client.get(f"{BASE}/api", headers=pair)
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2"), answer
        assert answer.json()["headers"]["x-webitel-user"] == LOGIN["username"]
        assert client.post(f"{BASE}/api", headers=pair, content=b"x" * 500_000).json()["length"] == 500_000
        ok("httpx: login, GET and POST over HTTP/2")
        assert client.post(f"{BASE}/logout", headers=pair).status_code == 200
        assert client.get(f"{BASE}/api", headers=pair).status_code == 401
        ok("httpx: is out after the logout")


async def many_streams(context):
    async with httpx.AsyncClient(http2=True, verify=context) as client:
        pair = pair_of(await client.post(f"{BASE}/login", json=LOGIN))
        asked = (client.get(f"{BASE}/api/{number}", headers=pair) for number in range(100))
        urls = [answer.json()["url"] for answer in await asyncio.gather(*asked)]
        assert urls == [f"/api/{number}" for number in range(100)]
        ok("httpx: 100 streams at once")
        return pair


async def use_websockets(context, pair):
    url = f"wss://localhost:{GATE}/socket"
    async with websockets.connect(url, ssl=context, additional_headers=pair) as socket:
        assert json.loads(await socket.recv())["user"] == LOGIN["username"]
        await socket.send(b"\x00\x01")
        assert await socket.recv() == b"\x00\x01"
    ok("websockets: opens, echoes, closes")
    try:
        await websockets.connect(url, ssl=context)
    except websockets.exceptions.InvalidStatus as refused:
        assert refused.response.status_code == 401
    else:
        raise AssertionError("it opened for nobody")
    ok("websockets: nobody is 401")


def trusting():
    """A context of its own for each client: httpx leaves its ALPN behind in the one it is given."""
    return ssl.create_default_context(cafile=CA)


async def asynchronous():
    await use_websockets(trusting(), await many_streams(trusting()))


use_requests()
use_httpx(trusting())
asyncio.run(asynchronous())
