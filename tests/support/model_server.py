"""A model hub and file server on loopback: the same questions and answers as the real ones, and faults on request."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40
_OTHER = re.compile(
    rf"/(?:api/models/)?(?P<id>[^/]+/[^/]+)/(?:revision/(?P<revision>[^/]+)|(?P<tree>tree/{COMMIT})"
    rf"|resolve/{COMMIT}/(?P<file>.+))"
)


@dataclass
class ModelServer:
    """``files`` by path; what was asked for is in ``requests``: path, Range and Authorization headers."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    model: dict[str, bytes] = field(default_factory=dict)
    """Files of the hub's first model."""
    hub_id: str = "org/name"
    others: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files of further models by their hub ids, the same in every revision."""
    token: str = ""
    """The model is for holders of this token alone."""
    barred: str = ""
    """A token that is valid, and whose owner was not let in."""
    cut_after: int = 0
    """Every answer breaks off after so many bytes."""
    is_listed_openly: bool = False
    """As with gated models of a hub: anyone may know of it, and what files it has."""
    redirects: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    statuses: list[int] = field(default_factory=list)
    """Answered first, one a request."""
    ignores_ranges: bool = False
    changes: bool = False
    """Every answer is of another version of the file."""
    ignores_if_range: bool = False
    """What is asked for comes of the version that is here now."""
    etag: str = ""
    """The same for every content."""
    is_unsized: bool = False
    """Answers don't say how long they are."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    listed: dict[str, object] = field(default_factory=dict)
    """Changes to the rows of the hub's list."""
    stall: threading.Event | None = None
    """Answers wait for it after their first bytes."""

    def rows(self, model: dict[str, bytes] | None = None) -> list[dict[str, object]]:
        rows = []
        for name, content in (self.model if model is None else model).items():
            row: dict[str, object] = {"type": "file", "path": name, "size": len(content)}
            row["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            if name.endswith((".safetensors", ".bin")):
                row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            rows.append({**row, **self.listed})
        return [{"type": "directory", "path": "unet", "oid": "x", "size": 0}, *rows]


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, resolved = self.path.partition("?")[0], f"/{server.hub_id}/resolve/"
            headers = self.headers
            server.requests.append((self.path, headers.get("Range", ""), headers.get("Authorization", "")))
            if server.statuses:
                self.answer(server.statuses.pop(0), b"")
            elif path in server.redirects:
                self.answer(302, b"", Location=server.redirects[path])
            elif (
                server.token
                and path.startswith((resolved,) if server.is_listed_openly else ("/api", resolved))
                and headers.get("Authorization") != (f"Bearer {server.token}")
            ):
                is_barred = server.barred and headers.get("Authorization") == f"Bearer {server.barred}"
                self.answer(403 if is_barred else 401, b"")
            elif path == f"/api/models/{server.hub_id}/revision/main":
                self.answer(200, json.dumps({"sha": COMMIT}).encode())
            elif path == f"/api/models/{server.hub_id}/tree/{COMMIT}":
                self.pages()
            elif path.startswith(f"{resolved}{COMMIT}/"):
                # As a hub does: the file itself is elsewhere.
                self.answer(302, b"", Location=f"{server.url}/store/{path.split('/', 5)[5]}")
            elif path.startswith("/store/") and (name := path.removeprefix("/store/")) in server.model:
                self.file(server.model[name])
            elif path in server.files:
                self.file(server.files[path])
            elif (asked := _OTHER.fullmatch(path)) and asked["id"] in server.others:
                self.other(server.others[asked["id"]], asked)
            else:
                self.answer(404, b"")

        def other(self, model: dict[str, bytes], asked: re.Match[str]) -> None:
            if asked["revision"]:
                self.answer(200, json.dumps({"sha": COMMIT}).encode())
            elif asked["tree"]:
                self.answer(200, json.dumps(server.rows(model)).encode())
            elif asked["file"] in model:
                self.file(model[asked["file"]])
            else:
                self.answer(404, b"")

        def pages(self) -> None:
            rows, half = server.rows(), len(server.rows()) // 2
            if "cursor" in self.path:
                self.answer(200, json.dumps(rows[half:]).encode())
            else:
                following = f'<{server.url}{self.path}&cursor=2>; rel="next"'
                self.answer(200, json.dumps(rows[:half]).encode(), Link=following)

        def file(self, content: bytes) -> None:
            version = str(len(server.requests)) if server.changes else "1"
            etag = server.etag or f'"{hashlib.sha256(content).hexdigest()[:16]}-{version}"'
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            expected = self.headers.get("If-Range", etag)
            if asked is None or server.ignores_ranges or (expected != etag and not server.ignores_if_range):
                self.answer(200, content, ETag=etag)
                return
            start = int(asked[1])
            if start >= len(content):
                self.answer(416, b"")
                return
            where = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], **{"Content-Range": where, "ETag": etag})

        def answer(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            if server.is_unsized:
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", server.content_type)
            self.end_headers()
            if server.stall is not None and content:
                self.wfile.write(content[:1000])
                server.stall.wait(30)
                content = content[1000:]
            if server.cut_after and len(content) > server.cut_after:
                self.wfile.write(content[: server.cut_after])
                self.close_connection = True
                return
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        if server.stall is not None:
            server.stall.set()
        http.shutdown()
        thread.join()
        http.server_close()


def safetensors(size: int, fill: bytes = b"\1") -> bytes:
    """Return a file of ``size`` bytes, at least 100, with one tensor."""
    num_values = size - 80
    header = {"weight": {"dtype": "U8", "shape": [num_values], "data_offsets": [0, num_values]}}
    return (72).to_bytes(8, "little") + json.dumps(header, separators=(",", ":")).encode().ljust(72) + fill * num_values


def model_files(size: int = 40_000) -> dict[str, bytes]:
    """Return the files of a model as hubs have them: several formats and precisions of the same."""
    weights: dict[str, bytes] = {}
    for part, stem in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        weights[f"{part}/config.json"] = b"{}"
        weights[f"{part}/{stem}.safetensors"] = safetensors(2 * size, part[:1].encode())
        weights[f"{part}/{stem}.fp16.safetensors"] = safetensors(size, part[:1].upper().encode())
        weights[f"{part}/{stem}.bin"] = b"pickle"
    return {
        "model_index.json": b'{"_class_name": "StableDiffusionPipeline"}',
        "README.md": b"# hello",
        "v1-5-pruned.ckpt": b"pickle",
        "safety_checker/model.safetensors": safetensors(size),
        "tokenizer/vocab.json": b"{}",
        "tokenizer/merges.txt": b"#version",
        "scheduler/scheduler_config.json": b"{}",
        **weights,
        "unet/config.json": b'{"in_channels": 4, "cross_attention_dim": 768}',
    }


def sdxl_files(size: int = 20_000) -> dict[str, bytes]:
    """Return the files of SDXL's base model as its hub has them, the weights of every format included."""
    files = {
        "model_index.json": b'{"_class_name": "StableDiffusionXLPipeline"}',
        "README.md": b"# hello",
        "sd_xl_base_1.0.safetensors": safetensors(size, b"s"),
        "sd_xl_base_1.0_0.9vae.safetensors": safetensors(size, b"o"),
        "sd_xl_offset_example-lora_1.0.safetensors": safetensors(size, b"l"),
        "scheduler/scheduler_config.json": b'{"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"}',
        "unet/config.json": b'{"in_channels": 4, "cross_attention_dim": 2048, "addition_embed_type": "text_time"}',
    }
    for tokenizer in ("tokenizer", "tokenizer_2"):
        for name in ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json"):
            files[f"{tokenizer}/{name}"] = f'{{"{tokenizer}": "{name}"}}'.encode()
    parts = {"text_encoder": "model", "text_encoder_2": "model", "unet": "diffusion_pytorch_model"}
    for part, stem in {**parts, "vae": "diffusion_pytorch_model", "vae_1_0": "diffusion_pytorch_model"}.items():
        files.setdefault(f"{part}/config.json", b"{}")
        files[f"{part}/{stem}.fp16.safetensors"] = safetensors(size, part[-1:].encode())
        files[f"{part}/{stem}.safetensors"] = safetensors(2 * size, part[-1:].encode())
        for other in (
            "flax_model.msgpack",
            "model.onnx",
            "model.onnx_data",
            "openvino_model.bin",
            "openvino_model.xml",
        ):
            files[f"{part}/{other}"] = b"other " + part.encode()
    for part in ("vae_decoder", "vae_encoder"):
        files |= {f"{part}/config.json": b"{}", f"{part}/model.onnx": b"onnx", f"{part}/openvino_model.bin": b"vino"}
    return files
