"""What no schema knows: python kubernetes.py FOLDER SIDECAR_TOML ends with an error where a manifest would not do what it says."""

import sys
import tomllib
from pathlib import Path

import yaml

folder, sidecar = Path(sys.argv[1]), Path(sys.argv[2])
documents = [d for file in sorted(folder.glob("*.yaml")) for d in yaml.safe_load_all(file.read_text())]


def of_kind(kind):
    return [d for d in documents if d["kind"] == kind]


def seconds(text):
    return float(text.removesuffix("s"))


(config_map,), (policy,), (service,) = map(of_kind, ["ConfigMap", "NetworkPolicy", "Service"])
text = config_map["data"]["gatewarden.toml"]
assert text == sidecar.read_text(), f"the ConfigMap differs from {sidecar}"
config = tomllib.loads(text)
ports = {config["listeners"][0]["address"].rsplit(":")[-1], config["health"]["listen"].rsplit(":")[-1]}
allowed = {str(port["port"]) for rule in policy["spec"]["ingress"] for port in rule["ports"]}
assert allowed == ports, f"the NetworkPolicy opens {allowed}, the gateway listens on {ports}"
assert str(service["spec"]["ports"][0]["targetPort"]) in ports
loopback = config["upstreams"]["api"]["servers"][0].removeprefix("http://")
assert loopback.startswith("127.0.0.1:"), "the API is reached over loopback"

assert len(of_kind("Deployment")) == 2
for deployment in of_kind("Deployment"):
    pod = deployment["spec"]["template"]["spec"]
    native = pod.get("initContainers", [])
    containers = {c["name"]: c for c in native + pod["containers"]}
    gateway, api = containers["gatewarden"], containers["api"]
    assert all(c["restartPolicy"] == "Always" for c in native)

    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for container in containers.values():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]

    assert {p: gateway[p]["httpGet"]["path"] for p in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "startupProbe": "/startupz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    assert {str(port["containerPort"]) for port in gateway["ports"]} == ports
    assert any(loopback in argument for argument in api["args"]), "the API must listen on loopback"
    assert "ports" not in api, "nobody reaches the API but the gateway"

    mounts = gateway["volumeMounts"]
    assert all("subPath" not in mount for mount in mounts), "a subPath is never updated"
    folders = {mount["mountPath"] for mount in mounts}
    named = [config["tokens"]["secret_files"][0], config["directories"][0]["path"], gateway["args"][-1]]
    named += config["tls"]["certificates"][0].values()
    assert {str(Path(file).parent) for file in named} == folders, "each file's folder is a mount, and no other"

    environment = {entry["name"]: entry["value"] for entry in gateway.get("env", [])}
    delay = seconds(environment.get("GATEWARDEN_SERVER__DRAIN_DELAY", config["server"]["drain_delay"]))
    timeout = seconds(config["server"]["drain_timeout"])
    waits = api["lifecycle"]["preStop"]["sleep"]["seconds"]
    if native:
        assert delay == 0, "when a native sidecar is told to end, the API is gone"
    else:
        assert waits > delay + timeout, "the API must outlive the drain"
    assert pod["terminationGracePeriodSeconds"] > waits + (timeout if native else 0)
