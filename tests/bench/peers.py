"""The proxies under test, each set up for the same work: TLS 1.3 with tickets, ECDSA P-256, X-Key and X-Access-Token against live pairs."""

import dataclasses
import pathlib
import subprocess

import ground


@dataclasses.dataclass
class Peer:
    """A running proxy."""

    name: str
    process: subprocess.Popen
    port: int
    pairs: pathlib.Path

    @property
    def wrong(self):
        """The same keys, each with a token that differs in its last letter."""
        return self.pairs.with_name(f"wrong-{self.pairs.name}")


def gatewarden(place, workers=1, **options):
    """Everything on: sessions, header hygiene, routes, access log to a file, metrics. It issues the pairs that the others know."""
    port = ground.free_port()
    config = configured(place, port, workers=workers, **options)
    core = ground.PROXY_CORE if workers == 1 else f"{ground.PROXY_CORE},{ground.LOAD_CORE}"
    process = place.start(core, place.gatewarden, "serve", "--config", config)
    ground.wait_for(port)
    peer = Peer("gatewarden", process, port, place.folder / f"pairs-{port}")
    peer.pairs.write_text(place.run("login", peer))
    return peer


def configured(place, port, routes="", servers=1, workers=1, busy_poll="none"):
    """The configuration of one gateway. All its files have its port in their names, since several run at a time."""
    upstream_port = place.upstream.rsplit(":", 1)[1]
    upstream = [f"http://127.0.0.{last}:{upstream_port}" for last in range(1, servers + 1)]
    health, folder = ground.free_port(), place.folder
    config = folder / f"gatewarden-{port}.toml"
    config.write_text(
        f"""
listeners = [{{ address = "127.0.0.1:{port}", tls = true }}]
tls = {{ certificates = [{{ chain = "{folder}/certs/server.pem", key = "{folder}/certs/server.key" }}], min_version = "1.3" }}
server = {{ workers = {workers}, drain_timeout = "1s" }}
tokens.secret_files = ["{folder}/token.key"]
directories = [{{ kind = "file", path = "{folder}/users.toml", rehash = false }}]
sessions.per_user = 100000
limits.connections = {ground.most_connections()}
upstreams.main = {{ servers = {upstream}, busy_poll = "{busy_poll}" }}
routes = [
    {{ path = "/", upstream = "main" }},
    {{ path = "/admin", upstream = "main", roles = ["admin", "root"] }},
    {{ path = "/internal", access = "deny" }},
    {routes}
]
health.listen = "127.0.0.1:{health}"
log = {{ access = "{folder}/access-{port}.log", audit = "{folder}/audit-{port}.log", level = "warn" }}
login.throttle = {{ per_user = 1000000, per_network = 1000000, window = "15m" }}
"""
    )
    return config


def crowded(place, count):
    """A gateway in which so many sessions live, each with a user of its own."""
    port = ground.free_port()
    pairs = place.folder / f"pairs-{port}"
    command = [place.bench("sessions"), "--count", count, "--serve", configured(place, port), "--pairs", pairs]
    process = place.start(ground.PROXY_CORE, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", f"no gateway with {count} sessions"
    return Peer("gatewarden", process, port, pairs)


def haproxy(place, verify_jwt=False):
    port, folder = ground.free_port(), place.folder
    (folder / "haproxy.pem").write_text((folder / "certs/server.pem").read_text() + (folder / "certs/server.key").read_text())
    (folder / "map").write_text((folder / "pairs").read_text())
    secret = folder / "token.key"
    jwt = ""
    if verify_jwt:
        jwt = f"""
    http-request set-var(txn.valid) var(txn.sent),jwt_verify(txn.alg,"{secret}")
    http-request set-var(txn.exp) var(txn.sent),jwt_payload_query('$.exp','int')
    acl tok_ok var(txn.valid) -m int 1"""
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""
global
    nbthread 1
    maxconn {ground.most_connections()}
    tune.ssl.cachesize 0
    log {folder}/haproxy.sock local0
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-curves X25519
    ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    timeout tunnel 1h
    http-reuse always
frontend edge
    bind 127.0.0.1:{port} ssl crt {folder}/haproxy.pem alpn h2,http/1.1
    http-request set-var(txn.sent) req.hdr(X-Access-Token)
    http-request set-var(txn.tok) req.hdr(X-Key),map_str({folder}/map)
    acl tok_ok req.hdr(X-Access-Token),secure_memcmp(txn.tok) -m bool true{jwt}
    http-request return status 401 content-type application/json string "{{\\"status\\":\\"error\\",\\"info\\":\\"Invalid token or key\\"}}" unless tok_ok
    default_backend api
backend api
    server one {place.upstream} pool-max-conn -1
"""
    )
    process = place.start(ground.PROXY_CORE, "haproxy", "-q", "-db", "-f", config)
    ground.wait_for(port)
    return Peer("haproxy", process, port, folder / "pairs")


def nginx(place):
    port, folder = ground.free_port(), place.folder
    pairs = [line.split(" ") for line in (folder / "pairs").read_text().splitlines()]
    (folder / "nginx.map").write_text("".join(f'"{key}:{token}" 1;\n' for key, token in pairs))
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log;
worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{
    access_log {folder}/nginx.access.log;
    map_hash_bucket_size 1024;
    map_hash_max_size 65536;
    map "$http_x_key:$http_x_access_token" $ok {{ default 0; include {folder}/nginx.map; }}
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream api {{ server {place.upstream}; keepalive 512; }}
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_tickets on;
    ssl_session_cache off;
    keepalive_requests 1000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    proxy_max_temp_file_size 0;
    fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u; scgi_temp_path {folder}/nginx-s;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/certs/server.pem;
        ssl_certificate_key {folder}/certs/server.key;
        location / {{
            if ($ok = 0) {{ return 401 '{{"status":"error","info":"Invalid token or key"}}'; }}
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""
    )
    process = place.start(ground.PROXY_CORE, "nginx", "-c", config)
    ground.wait_for(port)
    return Peer("nginx", process, port, folder / "pairs")


def haproxy_jwt(place):
    peer = haproxy(place, verify_jwt=True)
    return dataclasses.replace(peer, name="haproxy+jwt")


def gatewarden_busy(place):
    """Looks for answers instead of sleeping; with pairs of its own."""
    return dataclasses.replace(gatewarden(place, busy_poll="60us"), name="gatewarden+busy")


# gatewarden first: its logins are the pairs of all.
USUAL = {"gatewarden": gatewarden, "haproxy": haproxy, "haproxy+jwt": haproxy_jwt, "nginx": nginx}
ALL = {**USUAL, "gatewarden+busy": gatewarden_busy}


def start(place, names, **options):
    """Starts them and checks that each refuses a wrong pair and lets a right one through."""
    started = []
    for name in ["gatewarden", *(name for name in names if name != "gatewarden")]:
        peer = ALL[name](place, **options)
        if name == "gatewarden":
            (place.folder / "pairs").write_text(peer.pairs.read_text())
        lines = peer.pairs.read_text().splitlines()
        peer.wrong.write_text("\n".join(line[:-1] + ("A" if line[-1] != "A" else "B") for line in lines))
        for pairs, status in [(peer.pairs, 200), (peer.wrong, 401)]:
            for protocol in ["h1", "h2"]:
                measured = place.drive(
                    peer, "--pairs", pairs, "--expect", status,
                    "--protocol", protocol, "--connections", 2, "--requests", 50,
                )  # fmt: skip
                assert measured["requests"] == 50 and not measured["unexpected"], f"{name} {protocol}: {pairs.name} is not {status}"
        started.append(peer)
    return [peer for peer in started if peer.name in names]
