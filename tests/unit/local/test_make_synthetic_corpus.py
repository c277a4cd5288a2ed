import hashlib

import pytest
import soundfile

from local.make_synthetic_corpus import publish

SCRIPT = "local/make_synthetic_corpus.py"
SMALL = ("--num-train-speakers", 3, "--num-test-speakers", 2, "--num-babble", 2, "--num-utterances", 4)


@pytest.fixture(scope="module")
def digests():
    def of(root):
        return {
            path.relative_to(root): hashlib.md5(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file()
        }

    return of


def test_layout_and_bytes_whatever_the_number_of_jobs(run, tmp_path, digests):
    for name, nj in (("a", 1), ("b", 3)):
        done = run(SCRIPT, *SMALL, "--nj", nj, tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    root = tmp_path / "a"
    assert len(list((root / "voxceleb1/dev/wav").glob("id2*/SYN*/0000?.wav"))) == 3 * 4
    assert len(list((root / "voxceleb1/test/wav").glob("id1*/SYN*/0000?.wav"))) == 2 * 4
    lines = (root / "voxceleb1/veri_test2.txt").read_text().splitlines()
    targets = [line.split()[1:] for line in lines if line[0] == "1"]
    assert len(targets) == 2 * 3  # three files of the first video with the one of the second
    assert all(a.split("/")[0] == b.split("/")[0] and a.split("/")[1] != b.split("/")[1] for a, b in targets)
    variants = [line.split("\t")[1] for line in (root / "voxceleb1/vox1_meta.csv").read_text().splitlines()[1:]]
    assert len(set(variants)) == 5
    info = soundfile.info(next((root / "voxceleb1/test/wav").rglob("*.wav")))
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    assert 1.9 < info.duration < 6


def test_a_complete_corpus_is_left_alone_and_a_foreign_folder_refused(run, tmp_path):
    assert run(SCRIPT, *SMALL, tmp_path / "a").returncode == 0
    before = (tmp_path / "a/README.txt").stat().st_mtime_ns
    assert "is complete" in run(SCRIPT, *SMALL, tmp_path / "a").stdout
    assert (tmp_path / "a/README.txt").stat().st_mtime_ns == before
    (tmp_path / "mine").mkdir()
    done = run(SCRIPT, *SMALL, tmp_path / "mine")
    assert (done.returncode, "exists and was not made by this command" in done.stderr) == (1, True)


def test_a_planted_link_in_the_place_of_the_temporary_folder_is_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("precious")
    (tmp_path / "corpus.tmp").symlink_to(tmp_path / "precious")
    publish(tmp_path / "corpus", "{}", lambda out: (out / "made").touch())
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]
    assert (tmp_path / "corpus/made").exists() and not (tmp_path / "corpus").is_symlink()
