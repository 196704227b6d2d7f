"""Azurite, its Blob service only."""

from __future__ import annotations

import shutil
from pathlib import Path

from azure.storage.blob import ContainerClient

from sandbox.passage import ROOT
from sandbox.service import Service, StartError
from slurm_amlfs.emulator.azurite import DEVELOPMENT_KEY

PROGRAM = ROOT / "tools/azurite/node_modules/azurite/dist/src/blob/main.js"
CONTAINER = "science"


def container_url(port: int) -> str:
    """Write the container's address."""
    return f"http://127.0.0.1:{port}/devstoreaccount1/{CONTAINER}"


def container(port: int) -> ContainerClient:
    """Make a client of the container."""
    return ContainerClient.from_container_url(container_url(port), credential=DEVELOPMENT_KEY)


def azurite(folder: Path, logs: Path, port: int) -> Service:
    """Make Azurite, its blobs under `folder`.

    Raises:
        StartError: it or Node.js is not installed.
    """
    node = shutil.which("node")
    if node is None or not PROGRAM.exists():
        raise StartError("Azurite or Node.js is not installed; run: make setup")
    argv = [node, str(PROGRAM), "--blobHost=127.0.0.1", f"--blobPort={port}", f"--location={folder / 'azurite'}"]
    # Without the check it would refuse API versions that are newer than it; silent leaves out one line a request.
    argv += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    environment = {"HOME": str(folder), "TMPDIR": str(folder)}
    return Service("azurite", argv, logs, lambda said: "successfully listens" in said, environment)
