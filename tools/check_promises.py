#!/usr/bin/env python3
"""Fails if a rule of the house that no compiler sees is broken:

- every codec (wire.cpp) has a fuzz target, and every fuzz target a corpus of seeds;
- every counter of a struct Metrics is exported: /metrics shows all there is;
- docs/json.md names every field of the documents that it describes, and no other.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The last one is asked by node.cpp for all that it has.
EXPORTED_BY = ("src/host/counters.cpp", "apps/pyrsia/node.cpp", "src/nat/stun/server.cpp")
METRICS = re.compile(r"^struct \w*Metrics \{\n(.*?)^\};", re.M | re.S)
DESCRIBED = {"pyrsia.map/1": "apps/pyrsia/map_command.cpp", "pyrsia.probe/1": "src/nat/behaviour/report_document.cpp"}
FIELD = re.compile(r'\b\w+(?:\.data)?\["(\w+)"\] =')
COUNTER = re.compile(r"^  Counter (\w+);", re.M)


def codecs_without_fuzzing():
    # Yamux and keys are fuzzed by what reads their messages, which is more.
    read_by = {"src/mux/yamux/wire.cpp": "src/mux/yamux/session_fuzz.cpp",
               "src/crypto/wire.cpp": "src/crypto/envelope_fuzz.cpp"}
    for codec in sorted((ROOT / "src").rglob("wire.cpp")):
        name = codec.relative_to(ROOT).as_posix()
        target = ROOT / read_by.get(name, name.replace("wire.cpp", "wire_fuzz.cpp"))
        if not target.is_file():
            yield f"{name}: a codec without {target.name}"


def targets_without_corpus():
    for source in sorted((ROOT / "src").rglob("*_fuzz.cpp")):
        name = source.relative_to(ROOT / "src").with_suffix("").as_posix().replace("/", "_")
        corpus = ROOT / "fuzz/corpus" / name
        if not corpus.is_dir() or not any(corpus.iterdir()):
            yield f"{source.relative_to(ROOT)}: no seeds in fuzz/corpus/{name}"


def counters_without_export():
    exports = "".join((ROOT / file).read_text() for file in EXPORTED_BY)
    for header in sorted((ROOT / "src").rglob("*.hpp")):
        for body in METRICS.findall(header.read_text()):
            for counter in COUNTER.findall(body):
                if not re.search(rf"\.{counter}\b", exports):
                    yield f"{header.relative_to(ROOT)}: counter {counter} is exported nowhere"


def fields_that_differ():
    sections = (ROOT / "docs/json.md").read_text().split("\n## ")
    for schema, source in DESCRIBED.items():
        section = next(section for section in sections if section.startswith(f"`{schema}`"))
        rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
        described = {path.split(".")[-1] for path in re.findall(r"`([a-z_0-9.]+)`", "".join(rows))}
        written = set(FIELD.findall((ROOT / source).read_text()))
        for name in sorted(written ^ described):
            what = "is not described in" if name in written else "is described, but not written, in"
            yield f"{source}: field {name} of {schema} {what} docs/json.md"


def main():
    found = [*codecs_without_fuzzing(), *targets_without_corpus(), *counters_without_export(), *fields_that_differ()]
    print("\n".join(found) or "promises: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
