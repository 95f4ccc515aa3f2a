"""What the Python batteries share: the login, sections, and printing what a program can see."""

import os
import urllib.request
import warnings

HOST, PORT, SOCKET = "127.0.0.1", int(os.environ["PORT"]), os.environ["SOCKET"]
USER, PASSWORD = os.environ["DB_USER"], os.environ["DB_PASSWORD"]
CONNECTS, CYCLES = 10, 40
warnings.simplefilter("ignore")


def section(name):
    """Begins a feature. Through the proxy, the metrics of this moment are kept beside its name."""
    print(f"== {name}")
    if marks := os.environ.get("MARKS"):
        metrics = urllib.request.urlopen(f"http://{os.environ['ADMIN']}/metrics").read().decode()
        with open(marks, "a") as file:
            file.write(f"== {name}\n{metrics}")


def show(name, value):
    print(f"{name}: {value!r}")


def attempt(name, action):
    try:
        show(name, action())
    except Exception as error:
        told = [str(part).replace(str(PORT), "PORT").replace(SOCKET, "SOCKET") for part in error.args]
        show(name, (type(error).__name__, getattr(error, "sqlstate", None), told))
