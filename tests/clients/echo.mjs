// The API behind: says what it got, counts uploads, and gives WebSocket messages back.
import http from 'node:http';
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(`${process.env.NODE_MODULES}/`)('ws');

const server = http.createServer((request, response) => {
    let length = 0;
    request.on('data', (data) => { length += data.length; });
    request.on('end', () => {
        const { method, url, headers } = request;
        const body = JSON.stringify({ method, url, headers, length });
        response.writeHead(200, {
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(body),
            // Recordings are saved, not shown.
            ...(url.startsWith('/media/') && { 'Content-Disposition': 'attachment; filename=record.json' }),
        });
        response.end(body);
    });
});

const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket, request) => {
    socket.send(JSON.stringify({ url: request.url, user: request.headers['x-webitel-user'] }));
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

server.listen(Number(process.env.ECHO), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
