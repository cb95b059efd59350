"""Seeds for the fuzzers, from scratch and from what the project ships: small files of every kind that each target takes."""

import json
import re
import struct
import zlib
from pathlib import Path
from zipfile import ZipFile

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def png(width: int, height: int) -> bytes:
    """A picture in colour."""
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + bytes((x * 7 + y * 13 + c * 40) % 256 for x in range(width) for c in range(3)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    """24 bits a pixel; the width a multiple of four, so that no row is padded."""
    pixels = bytes((n * 11) % 256 for n in range(width * height * 3))
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + len(pixels), 0, 54, 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels


def pnm(width: int, height: int) -> bytes:
    """Grey."""
    return b"P5 %d %d 255\n" % (width, height) + bytes((n * 5) % 256 for n in range(width * height))


# The smallest JPEG that is one: a grey block of 8 x 8, one code in each table.
JPEG = (
    b"\xff\xd8\xff\xdb\x00\x43\x00" + b"\x10" * 64 + b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
    + b"\xff\xc4\x00\x14\x00" + b"\x01" + b"\0" * 15 + b"\x00" + b"\xff\xc4\x00\x14\x10" + b"\x01" + b"\0" * 15 + b"\x00"
    + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x3f\xff\xd9"
)


def write(target: str, seeds: dict[str, bytes]) -> None:
    """One file a seed."""
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds.items():
        (folder / name).write_bytes(content)


write("image", {"a.png": png(24, 16), "a.bmp": bmp(24, 16), "a.pgm": pnm(24, 16), "a.jpg": JPEG})
with ZipFile(ROOT / "models/weights/default.bundle") as bundle:
    # In front: which of the bundle's files it is (targets/bundle.rs); `a`, the whole.
    parts = {"manifest.json": "0", "MODEL_CARD.md": "2", "certificate.json": "3", "reference.json": "4"}
    write("bundle", {name: digit.encode() + bundle.read(name) for name, digit in parts.items()} | {"empty.zip": b"aPK\x05\x06" + b"\0" * 18})
shipped = {path.name: path.read_bytes() for path in (ROOT / "systemd").glob("*.toml")}
# As they are, and with their commented examples as keys.
shipped |= {f"all-{name}": b"\n".join(line.removeprefix(b"# ") for line in text.split(b"\n")) for name, text in shipped.items()}
write("config", shipped)
write("journal", {"empty": b"", "zeros": b"\0" * 256})

# One request of each operation, its body with every field of the schema; the names of all fields and the words of all enumerations.
api = json.loads((ROOT / "daemon/openapi.json").read_text())


def example(schema: dict, depth: int = 0) -> object:
    """Something of this shape."""
    if "$ref" in schema:
        return example(api["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("oneOf", "anyOf", "allOf"):
        if choice in schema:
            return example(next((one for one in schema[choice] if one.get("type") != "null"), {}), depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" and depth < 8:
        return {name: example(one, depth + 1) for name, one in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {}), depth + 1)] if depth < 8 else []
    return {"integer": 1, "number": 0.5, "boolean": True, "string": "a"}.get(kind)


def request(method: str, path: str, operation: dict) -> bytes:
    """Method, target, line feed, body."""
    target = re.sub(r"\{[^}]*\}", "1", path)
    query = [f"{one['name']}={example(one['schema'])}" for one in operation.get("parameters", []) if one["in"] == "query"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    text = json.dumps(example(body["schema"])) if body else ""
    return f"{method.upper()} {target}{'?' if query else ''}{'&'.join(query)}\n{text}".encode()


operations = [(method, path, one) for path, methods in api["paths"].items() for method, one in methods.items()]
write("http", {f"{at:03}": request(*operation) for at, operation in enumerate(operations)})
words = sorted(set(re.findall(r'"([a-z_]{2,30})"', json.dumps(api["components"]))))
(HERE / "seeds/http.words").write_text("".join(f'"{word}"\n' for word in words))
