"""Downloads against a server on this machine: resumed, verified, unpacked, told when they fail."""

import ast
import contextlib
import hashlib
import io
import json
import socket
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.cli import tool
from nmfab.datasets import DATASETS, download

NOISE = np.random.default_rng(0).bytes(3_000_000)


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return data.getvalue()


def tarred(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return data.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks off after `limit` bytes; notes what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.limit, self.ranges = {}, [], None, True
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        data = self.server.files.get(self.path)
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if data is None:
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if start >= len(data) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:][: self.server.limit])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    found = Server()
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


def remote(server, name, data, **more):
    server.files[f"/{name}"] = data
    checksum = f"md5:{hashlib.md5(data).hexdigest()}"
    return download.Remote(f"{server.url}/{name}", name, **({"checksum": checksum} | more))


def test_a_file_comes_whole_and_once(server, tmp_path):
    told = []
    noise = remote(server, "noise.bin", NOISE, folder="deep/down")
    assert download.get(noise, tmp_path, lambda *numbers: told.append(numbers))
    assert (tmp_path / "deep/down/noise.bin").read_bytes() == NOISE
    assert told[0] == (0, len(NOISE))
    assert told[-1] == (len(NOISE), len(NOISE))
    assert not download.get(noise, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on(server, tmp_path, ranges):
    noise = remote(server, "noise.bin", NOISE)
    server.limit, server.ranges = 1_200_000, ranges
    with pytest.raises(DataError, match="the same command goes on from there"):
        download.get(noise, tmp_path)
    part = tmp_path / ".downloads/noise.bin.part"
    kept = part.stat().st_size
    assert 0 < kept <= 1_200_000
    server.limit = None
    assert download.get(noise, tmp_path)
    assert server.asked[-1] == ("/noise.bin", f"bytes={kept}-")
    assert (tmp_path / "noise.bin").read_bytes() == NOISE
    assert not part.exists()


def test_all_bytes_there_but_the_end_was_not_seen(server, tmp_path):
    noise = remote(server, "noise.bin", NOISE)
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads/noise.bin.part").write_bytes(NOISE)
    assert download.get(noise, tmp_path)
    assert (tmp_path / "noise.bin").read_bytes() == NOISE


def test_a_wrong_checksum_is_refused_and_removed(server, tmp_path):
    noise = remote(server, "noise.bin", NOISE, checksum=f"md5:{'0' * 32}")
    with pytest.raises(DataError, match=r"came with md5 .* and not 0000.*it is removed"):
        download.get(noise, tmp_path)
    assert not (tmp_path / "noise.bin").exists()
    assert not (tmp_path / ".downloads/noise.bin.part").exists()
    # Foreign bytes ahead of the right ones are found by the checksum too.
    (tmp_path / ".downloads/noise.bin.part").write_bytes(b"another file")
    right = remote(server, "noise.bin", NOISE)
    with pytest.raises(DataError, match="came with md5"):
        download.get(right, tmp_path)
    assert download.get(right, tmp_path)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_are_unpacked(server, tmp_path, pack):
    data = pack({"top/a.txt": b"a", "top/sub/b.txt": b"b"})
    assert download.get(remote(server, "a.zip", data, folder="x", lift=("top",)), tmp_path)
    assert (tmp_path / "x/a.txt").read_bytes() == b"a"
    assert (tmp_path / "x/sub/b.txt").read_bytes() == b"b"
    assert not (tmp_path / "x/top").exists()
    assert not (tmp_path / ".downloads/a.zip").exists()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_writes_nothing_outside(server, tmp_path, pack):
    data = pack({"../../evil.txt": b"!", "good.txt": b"g"})
    folder = tmp_path / "a/b"
    with contextlib.suppress(DataError):  # a tar is refused, a zip loses the dots
        download.get(remote(server, "a.zip", data), folder)
    assert not list(tmp_path.glob("evil.txt"))
    assert not list((tmp_path / "a").glob("evil.txt"))


def test_a_broken_archive_is_named(server, tmp_path):
    data = zipped({"a.txt": b"a" * 1000})
    data = data[:30] + b"####" + data[34:]
    with pytest.raises(DataError, match=r"a\.zip cannot be unpacked"):
        download.get(remote(server, "a.zip", data), tmp_path)


def test_what_is_not_there_is_named(server, tmp_path):
    with pytest.raises(DataError, match=r"/no\.zip answers 404"):
        download.get(download.Remote(f"{server.url}/no.zip", "no.zip"), tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    with pytest.raises(DataError, match="the same command goes on"):
        download.get(download.Remote(url, "x"), tmp_path)


def test_a_disk_that_is_too_small_is_told_before(server, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match="GB free: name another folder"):
        download.get(remote(server, "noise.bin", NOISE), tmp_path)


def test_addresses_and_checksums_come_from_mirdata():
    beatles = download.remotes(DATASETS["beatles"].downloads)
    assert [found.name for found in beatles] == [
        "The Beatles Annotations.tar.gz",
        "beatles_index_1.2.json",
    ]
    assert beatles[0].checksum == "md5:62425c552d37c6bb655a78e4603828cc"
    assert (beatles[0].folder, beatles[1].folder) == ("annotations", "")
    (maestro,) = download.remotes(DATASETS["maestro"].downloads)
    assert maestro.lift == ("maestro-v2.0.0",)


def test_every_address_that_needs_no_asking_is_known():
    for name in DATASETS.names():
        offline = [text for text in DATASETS[name].downloads if not text.startswith("zenodo:")]
        for found in download.remotes(offline):
            assert found.url.startswith("http")
            assert found.checksum or "mirex10" in found.url


def test_zenodo_is_asked_for_address_and_checksum(server, monkeypatch):
    monkeypatch.setattr(download, "ZENODO", f"{server.url}/records")
    entry = {"key": "a.zip", "checksum": "md5:12", "links": {"self": f"{server.url}/a/content"}}
    server.files["/records/7"] = json.dumps({"files": [entry]}).encode()
    (found,) = download.remotes(["zenodo:7/a.zip"])
    assert found == download.Remote(f"{server.url}/a/content", "a.zip", "md5:12")
    with pytest.raises(DataError, match=r"does not name b\.zip"):
        download.remotes(["zenodo:7/b.zip"])
    with pytest.raises(DataError, match="cannot be asked"):
        download.remotes(["zenodo:8/a.zip"])


def test_get_puts_a_dataset_where_it_is_found(server, tmp_path, monkeypatch, capsys):
    from nmfab.datasets import mini

    source = mini.write("guitarset", tmp_path / "source")
    data = zipped(
        {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    )
    server.files["/all.zip"] = data
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(DATASETS["guitarset"], "downloads", (f"{server.url}/all.zip -> ",))
    assert tool.main(["datasets", "get", "guitarset", "--data", str(home)]) == 0
    out = capsys.readouterr().out
    assert "all.zip: done (no checksum is published for it)" in out
    assert "guitarset: partial, 2 of 360 tracks" in out
    assert len(DATASETS["guitarset"]([home]).track_ids(needs=("notes",))) == 2
    assert tool.main(["datasets", "get", "guitarset", "--data", str(home)]) == 0
    assert "all.zip: exists already" in capsys.readouterr().out


def test_what_cannot_be_downloaded_says_why_and_what_to_do(tmp_path, capsys):
    assert tool.main(["datasets", "get", "maps", "--data", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "maps: its authors ask for a registration" in out
    assert "1. fill in the form" in out
    assert "https://adasp.telecom-paris.fr" in out


def test_files_are_compared_with_the_index(tmp_path, capsys):
    from nmfab.datasets import mini

    folder = mini.write("salami", tmp_path)
    assert tool.main(["datasets", "salami", "--verify", "--data", str(tmp_path)]) == 1
    assert "holds no index of mirdata" in capsys.readouterr().err
    names = ["audio/2.mp3", "audio/898.mp3"]
    right = hashlib.md5((folder / names[0]).read_bytes()).hexdigest()
    tracks = {
        "2": {"audio": [names[0], right], "other": [None, None]},
        "898": {"audio": [names[1], "0" * 32]},
        "3": {"audio": ["audio/3.mp3", right]},
    }
    (folder / "salami_index_2.0-corrected.json").write_text(json.dumps({"tracks": tracks}))
    assert tool.main(["datasets", "salami", "--verify", "--data", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "differs: audio/898.mp3" in out
    assert "1 of 2 files have the md5 of mirdata's index" in out


def test_nothing_else_uses_the_network():
    root = Path(download.__file__).parents[1]
    network = {"urllib", "http", "socket", "ftplib", "requests", "ssl", "aiohttp", "httpx"}
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            used = {name.partition(".")[0] for name in names} & network
            quoting = names in (["urllib.parse"], ["socket"])  # names of files, of this machine
            assert not used or quoting or path.name == "download.py", f"{path} imports {used}"
            reads = "nmfab.datasets.download" in names or (
                isinstance(node, ast.ImportFrom)
                and node.module == "nmfab.datasets"
                and "download" in [alias.name for alias in node.names]
            )
            assert not reads or path.name == "tool.py", f"{path} imports download"
