"""Tables of corpora at the heads of local/prepare_*.py, and the table of noise types."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from local.corpora import Corpus, read_corpora, read_corpus

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "local").glob("prepare_*.py")))
def test_the_table_that_is_read_from_a_program_is_the_one_that_it_has(name):
    module = importlib.import_module(f"local.{name}")
    assert read_corpora()[name.removeprefix("prepare_")] == module.CORPUS
    assert module.CORPUS.folders and module.CORPUS.how_to_get and module.CORPUS.layouts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X = 1\n", "x.py: begins without a table CORPUS = Corpus"),
        ("CORPUS = Corpus(folders=names())\n", "x.py:1: CORPUS must be of literal values"),
        ("\nCORPUS = Corpus(folders=('a',), how='b')\n", "x.py:2: CORPUS must be of literal values: .*'how'"),
    ],
)
def test_a_program_without_a_readable_table_is_named(tmp_path, text, message):
    (tmp_path / "x.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_corpus(tmp_path / "x.py")


def test_the_first_layout_that_matches_counts(tmp_path):
    corpus = Corpus(folders=("x",), how_to_get="", layouts=(("a/*.wav", "first"), ("*/*.wav", "second")))
    assert corpus.layout(tmp_path) == ""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.wav").touch()
    assert corpus.layout(tmp_path) == "second"
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.wav").touch()
    assert corpus.layout(tmp_path) == "first"


def test_layouts_are_listed_with_the_patterns_of_known_ones(run, tmp_path):
    (tmp_path / "fsdd/recordings").mkdir(parents=True)
    (tmp_path / "vctk/wav48/p225").mkdir(parents=True)
    (tmp_path / "fsdd/recordings/0_a_0.wav").touch()
    (tmp_path / "musan").mkdir()
    done = run("local/check_corpora.py", "--layouts", "--names", "digits,vctk,musan", "--corpora", tmp_path)
    assert [line.split("\t")[:3] for line in done.stdout.splitlines()] == [
        ["digits", str(tmp_path / "fsdd"), "as published"],
        ["vctk", str(tmp_path / "vctk"), "0.80"],
        ["musan", str(tmp_path / "musan"), ""],
    ]
    assert done.stdout.endswith("\tnoise/*/*.wav\n")


def test_training_noise_is_listed_with_its_folders(run):
    done = run("local/noises.py", "--noises", "babble,demand", "data")
    assert done.stdout == "babble=data/musan_speech_train\ndemand=data/vctk_noise_train\n"
    assert run("local/noises.py", "--noises", "", "data").stdout == ""
    done = run("local/noises.py", "--noises", "noise,nonspeech", "data")  # which is kept for tests
    assert done.returncode == 2
    known = "noises.py: --noises: unknown noise type nonspeech; known are noise, music, babble, demand\n"
    assert done.stderr == known


@pytest.mark.parametrize(
    "words",
    [
        ["check_corpora.py", "--corpora", "/nonexistent"],
        ["make_noisy_test.py", "--list", "data/test", "data"],
        ["noises.py", "data"],
    ],
)
def test_what_every_run_asks_imports_nothing_slow(words):
    script = (
        "import runpy, sys\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print({'numpy', 'torch', 'scipy'} & set(sys.modules), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", f"import sys; sys.argv = sys.argv[1:]\n{script}", ROOT / "local" / words[0]]
    done = subprocess.run([*command, *words[1:]], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.endswith("set()\n"), done.stderr
