"""nginx and HAProxy: two systems under test, and nginx as the TLS in front of the mock."""

import shutil
import subprocess
from collections.abc import Sequence

from bench.systems import Ground, Launch, System
from tests.fakes.tls_relay import AUTHORITY, TLS

CERTIFICATE, CERTIFICATE_KEY = TLS / "server.pem", TLS / "server.key"
NAME_IN_CERTIFICATE = "localhost"


class Nginx(System):
    """nginx with one worker, no buffering and connections to the mock kept open."""

    name = "nginx"
    title = "nginx"

    def __init__(self) -> None:
        """Look for the program."""
        self._program = _find_program("nginx")

    def find_obstacle(self) -> str | None:
        """It must be installed."""
        return None if self._program else "nginx is not installed"

    def read_version(self) -> str:
        """Return nginx's own version text."""
        argv = [self._program or "nginx", "-v"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return done.stderr.strip().removeprefix("nginx version: ")

    def build_launch(self, ground: Ground) -> Launch:
        """Write a configuration and start nginx in the foreground with it."""
        argv = _write_nginx(self._program, ground, "nginx", build_nginx_config(ground))
        return Launch(argv, ground.port, "sk-bench", "/v1/models", is_supervised=True)


class HaProxy(System):
    """HAProxy with one thread and connections to the mock kept open."""

    name = "haproxy"
    title = "HAProxy"

    def __init__(self) -> None:
        """Look for the program."""
        self._program = _find_program("haproxy")

    def find_obstacle(self) -> str | None:
        """It must be installed."""
        return None if self._program else "haproxy is not installed"

    def read_version(self) -> str:
        """Return HAProxy's own version text."""
        argv = [self._program or "haproxy", "-v"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return " ".join(done.stdout.split()[:3])

    def build_launch(self, ground: Ground) -> Launch:
        """Write a configuration and start HAProxy in the foreground with it."""
        config_file = ground.folder / "haproxy.cfg"
        config_file.write_text(build_haproxy_config(ground))
        argv = [self._program or "haproxy", "-db", "-q", "-f", str(config_file)]
        return Launch(argv, ground.port, "sk-bench", "/v1/models")


def find_tls_obstacle() -> str | None:
    """Return why there can be no upstream behind TLS here, or None."""
    return None if _find_program("nginx") else "nginx, the TLS in front of the mock, is missing"


def prepare_tls_front(ground: Ground) -> Sequence[str]:
    """Write the configuration of the TLS in front of the mock and return how to start it."""
    return _write_nginx(_find_program("nginx"), ground, "tls-front", build_tls_front(ground))


def build_nginx_config(ground: Ground) -> str:
    """Return the text of the nginx.conf of the comparison."""
    if ground.tls_port is None:
        location = "proxy_pass http://mock;"
    else:
        location = f"""proxy_pass https://mock;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {AUTHORITY};
            proxy_ssl_name {NAME_IN_CERTIFICATE};
            proxy_ssl_protocols TLSv1.2 TLSv1.3;"""
    listen = f"listen 127.0.0.1:{ground.port} backlog=4096;"
    return _build_nginx(ground, "nginx", ground.upstream_port, listen, location)


def build_tls_front(ground: Ground) -> str:
    """Return the text of the nginx.conf that ends TLS in front of the mock."""
    listen = f"""listen 127.0.0.1:{ground.tls_port} ssl backlog=4096;
        ssl_certificate {CERTIFICATE};
        ssl_certificate_key {CERTIFICATE_KEY};
        ssl_protocols TLSv1.2 TLSv1.3;"""
    return _build_nginx(ground, "tls-front", ground.mock_port, listen, "proxy_pass http://mock;")


def _build_nginx(ground: Ground, name: str, to_port: int, listen: str, location: str) -> str:
    folder = ground.folder / name
    return f"""\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 32m;
    client_body_buffer_size 64k;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    upstream mock {{
        server 127.0.0.1:{to_port};
        keepalive 2048;
        keepalive_requests 1000000000;
    }}
    server {{
        {listen}
        location / {{
            {location}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def build_haproxy_config(ground: Ground) -> str:
    """Return the text of the haproxy.cfg of the comparison."""
    tls = ""
    if ground.tls_port is not None:
        tls = (
            f" ssl verify required ca-file {AUTHORITY}"
            f" sni str({NAME_IN_CERTIFICATE}) verifyhost {NAME_IN_CERTIFICATE}"
        )
    return f"""\
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    option http-no-delay
    http-reuse always
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{ground.port} backlog 4096
    default_backend mock
backend mock
    server mock 127.0.0.1:{ground.upstream_port} pool-max-conn 2048{tls}
"""


def _write_nginx(program: str | None, ground: Ground, name: str, text: str) -> list[str]:
    folder = ground.folder / name
    folder.mkdir()
    config_file = folder / "nginx.conf"
    config_file.write_text(text)
    return [program or "nginx", "-e", "stderr", "-p", str(folder), "-c", str(config_file)]


def _find_program(name: str) -> str | None:
    """Return where a program is, also where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
