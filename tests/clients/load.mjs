// Eight clients that GET a small file over kept connections until a file appears; every answer must be 200.
import { existsSync } from 'node:fs';
import https from 'node:https';

const { BASE, USER_NAME, PASSWORD } = process.env;
const [, , stop] = process.argv;
const most = Date.now() + 60_000;
const failures = new Map();
let answers = 0;

const login = await fetch(`${BASE}/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username: USER_NAME, password: PASSWORD }),
});
const { key, token } = await login.json();
const headers = { 'X-Key': key, 'X-Access-Token': token };
const agent = new https.Agent({ keepAlive: true, maxSockets: 8 });

function get() {
    return new Promise((resolve) => {
        const asked = https.get(`${BASE}/files/small`, { agent, headers }, (answer) => {
            answer.resume();
            answer.on('end', () => resolve(answer.statusCode));
            answer.on('error', (error) => resolve(error.code));
        });
        asked.on('error', (error) => resolve(error.code));
    });
}

async function client() {
    while (!existsSync(stop) && Date.now() < most) {
        const outcome = await get();
        answers += 1;
        if (outcome !== 200) failures.set(outcome, (failures.get(outcome) ?? 0) + 1);
    }
}

await Promise.all(Array.from({ length: 8 }, client));
agent.destroy();
if (failures.size > 0 || answers < 500) {
    console.log(`not ok: of ${answers} requests failed:`, failures);
    process.exit(1);
}
console.log(`ok: ${answers} safe requests during six restarts, none failed`);
