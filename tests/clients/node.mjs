// Node: fetch, the https module with a keep-alive agent, and the ws package.
import assert from 'node:assert/strict';
import https from 'node:https';
import { createRequire } from 'node:module';

const WebSocket = createRequire(`${process.env.NODE_MODULES}/`)('ws');
const { BASE, GATE, USER_NAME, PASSWORD, CA } = process.env;
const ok = (what) => console.log(`ok: ${what}`);

async function login() {
    const answer = await fetch(`${BASE}/login`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ username: USER_NAME, password: PASSWORD }),
    });
    assert.equal(answer.status, 200);
    const { key, token, username, expires, role } = await answer.json();
    assert.deepEqual([username, role], [USER_NAME, 2]);
    assert.ok(expires > Date.now());
    return { 'X-Key': key, 'X-Access-Token': token };
}

async function useFetch(pair) {
    const answer = await fetch(`${BASE}/api/fetch`, { headers: pair });
    assert.equal((await answer.json()).url, '/api/fetch');
    const posted = await fetch(`${BASE}/api/fetch`, { method: 'POST', headers: pair, body: 'x'.repeat(100_000) });
    assert.equal((await posted.json()).length, 100_000);
    ok('fetch: GET and POST');
    assert.equal((await fetch(`${BASE}/api`)).status, 401);
    ok('fetch: nobody is 401');
}

function request(agent, pair, options) {
    return new Promise((resolve, reject) => {
        const asked = https.request(`${BASE}/api/agent`, { agent, headers: pair, ...options }, (answer) => {
            const port = answer.socket.localPort;
            answer.resume();
            answer.on('end', () => resolve({ status: answer.statusCode, port }));
        });
        asked.on('error', reject);
        asked.end(options?.body);
    });
}

async function useAgent(pair) {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 4 });
    const answers = await Promise.all(Array.from({ length: 200 }, () => request(agent, pair)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(new Set(answers.map(({ port }) => port)).size, 4);
    agent.destroy();
    ok('https: 200 requests over 4 kept connections');
}

const heard = (socket) => new Promise((resolve, reject) => {
    socket.once('message', (data) => resolve(data.toString()));
    socket.once('error', reject);
});

async function useWebSocket(pair) {
    const socket = new WebSocket(`wss://localhost:${GATE}/socket`, { headers: pair });
    assert.equal(JSON.parse(await heard(socket)).user, USER_NAME);
    for (const text of ['hello', 'x'.repeat(200_000)]) {
        socket.send(text);
        assert.equal(await heard(socket), text);
    }
    socket.close();
    ok('ws: frames both ways');
    const refused = await heard(new WebSocket(`wss://localhost:${GATE}/socket`)).catch((error) => error.message);
    assert.match(refused, /401/);
    ok('ws: nobody is 401');
}

assert.ok(CA);
const pair = await login();
await useFetch(pair);
await useAgent(pair);
await useWebSocket(pair);
assert.equal((await fetch(`${BASE}/logout`, { method: 'POST', headers: pair })).status, 200);
assert.equal((await fetch(`${BASE}/api`, { headers: pair })).status, 401);
ok('fetch: is out after the logout');
