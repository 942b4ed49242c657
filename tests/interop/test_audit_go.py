"""Go's own packages (golang.org/x/mod: note, tlog) accept our checkpoints and proofs. Skipped where Go is missing."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.audit.folder import published, shards
from gateway.audit.layout import CONF, parse_conf
from gateway.audit.proof import parse_proof
from gateway.audit.prove import prove
from tests.unit.audit.world import day, envelope

_GO = shutil.which("go")
_SOURCES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog")

PROGRAM = """
package main

import (
	"encoding/json"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	Key    string
	Note   []byte
	Size   int64
	Root   []byte
	Index  int64
	Path   [][]byte
	Record []byte
}

func must(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func hash(b []byte) (h tlog.Hash) { copy(h[:], b); return }

func main() {
	var in input
	must(json.NewDecoder(os.Stdin).Decode(&in))
	verifier, err := note.NewVerifier(in.Key)
	must(err)
	_, err = note.Open(in.Note, note.VerifierList(verifier))
	must(err)
	var proof tlog.RecordProof
	for _, h := range in.Path {
		proof = append(proof, hash(h))
	}
	must(tlog.CheckRecord(proof, in.Size, hash(in.Root), in.Index, tlog.RecordHash(in.Record)))
}
"""


@pytest.mark.skipif(_GO is None, reason="no Go compiler (Debian: golang-go)")
@pytest.mark.skipif(not _SOURCES.is_dir(), reason="no golang.org/x/mod (Debian: golang-golang-x-mod-dev)")
async def test_go_accepts_our_checkpoints_and_proofs(tmp_path: Path) -> None:
    assert _GO is not None
    await day(tmp_path, messages=100)
    [shard] = shards(tmp_path / "audit")
    head = published(shard)
    program = tmp_path / "main.go"
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(tmp_path / "cache"),
    }
    for one in prove(tmp_path / "audit", envelope(77).id):
        given = {
            "Key": str(parse_conf((shard / CONF).read_bytes()).key),
            "Note": _b64(head.note),
            "Size": head.size,
            "Root": _b64(head.root),
            "Index": one.index,
            "Path": [_b64(digest) for digest in parse_proof(one.proof).path],
            "Record": _b64(one.record),
        }
        done = subprocess.run(
            [_GO, "run", str(program)],
            input=json.dumps(given).encode(),
            env=environment,
            capture_output=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
