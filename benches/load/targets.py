"""The programs that are compared, each with what it is configured with for one workload."""
import os

from harness import Case

NGINX = """{user}
daemon off;
pid {folder}/pid;
error_log {folder}/log error;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  proxy_temp_path {folder}/temp;
  proxy_cache_path {folder}/cache keys_zone=cache:1m use_temp_path=off;
  proxy_cache cache;
  proxy_cache_valid 200 60s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""


def sources(bench, count=3, more=""):
    """Sources of 1 KB: name → URL."""
    return {f"s{n}": bench.url(n, more) for n in range(count)}


def documents(count):
    """What every good answer of these sources holds."""
    return tuple(f"doc-{n:05}" for n in range(count))


def aggd(
    bench, path, of, name="aggd", holds=None, server="", more="cache: off", routes="", database="off", beside=None
):
    """aggd with these sources, each with more lines of YAML; what is not said has its default."""

    def command(port, folder):
        (folder / "aggd.yaml").write_text(f"listen: 127.0.0.1:{port}\ndatabase: {database}\n{server}\n")
        texts = [f"source: {source}\nurl: {url}\n{more}\n" for source, url in of.items()]
        (folder / "sources.d").mkdir()
        (folder / "sources.d" / "all.yaml").write_text("---\n".join(texts + [routes] * bool(routes)))
        return [bench.aggd, "--config", "aggd.yaml"]

    return Case(name, path, command, documents(len(of)) if holds is None else holds, "/readyz", beside)


def handwritten(bench, path, of, name="handwritten", ttl=0, holds=None, beside=None):
    def command(port, _):
        return [bench.tools / "handwritten", port, ttl, *(f"{source}={url}" for source, url in of.items())]

    return Case(name, path, command, documents(len(of)) if holds is None else holds, beside=beside)


def floor(bench, body, holds):
    def command(port, folder):
        (folder / "body").write_text(body)
        return [bench.tools / "floor", port, "body"]

    return Case("floor", "/", command, holds)


def nginx_cache(bench, size):
    """nginx's cache before a mock upstream that sends this many bytes."""

    def command(port, folder):
        user = "" if os.getuid() else "user root root;"  # else its workers may not read the folder
        conf = NGINX.format(user=user, folder=folder, port=port, upstream=bench.ports[0])
        (folder / "nginx.conf").write_text(conf)
        return ["nginx", "-p", folder, "-e", folder / "log", "-c", folder / "nginx.conf"]

    return Case("nginx cache", f"/json?bytes={size}", command, documents(1))
