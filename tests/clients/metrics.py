"""A scraper: both syntaxes of /metrics by the parsers of Prometheus' own client, and their naming conventions."""

import os
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

URL = f"http://127.0.0.1:{os.environ['HEALTH']}/metrics"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
EXPECTED = {
    "gatewarden_build": "info",
    "gatewarden_requests": "counter",
    "gatewarden_request_duration_seconds": "histogram",
    "gatewarden_refusals": "counter",
    "gatewarden_logins": "counter",
    "gatewarden_sessions": "gauge",
    "gatewarden_connections": "gauge",
    "gatewarden_tunnels": "gauge",
    "gatewarden_upstream_requests": "counter",
    "gatewarden_log_lines_dropped": "counter",
    "process_cpu_seconds": "counter",
}


def scrape(accept):
    # Past any proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(URL, headers={"Accept": accept})) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def families_of(content_type, text):
    parse = openmetrics if content_type == OPENMETRICS else parser
    families = {family.name: family for family in parse.text_string_to_metric_families(text)}
    for family in families.values():
        assert family.documentation.endswith("."), family.name
        assert family.name == family.name.lower() and not family.name.endswith("_total"), family.name
        for sample in family.samples:
            assert sample.value >= 0, sample
            for secret in (os.environ["PASSWORD"], os.environ["USER_NAME"], "eyJ"):
                assert all(secret not in value for value in sample.labels.values()), sample
    return families


def same(one, other):
    """Whether two families count the same things, whatever they have come to meanwhile."""
    one, other = ({tuple(sorted(sample.labels.items())) for sample in family.samples} for family in (one, other))
    return one == other


said, text = scrape("application/openmetrics-text; version=1.0.0")
assert said == OPENMETRICS, said
new = families_of(said, text)
assert EXPECTED.items() <= {name: family.type for name, family in new.items()}.items(), sorted(new)
assert new["gatewarden_request_duration_seconds"].unit == "seconds"
print(f"ok: /metrics is OpenMetrics: {len(new)} families", flush=True)

said, text = scrape("text/plain")
assert said == "text/plain; version=0.0.4; charset=utf-8", said
old = families_of(said, text)
for name in EXPECTED.keys() - {"gatewarden_build"}:
    assert old[name].type == new[name].type and same(old[name], new[name]), name
print("ok: /metrics is the text that Prometheus has always read", flush=True)
