"""Where records are, what they say, and what they are trusted with."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from lowdose import manifest, records, seeds
from lowdose.checkout import ROOT
from lowdose.records import known_digest, name_of, record_path, results_of
from lowdose.runtime import UserError


def test_the_place_of_a_record(tmp_path, monkeypatch):
    results = tmp_path / "results"
    found = record_path(results / "networks" / "wide" / "card.json")
    assert found == results / "provenance" / "networks" / "wide" / "card.json.json"
    # The innermost folder of that name: an outer one may be anybody's.
    inner = tmp_path / "results" / "project" / "results" / "tables" / "a.csv"
    assert results_of(inner) == tmp_path / "results" / "project" / "results"
    assert name_of(inner) == "results/tables/a.csv"
    # Outside of any: in its own folder, seen from nowhere.
    alone = tmp_path / "elsewhere" / "a.csv"
    assert record_path(alone) == tmp_path / "elsewhere" / "provenance" / "a.csv.json"
    assert name_of(alone) == "a.csv"
    # A working folder that happens to lie in a folder of that name.
    here = tmp_path / "results" / "project"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert name_of(here / "tables" / "a.csv") == "tables/a.csv"
    assert results_of(here / "results" / "tables" / "a.csv") == here / "results"
    card = ROOT / "workflow" / "lowdose" / "denoisers" / "released" / "white" / "card.json"
    assert name_of(card) == "workflow/lowdose/denoisers/released/white/card.json"


def test_the_schemas_are_those_of_the_models():
    for generator in (records.generated_files, manifest.generated_files):
        for name, text in generator().items():
            assert (ROOT / name).read_text() == text, "run python -m lowdose generate"


def test_a_record_survives_writing(record_of, tmp_path):
    path = tmp_path / "results" / "tables" / "a.csv"
    record = record_of(path, b"1,2\n")
    assert records.read(path) == record
    path.unlink()
    assert records.read(path) == record


def test_a_record_that_is_missing_or_broken_is_one_sentence(record_of, tmp_path):
    path = tmp_path / "results" / "tables" / "a.csv"
    with pytest.raises(UserError, match=r"There is no record .*a\.csv\.json; run the stage"):
        records.read(path)
    record_of(path, b"1\n")
    place = record_path(path)
    found = json.loads(place.read_text())
    for change in ({"format": 99}, {"unknown": 1}, {"compared": {}}):
        place.write_text(json.dumps(found | change))
        with pytest.raises(UserError, match=r"The record .* cannot be read"):
            records.read(path)


def test_the_derivation_in_words_gives_the_numbers_of_the_study():
    """What the record says of seeds, followed by hand."""
    keys = ("counts", "PtNp1a-D0", np.int64(3), 7)
    words = []
    for key in keys:
        first = hashlib.sha256(f"{type(key).__name__}:{key}".encode()).digest()[:8]
        words += np.frombuffer(first, "<u4").tolist()
    by_hand = np.random.SeedSequence(entropy=20210127, spawn_key=tuple(words))
    assert "first 8 bytes, little-endian, of the SHA-256" in records.DERIVATION
    expected = seeds.rng(20210127, *keys).integers(2**63, size=4)
    assert np.array_equal(
        np.random.Generator(np.random.PCG64(by_hand)).integers(2**63, size=4), expected
    )


def test_a_digest_is_taken_from_the_record_while_the_file_is_the_same(record_of, tmp_path):
    path = tmp_path / "results" / "waves" / "shard000.h5"
    true = hashlib.sha256(b"waves").hexdigest()
    record_of(path, b"waves")
    # A record that lies shows which of the two was read.
    place = record_path(path)
    place.write_text(place.read_text().replace(true, "0" * 64))
    assert known_digest(path) == "0" * 64
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert known_digest(path) == true
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert known_digest(path) == "0" * 64
    path.write_bytes(b"waves!")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert known_digest(path) == hashlib.sha256(b"waves!").hexdigest()
    place.write_text("{")
    assert known_digest(path) == hashlib.sha256(b"waves!").hexdigest()


def test_a_record_is_valid_by_its_published_schema(record_of, tmp_path):
    schema = json.loads((ROOT / records.SCHEMA).read_text())
    record = record_of(tmp_path / "results" / "a.csv", b"1\n")
    check(json.loads(record.model_dump_json()), schema, schema)
    broken = json.loads(record.model_dump_json())
    del broken["compared"]["machine"]["processor"]
    with pytest.raises(AssertionError, match="processor"):
        check(broken, schema, schema)


def check(value, schema, root):
    """Check the part of JSON Schema that pydantic writes, without another library."""
    if "$ref" in schema:
        schema = root["$defs"][Path(schema["$ref"]).name]
    if "anyOf" in schema:
        for option in schema["anyOf"]:
            try:
                return check(value, option, root)
            except AssertionError:
                continue
        raise AssertionError(f"{value!r} fits none of {schema['anyOf']}")
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": int | float,
             "boolean": bool, "null": type(None)}  # fmt: skip
    assert isinstance(value, kinds[schema["type"]]), f"{value!r} is no {schema['type']}"
    if schema["type"] == "object" and "properties" in schema:
        assert set(schema["required"]) <= set(value), set(schema["required"]) - set(value)
        assert set(value) <= set(schema["properties"]), set(value) - set(schema["properties"])
        for name, one in value.items():
            check(one, schema["properties"][name], root)
    for one in value if schema["type"] == "array" else ():
        check(one, schema["items"], root)
