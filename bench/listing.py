"""A container that only lists, for benchmarks: the answers that Blob gives, made as they are asked for.

Its blobs are "FOLDER/NNN/fNNNN", a thousand in each folder, sorted, `size_of` bytes each. It stands for a container
that no machine here could fill in minutes. With a delimiter it gives the folders, or what is in one. Run as `python -m
bench.listing FILES`, it prints its address, and ends when its standard input does.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

FOLDER = "data"
IN_A_FOLDER = 1000

_BLOB = (
    "<Blob><Name>{name}</Name><Properties><Creation-Time>Mon, 02 Mar 2026 10:00:00 GMT</Creation-Time>"
    "<Last-Modified>Mon, 02 Mar 2026 10:00:00 GMT</Last-Modified><Etag>0x8DE784F7A1B2C3D</Etag>"
    "<Content-Length>{size}</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-Encoding />"
    "<Content-Language /><Content-CRC64 /><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5><Cache-Control />"
    "<Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
    "<AccessTierInferred>true</AccessTierInferred><LeaseStatus>unlocked</LeaseStatus>"
    "<LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted></Properties><OrMetadata /></Blob>"
)


def name_of(number: int) -> str:
    """Name a blob."""
    return f"{FOLDER}/{number // IN_A_FOLDER:04}/f{number % IN_A_FOLDER:03}"


def size_of(number: int) -> int:
    """Say how many bytes it has."""
    return number % 5000


class _Handler(BaseHTTPRequestHandler):
    """Answers List Blobs; a marker is the number of the next blob."""

    protocol_version = "HTTP/1.1"
    files = 0

    def do_GET(self) -> None:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        first, prefix = int(asked.get("marker", 0)), asked.get("prefix", "")
        folders = "delimiter" in asked and prefix == f"{FOLDER}/"
        end = -(-self.files // IN_A_FOLDER) if folders else self.files
        last = min(first + int(asked.get("maxresults", 5000)), end)
        if folders:
            names = (name_of(number * IN_A_FOLDER).rpartition("/")[0] for number in range(first, last))
            blobs = "".join(f"<BlobPrefix><Name>{name}/</Name></BlobPrefix>" for name in names)
        else:
            blobs = "".join(
                _BLOB.format(name=escape(name), size=size_of(number))
                for number in range(first, last)
                if (name := name_of(number)).startswith(prefix)
            )
        marker = str(last) if last < end else ""
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://127.0.0.1/"'
            f' ContainerName="data"><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing."""


def main(files: int) -> None:
    """Serve until standard input ends."""
    _Handler.files = files
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}/devstoreaccount1/data", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
