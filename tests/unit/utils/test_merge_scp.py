import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sv.kaldi import open_ark_scp, read_vectors, write_data_dir

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def parts(tmp_path):
    """A set of four utterances, and the scps of two tasks that wrote a vector for each."""
    utts = [f"s-{i}" for i in range(4)]
    write_data_dir(
        tmp_path / "data/set",
        wav_scp=dict.fromkeys(utts, "x.wav"),
        utt2spk=dict.fromkeys(utts, "s"),
        utt2dur=dict.fromkeys(utts, 1.0),
    )

    def write(job, keys):
        prefix = tmp_path / "emb/set" / f"xvector.{job}"
        with open_ark_scp(f"{prefix}.ark", f"{prefix}.scp") as put:
            for key in keys:
                put(key, np.full(3, float(key[-1])))

    write(1, utts[:2])
    write(2, utts[2:])
    return tmp_path, write


def merge(tmp_path, *options):
    command = [
        sys.executable,
        ROOT / "utils/merge_scp.py",
        "--num-jobs",
        "2",
        *options,
        "xvector",
        tmp_path / "emb",
        tmp_path / "data/set",
    ]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_one_ark_does_not_depend_on_the_split(parts):
    tmp_path, write = parts
    assert merge(tmp_path, "--single-ark").returncode == 0
    ark = (tmp_path / "emb/set/xvector.ark").read_bytes()
    assert sorted(path.name for path in (tmp_path / "emb/set").iterdir()) == ["xvector.ark", "xvector.scp"]
    vectors = read_vectors(tmp_path / "emb/set/xvector.scp")
    assert [(key, vector.tolist()) for key, vector in vectors.items()] == [(f"s-{i}", [i] * 3) for i in range(4)]
    write(1, ["s-0"])
    write(2, ["s-1", "s-2", "s-3"])
    assert merge(tmp_path, "--single-ark").returncode == 0
    assert (tmp_path / "emb/set/xvector.ark").read_bytes() == ark


def test_the_parts_stay_without_a_single_ark(parts):
    tmp_path, _ = parts
    assert merge(tmp_path).returncode == 0
    assert "xvector.2.ark:" in (tmp_path / "emb/set/xvector.scp").read_text()
    assert len(read_vectors(tmp_path / "emb/set/xvector.scp")) == 4


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (["s-3"], "1 of 4 utterances have no entry, e.g. ['s-2']"),
        (["s-1", "s-2", "s-3"], "key 's-1' is in another part too"),
        (["s-2", "s-3", "t-4"], "1 entries are not its utterances, e.g. ['t-4']"),
    ],
)
def test_gaps_and_overlaps_are_named(parts, second, message):
    tmp_path, write = parts
    write(2, second)
    done = merge(tmp_path)
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "emb/set/xvector.scp").exists()


def test_quarantined_utterances_need_no_entry(parts):
    tmp_path, write = parts
    (tmp_path / "data/set/quarantine.tsv").write_text("s-2\tx.wav\tsilent\n")
    write(2, ["s-3"])
    assert merge(tmp_path).returncode == 0


def test_a_truncated_part_is_named(parts):
    tmp_path, _ = parts
    ark = tmp_path / "emb/set/xvector.2.ark"
    ark.write_bytes(ark.read_bytes()[:-4])
    done = merge(tmp_path, "--single-ark")
    assert (done.returncode, "the file ends before" in done.stderr) == (1, True)
    assert not (tmp_path / "emb/set/xvector.ark").exists()


def test_the_tasks_own_records_become_one(parts):
    tmp_path, _ = parts
    for job in (1, 2):
        (tmp_path / f"emb/set/computed.{job}.json").write_text('{"precision": "bf16"}\n')
    assert merge(tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "emb/set").glob("computed*")] == ["computed.json"]
    assert (tmp_path / "emb/set/computed.json").read_text() == '{"precision": "bf16"}\n'


def test_tasks_that_computed_otherwise_are_named(parts):
    tmp_path, _ = parts
    for job, precision in ((1, "bf16"), (2, "float32")):
        (tmp_path / f"emb/set/computed.{job}.json").write_text(f'{{\n "precision": "{precision}"\n}}\n')
    done = merge(tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f'merge_scp.py: {tmp_path}/emb/set/computed.2.json: {{ "precision": "float32" }}, where computed.1.json has '
        '{ "precision": "bf16" }; choose a --precision that all machines have\n'
    )
    assert not (tmp_path / "emb/set/computed.json").exists()
