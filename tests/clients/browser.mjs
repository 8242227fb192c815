// Chromium: a page from another origin logs in, uses the API, downloads, opens a WebSocket, logs out, and is out.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');
const { BASE, USER_NAME, PASSWORD, WORK } = process.env;
const ok = (what) => console.log(`ok: ${what}`);

const flags = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
];

// The page's own origin: it has nothing but an empty page.
const origin = http.createServer((_, response) => response.end('<!doctype html><title>another origin</title>'));
await new Promise((listening) => origin.listen(0, '127.0.0.1', listening));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${origin.address().port}/`);
    await visit(page);
} finally {
    await browser.close();
    origin.close();
}

async function visit(page) {
    const wrong = await ask(page, 'POST', '/login', {}, { username: USER_NAME, password: 'wrong' });
    assert.deepEqual(wrong, { status: 401, body: { status: 'error', info: 'Invalid credentials' } });
    ok('a wrong password is refused, and the page can read why');
    const { status, body } = await ask(page, 'POST', '/login', {}, { username: USER_NAME, password: PASSWORD });
    assert.equal(status, 200);
    ok('logs in across origins');
    const pair = { 'X-Key': body.key, 'X-Access-Token': body.token };
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
        const used = await ask(page, method, '/api/page', pair, method === 'GET' ? undefined : { a: 1 });
        assert.deepEqual([used.status, used.body.method], [200, method]);
    }
    ok('uses the API with four methods');
    const query = `?x_key=${body.key}&access_token=${body.token}`;
    await downloads(page, query);
    await opensASocket(page, query);
    ok('opens a WebSocket with query credentials');
    // A page of the gateway's own origin has an HTTP/2 connection to it, and opens its WebSocket on that.
    const own = await page.context().newPage();
    await own.goto(`${BASE}/login`);
    await opensASocket(own, query);
    assert.equal((await ask(page, 'POST', '/logout', pair)).status, 200);
    ok('logs out');
    for (const opener of [page, own]) assert.equal(await opener.evaluate(() => globalThis.socketClosed), 1008);
    ok('finds its WebSockets closed with 1008');
    assert.equal((await ask(page, 'GET', '/api/page', pair)).status, 401);
    ok('is out');
    await logged(({ method, protocol, status }) => method === 'CONNECT' && protocol === 'h2' && status === 200);
    ok('had opened its own WebSocket on HTTP/2');
}

// Waits for an access line.
async function logged(wanted) {
    for (let deadline = Date.now() + 10_000; Date.now() < deadline;) {
        const lines = readFileSync(`${WORK}/access.log`, 'utf8').trim().split('\n');
        if (lines.some((line) => wanted(JSON.parse(line)))) return;
        await new Promise((later) => setTimeout(later, 50));
    }
    assert.fail(`no access line with ${wanted}`);
}

// fetch in the page; the answer's JSON.
function ask(page, method, path, headers, body) {
    return page.evaluate(async ([url, method, headers, body]) => {
        const json = body === undefined ? {} : { 'Content-Type': 'application/json' };
        const answer = await fetch(url, { method, headers: { ...headers, ...json }, body: body && JSON.stringify(body) });
        return { status: answer.status, body: await answer.json() };
    }, [BASE + path, method, headers, body]);
}

// A link as the web client makes them: no headers, the pair in the query.
async function downloads(page, query) {
    const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.evaluate((url) => {
            const link = Object.assign(document.createElement('a'), { href: url });
            document.body.append(link);
            link.click();
        }, `${BASE}/media/record.wav${query}`),
    ]);
    assert.equal(download.suggestedFilename(), 'record.json');
    const said = JSON.parse(readFileSync(await download.path(), 'utf8'));
    assert.deepEqual([said.url, said.headers['x-webitel-user']], ['/media/record.wav', USER_NAME]);
    ok('downloads with query credentials, which do not go upstream');
}

async function opensASocket(page, query) {
    const heard = await page.evaluate((url) => new Promise((resolve, reject) => {
        const socket = new WebSocket(url);
        globalThis.socketClosed = new Promise((resolve) => { socket.onclose = ({ code }) => resolve(code); });
        const heard = [];
        socket.onmessage = ({ data }) => {
            heard.push(data);
            if (heard.length === 1) socket.send('from a page');
            else resolve(heard);
        };
        socket.onerror = () => reject(new Error('the WebSocket failed'));
    }), `${BASE.replace('https', 'wss')}/media/socket${query}`);
    assert.equal(JSON.parse(heard[0]).url, '/media/socket');
    assert.equal(heard[1], 'from a page');
}
