"""nginx, the measure of what a web server can do, with our document in its configuration."""

import pathlib
import shutil

PACKAGES = {"nginx": "nginx-light", "wrk": "wrk"}
READY = 'using the "epoll" event method'
CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr notice;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen {ip}:{port};
    location = /status {{ default_type application/json; return 200 '{document}'; }}
  }}
}}
"""


def missing():
    """Programs of the row `status` that are not here, and their Debian packages."""
    return {name: package for name, package in PACKAGES.items() if shutil.which(name) is None}


def command(folder, ip, port, document):
    """Writes the configuration; `document` is a file. One process, so that its CPU can be told."""
    text = pathlib.Path(document).read_text().replace("\\", "\\\\").replace("'", "\\'")
    if "$" in text:
        raise ValueError("nginx would take a $ for the beginning of a variable")
    file = pathlib.Path(folder) / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, ip=ip, port=port, document=text))
    return ["nginx", "-c", str(file), "-e", "stderr"]
