"""utils/stage.sh: when a stage is up to date, and what it says when it is not; who may be in a folder."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import stage_code
import stage_estimate
import stage_marker

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """set -euo pipefail
stage=${{STAGE:-0}} stop_stage=${{STOP:-8}} dry_run=${{DRY:-false}}
. "{root}/utils/stage.sh"
if stage_needs_run 0 first .first.done "seed=${{SEED:-1}}" source conf.toml; then
  # a comment
  python3 local/first.py
  ${{BREAK:-true}}
  mark_done 0 .first.done "seed=${{SEED:-1}}" middle
fi
if stage_needs_run 1 second .second.done "" .first.done; then
  cp middle result
  mark_done 1 .second.done "" result
fi
if [[ $dry_run == true ]]; then say_estimate .; fi
echo "ran $stages_run"
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "run.sh").write_text(SCRIPT.format(root=ROOT))
    (tmp_path / "source").write_text("1")
    (tmp_path / "conf.toml").write_text("[train]\nlr = 0.1 # as published\n")
    (tmp_path / "local").mkdir()
    (tmp_path / "local/first.py").write_text('"""Copy."""\nimport helper\nhelper.copy()\n')
    (tmp_path / "local/helper.py").write_text("import shutil\ndef copy():\n    shutil.copy('source', 'middle')\n")

    def call(wait=True, **env):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(["bash", "run.sh"], cwd=tmp_path, env=os.environ | env, **pipes)
        if not wait:
            return process
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess("run.sh", process.returncode, out, err)

    call.dir = tmp_path
    return call


def test_a_second_run_does_nothing(recipe):
    assert recipe().stdout == "ran 2\n"
    done = recipe()
    assert done.stdout == "ran 0\n"
    assert "stage 0: first: up to date" in done.stderr
    assert "stage 1: second: up to date" in done.stderr
    assert not list(recipe.dir.glob(".lock*"))


def test_a_deleted_output_redoes_the_stage_and_what_depends_on_it_if_it_comes_out_otherwise(recipe):
    recipe()
    (recipe.dir / "middle").unlink()
    dry = recipe(DRY="true")
    assert "stage 0: first: would run: output missing or changed: middle" in dry.stderr
    assert "stage 1: second: would run: .first.done will be made anew" in dry.stderr
    assert not (recipe.dir / "middle").exists()
    assert recipe().stdout == "ran 1\n"
    (recipe.dir / "source").write_text("2")
    done = recipe()
    assert done.stdout == "ran 2\n"
    assert "stage 0: first: source: its content changed" in done.stderr
    assert "stage 1: second: .first.done: middle was " in done.stderr
    assert (recipe.dir / "result").read_text() == "2"


def test_a_truncated_output_redoes_the_stage(recipe):
    recipe()
    (recipe.dir / "result").write_text("")
    assert recipe().stdout == "ran 1\n"
    assert (recipe.dir / "result").read_text() == "1"


def test_touching_changes_nothing(recipe):
    recipe()
    for path in [path for path in recipe.dir.rglob("*") if path.is_file()]:
        os.utime(path, ns=(0, time.time_ns() + 10**9))
    assert recipe().stdout == "ran 0\n"


@pytest.mark.parametrize(
    ("file", "before", "after", "reason"),
    [
        ("conf.toml", "0.1", "0.2", "conf.toml: train.lr was 0.1, is 0.2"),
        ("conf.toml", "lr = 0.1", "lr = 0.1\nsteps = 3", "conf.toml: train.steps was not set, is 3"),
        ("local/helper.py", "'source', 'middle'", "'source', dst='middle'", "code changed: helper.py"),
        ("run.sh", "python3 local", "python3  -B local", "code changed: run.sh, stage 0"),
        ("conf.toml", "# as published", "# tuned", ""),
        ("local/helper.py", "import shutil", "import shutil  # a comment", ""),
        ("local/first.py", "Copy.", "Copy it.", ""),
        ("run.sh", "# a comment", "# another", ""),
    ],
)
def test_what_is_changed_is_named_and_words_alone_change_nothing(recipe, file, before, after, reason):
    recipe()
    path = recipe.dir / file
    path.write_text(path.read_text().replace(before, after))
    done = recipe(DRY="true")
    if reason:
        assert f"stage 0: first: would run: {reason}" in done.stderr
        assert "stage 1: second: would run: .first.done will be made anew" in done.stderr
    else:
        assert done.stdout == "ran 0\n"


def move(*pairs):
    """A change of a recipe that renames files and, in all files, words."""

    def change(folder):
        for before, after in pairs:
            if (folder / before).is_file():
                (folder / after).parent.mkdir(exist_ok=True)
                (folder / before).rename(folder / after)
            for path in folder.rglob("*.*"):
                if path.suffix in (".py", ".sh"):
                    path.write_text(path.read_text().replace(before, after))

    return change


def package(folder):
    """Move the helper into a package that passes its function on."""
    (folder / "local/tools").mkdir()
    (folder / "local/tools/__init__.py").write_text('"""Tools."""\nfrom tools.help import copy\n__all__ = ["copy"]\n')
    (folder / "local/helper.py").rename(folder / "local/tools/help.py")
    move(("import helper", "from tools import help"), ("helper.copy", "help.copy"))(folder)


def from_package(folder):
    """As `package`, with the function imported by name and through the package."""
    package(folder)
    (folder / "local/first.py").write_text("import tools as t\nfrom tools import copy\ncopy()\n")


def edit(file, before, after):
    def change(folder):
        text = (folder / file).read_text()
        assert before in text
        (folder / file).write_text(text.replace(before, after))

    return change


@pytest.mark.parametrize(
    "change",
    [
        move(("local/first.py", "local/one.py")),
        move(("local/helper.py", "local/aid.py"), ("helper", "aid")),
        package,
        edit("local/helper.py", "def copy():", "# words\ndef copy():\n    'More words.'"),
        edit("local/first.py", '"""Copy."""\n', ""),
        edit("local/first.py", "helper.copy()", "(\n    helper.copy()\n)"),
        edit("run.sh", "  python3 local", "  # words\n\n  python3   local"),
    ],
)
def test_code_that_is_renamed_moved_or_only_laid_out_anew_is_the_same(recipe, change):
    recipe()
    change(recipe.dir)
    assert recipe().stdout == "ran 0\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (edit("local/helper.py", "'middle'", "'middle' + ''"), "code changed: helper.py"),
        (edit("local/first.py", "helper.copy()", "helper.copy() or 1"), "code changed: first.py"),
        (edit("local/helper.py", "import shutil", "import os as shutil"), "code changed: helper.py"),
        (from_package, "code changed: first.py"),
    ],
)
def test_code_that_does_another_thing_is_named(recipe, change, reason):
    recipe()
    change(recipe.dir)
    assert f"stage 0: first: would run: {reason}" in recipe(DRY="true").stderr


def test_a_file_that_is_added_or_taken_away_is_named(recipe):
    (recipe.dir / "local/other.py").write_text("WORD = 'middle'\n")
    recipe()
    edit("local/helper.py", "import shutil", "import other\nimport shutil")(recipe.dir)
    assert "code changed: other.py" in recipe(DRY="true").stderr
    recipe()
    edit("local/helper.py", "import other\n", "")(recipe.dir)
    assert "code changed: other.py" in recipe(DRY="true").stderr


def test_a_function_of_the_same_name_in_another_file_is_another_one(recipe):
    """Neither the syntax trees nor the files that are reached differ, only what a name in one of them means."""
    (recipe.dir / "local/twin.py").write_text("import shutil\ndef copy():\n    shutil.copyfile('source', 'middle')\n")
    both = "from helper import copy\nimport twin\ncopy()\n"
    (recipe.dir / "local/first.py").write_text(both)
    recipe()
    assert recipe().stdout == "ran 0\n"
    (recipe.dir / "local/first.py").write_text(
        both.replace("helper", "twin", 1).replace("import twin", "import helper")
    )
    assert "stage 0: first: would run: code changed: first.py" in recipe(DRY="true").stderr


def test_shell_functions_count_where_they_are_called(recipe):
    script = recipe.dir / "run.sh"
    helpers = "again() { # words\n  python3 local/first.py\n}\nunused() { true; }\n"
    text = script.read_text().replace("  python3 local/first.py\n", "  again\n")
    script.write_text(text.replace("if stage_needs_run 0", helpers + "if stage_needs_run 0", 1))
    recipe()
    edit("run.sh", "unused() { true; }", "unused() { false; }")(recipe.dir)
    edit("run.sh", "# words", "# other words")(recipe.dir)
    assert recipe().stdout == "ran 0\n"
    edit("run.sh", "  python3 local/first.py\n}", "  python3 -B local/first.py\n}")(recipe.dir)
    assert "stage 0: first: would run: code changed: run.sh, again" in recipe(DRY="true").stderr


def test_a_marker_of_the_version_before_says_so_and_still_serves_for_estimates(recipe):
    recipe()
    marker = recipe.dir / ".first.done"
    old = json.loads(marker.read_text()) | {"version": 1, "code": {"run.sh, stage 0": "f00", "first.py": "ba2"}}
    marker.write_text(json.dumps(old))
    dry = recipe(DRY="true")
    assert "stage 0: first: would run: its marker is of an older version" in dry.stderr
    assert "as when it last ran here" in dry.stderr
    assert recipe().stdout == "ran 1\n"  # what depends on it has the same outputs before it
    assert recipe().stdout == "ran 0\n"


def test_another_option_makes_a_stage_stale(recipe):
    recipe()
    assert "options were 'seed=1', now 'seed=2'" in recipe(DRY="true", SEED="2").stderr


def test_a_failing_stage_leaves_no_marker_and_stops_the_recipe(recipe):
    done = recipe(BREAK="false")
    assert done.returncode == 1
    assert "ran" not in done.stdout
    assert not (recipe.dir / ".first.done").exists()
    assert "it has not been completed yet" in recipe().stderr


def test_a_stage_that_fails_when_made_anew_leaves_no_marker(recipe):
    recipe()
    assert recipe(BREAK="false", SEED="2").returncode == 1
    assert not (recipe.dir / ".first.done").exists()


def test_a_stage_asked_for_without_its_input_names_the_input(recipe):
    done = recipe(STAGE="1")
    assert done.returncode == 1
    assert "stage 1 (second): missing input .first.done; run the stages before it first" in done.stderr


def test_an_output_that_the_stage_did_not_make_is_named(recipe):
    script = recipe.dir / "run.sh"
    script.write_text(script.read_text().replace('"" result\n', '"" result other\n'))
    done = recipe()
    assert done.returncode == 1
    assert "No such file or directory: 'other'" in done.stderr
    assert "stage 1: an output is missing" in done.stderr
    assert not (recipe.dir / ".second.done").exists()


def test_stage_and_stop_stage_choose(recipe):
    assert recipe(STOP="0").stdout == "ran 1\n"
    assert recipe(STAGE="1").stdout == "ran 1\n"


def test_a_marker_of_an_older_kind_counts_for_nothing(recipe):
    recipe()
    (recipe.dir / ".first.done").write_text("options: seed=1\n2 middle\n")
    assert "stage 0: first: it has not been completed yet" in recipe().stderr


def test_contents_are_digested_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(stage_marker, "digest_of_file", lambda path: read.append(path.name) or path.read_text())
    file = tmp_path / "big"
    file.write_text("1")
    for _ in range(3):
        digests = stage_marker.Digests(tmp_path / ".digests.json")
        assert digests.content(file) == "1"
        digests.save()
    assert read == ["big"]
    file.write_text("2")
    assert stage_marker.Digests(tmp_path / ".digests.json").content(file) == "2"


def code_of(recipe, folder, number=0, function="main"):
    """Names of the code of a stage."""
    digests = stage_marker.Digests(Path("/nonexistent/.digests.json"))
    return stage_code.code_of_stage(recipe, folder, number, function, digests).keys()


def test_the_code_of_a_stage_is_what_its_programs_reach():
    recipe, shared = ROOT / "egs/voxceleb1/run.sh", ROOT / "utils/stages.sh"
    code = code_of(shared, recipe.parent, 7, "stage_score")
    assert {"stages.sh, stage_score", "recipe.sh, system_of", "sv/bin/score_sets.py", "sv/kaldi/trials.py"} <= code
    assert "sv/bin/breakdown.py" in code  # of `python -m sv breakdown`
    assert "sv/report/page.html.j2" in code_of(shared, recipe.parent, 8, "stage_report")
    training = {name for name in code if name.startswith(("sv/models", "sv/train"))}
    assert training == {f"sv/train/{name}.py" for name in ("b_vector", "b_vector_config")}  # a back end's fit
    code = code_of(recipe, recipe.parent, 0)
    assert {"run.sh, stage 0", "recipe.sh, prepare_corpora", "local/make_synthetic_corpus.py"} <= code
    assert {f"local/prepare_{name}.py" for name in ("musan", "voxceleb1")} <= code
    training = code_of(shared, recipe.parent, 4, "stage_train")
    assert {"stages.sh, stage_train", "utils/torchrun.sh", "sv/bin/train.py", "sv/train/loop.py"} <= training
    assert "stages.sh, stage_link_model" not in training
    assert "sv/scoring/plda.py" in code_of(shared, recipe.parent, 6, "stage_backend")  # of `python -m sv backend`
    assert "local/noisy_sets.py" in code_of(recipe, recipe.parent, 2)  # imported in a function


@pytest.mark.parametrize("name", ["voxceleb1", "voices", "vctk"])
def test_every_stage_of_a_recipe_has_lines_of_its_own_or_shared_ones(name):
    own = (ROOT / f"egs/{name}/run.sh").read_text(encoding="utf-8")
    shared = (ROOT / "utils/stages.sh").read_text(encoding="utf-8")
    with_lines = {number for text in (own, shared) for number in range(9) if stage_code.stage_lines(text, number)}
    assert with_lines >= set(range(9)) - ({2} if name == "voices" else set())  # VOiCES needs no noise added


def test_a_recipe_runs_from_any_folder(tmp_path):
    words = [ROOT / "egs/voxceleb1/run.sh", "--mini", "--dry-run", "--data", tmp_path, "--exp", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, "stage 0: prepare: would run" in done.stderr) == (0, True), done.stderr


def test_a_dry_run_estimates_from_what_ran_here(recipe):
    done = recipe(DRY="true")
    assert "2 stage(s) without a recorded run to estimate from" in done.stderr
    (recipe.dir / "source").write_text("x" * 3000)
    recipe()
    done = recipe(DRY="true", SEED="2")
    assert "stage 0:   about 1 files, 3.0KB, 1 s (as when it last ran here)" in done.stderr
    assert "dry run: about 2 files, 6.0KB, 2 s in all; " in done.stderr
    assert "without a recorded run" not in done.stderr


def test_what_a_stage_was_expected_to_take_is_said_beside_what_it_took(recipe):
    script = recipe.dir / "run.sh"
    probe = "probe_stage_0() { echo 3 5000 300 by a probe; }\n"
    script.write_text(script.read_text().replace("if stage_needs_run 0", probe + "if stage_needs_run 0", 1))
    assert recipe(DRY="true").returncode == 0
    assert recipe(BREAK="false").returncode == 1  # what has been expected outlives a failure
    done = recipe()
    assert re.search(r"stage 0: done in \d+ s; estimated 5 min\n", done.stderr), done.stderr
    assert re.search(r"stage 1: done in \d+ s\n", done.stderr)  # nobody estimated it
    marker = recipe.dir / ".second.done"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"seconds": 50, "options": "others"}))
    assert re.search(r"stage 1: done in \d+ s; estimated 50 s\n", recipe().stderr)  # as it took before


def test_what_was_never_recorded_is_probed_where_its_inputs_are_there(recipe):
    script = recipe.dir / "run.sh"
    probes = "probe_stage_0() { echo 3 5000 7 by a probe of $SEED; }\nprobe_stage_1() { echo 1 1 1 never; }\n"
    script.write_text(script.read_text().replace("if stage_needs_run 0", probes + "if stage_needs_run 0", 1))
    done = recipe(DRY="true", SEED="4")
    assert "stage 0:   about 3 files, 5.0KB, 7 s (by a probe of 4)" in done.stderr
    assert "never" not in done.stderr  # what it would read is yet to be made
    assert "1 stage(s) without a recorded run to estimate from" in done.stderr
    recipe(SEED="4")
    assert "as when it last ran here" in recipe(DRY="true", SEED="5").stderr  # a record is worth more


def test_a_probe_that_fails_says_so_and_the_dry_run_goes_on(recipe):
    script = recipe.dir / "run.sh"
    broken = "probe_stage_0() { echo no such corpus >&2; return 1; }\n"
    script.write_text(script.read_text().replace("if stage_needs_run 0", broken + "if stage_needs_run 0", 1))
    done = recipe(DRY="true")
    assert done.returncode == 0
    assert "no such corpus" in done.stderr
    assert "2 stage(s) without a recorded run to estimate from" in done.stderr


def test_an_estimate_from_elsewhere_is_in_proportion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def mark(name, seconds, size, inputs=()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        marker = {
            "version": 1,
            "seconds": seconds,
            "inputs": {name: {} for name in inputs},
            "outputs": {"x": {"size": size}},
        }
        path.write_text(json.dumps(marker))
        return path

    first = mark("data/mini/.stage1.done", 4, 100)
    mark("exp/mini/.stage3.done", 20, 5000, [str(first)])
    mine = mark("data/.stage1.done", 40, 250)
    found = stage_estimate.estimate(tmp_path / "run.sh", 3, tmp_path / "exp/.stage3.done", [mine])
    assert str(found) == f"1 12500 50 2.5 times that of {tmp_path}/exp/mini"
    found = stage_estimate.estimate(tmp_path / "run.sh", 3, tmp_path / "exp/.stage3.done", [tmp_path / "none.done"])
    assert str(found) == f"1 5000 20 that of {tmp_path}/exp/mini, whatever its size"
    assert stage_estimate.estimate(tmp_path / "run.sh", 4, tmp_path / "exp/.stage4.done", [mine]) is None


def wait_for(condition):
    deadline = time.time() + 20
    while not condition():
        assert time.time() < deadline
        time.sleep(0.02)


def test_a_second_run_is_kept_out_and_told_by_whom(recipe):
    first = recipe(wait=False, BREAK="sleep 3")
    wait_for((recipe.dir / ".first.done.begun").exists)
    second = recipe()
    assert second.returncode == 1
    assert f".lock: another run (process {first.pid}), since " in second.stderr
    assert "stage 0 (first): cannot begin" in second.stderr
    out, _ = first.communicate(timeout=60)
    assert (first.returncode, out) == (0, "ran 2\n")
    assert not (recipe.dir / ".lock").exists()
    assert recipe().stdout == "ran 0\n"


def test_what_stands_on_disk_counts_whoever_wrote_it(recipe):
    recipe()
    (recipe.dir / "middle").write_text("another seed's")
    done = recipe(STAGE="1", STOP="1")
    assert (done.returncode, done.stdout) == (0, "ran 1\n")
    assert "middle is not what its stage wrote; it is taken as it is" in done.stderr
    assert (recipe.dir / "result").read_text() == "another seed's"
    done = recipe()  # the first stage is made anew, and so what was made of the foreign file
    assert done.stdout == "ran 2\n"
    assert (recipe.dir / "result").read_text() == "1"
    (recipe.dir / "middle").unlink()
    done = recipe(STAGE="1", STOP="1")
    assert done.returncode == 1
    assert "middle: gone; stage 0 makes it: run that again" in done.stderr


def test_a_copied_folder_is_made_anew_and_one_with_another_name_for_its_place_is_not(recipe, tmp_path_factory):
    recipe()
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(recipe.dir, copy, dirs_exist_ok=True)
    done = subprocess.run(["bash", "run.sh"], cwd=copy, capture_output=True, text=True)
    assert done.stdout == "ran 2\n"
    assert f"it was made in {recipe.dir}, where its tables point to" in done.stderr
    (copy.parent / "link").symlink_to(copy)
    done = subprocess.run(["bash", "run.sh"], cwd=copy.parent / "link", capture_output=True, text=True)
    assert done.stdout == "ran 0\n"


CORPUS = """set -euo pipefail
stage=0 stop_stage=8 dry_run=false
. "{root}/utils/stage.sh"
if stage_needs_run 0 first .first.done "" corpus:noise="${{CORPUS:-corpus}}"; then
  mkdir -p corpus && touch corpus/made middle
  mark_done 0 .first.done "" middle
fi
"""


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "run.sh").write_text(CORPUS.format(root=ROOT))
    (tmp_path / "corpus/deep").mkdir(parents=True)
    (tmp_path / "corpus/deep/a.wav").write_bytes(bytes(200_000))
    (tmp_path / "corpus/b.wav").write_bytes(bytes(200_000))

    def why(**env):
        env = os.environ | env
        done = subprocess.run(["bash", "run.sh"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "has not been completed yet" in why()
    why.dir = tmp_path
    return why


def test_a_recording_that_is_replaced_in_place_is_seen(corpus):
    assert "noise: 1 of its files changed, e.g. made" in corpus()  # by the stage itself, in a corpus that it found
    assert "up to date" in corpus()
    path = corpus.dir / "corpus/deep/a.wav"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(bytes(100_000) + b"other" + bytes(99_995))
    os.utime(path, ns=times)
    assert "noise: 1 of its files changed, e.g. deep/a.wav" in corpus()
    assert "up to date" in corpus()


def test_files_that_are_added_or_go_are_seen_and_hidden_ones_and_times_do_not_count(corpus):
    corpus()
    (corpus.dir / "corpus/b.wav").touch()
    (corpus.dir / "corpus/.DS_Store").touch()
    assert "up to date" in corpus()
    (corpus.dir / "corpus/deep/c.wav").write_bytes(b"c")
    assert "noise: 1 of its files changed, e.g. deep/c.wav" in corpus()
    (corpus.dir / "corpus/deep/c.wav").unlink()
    assert "noise: 1 of its files changed, e.g. deep/c.wav" in corpus()


def test_a_corpus_by_another_name_is_the_same_and_a_copy_is_not(corpus):
    corpus()
    assert "up to date" in corpus(CORPUS=f"{corpus.dir}/corpus/")
    shutil.copytree(corpus.dir / "corpus", corpus.dir / "copy")
    assert f"noise was in {corpus.dir}/corpus, is in {corpus.dir}/copy" in corpus(CORPUS="copy")


def test_a_corpus_that_was_moved_is_followed_if_tables_name_it_by_a_link(corpus):
    corpus()
    link = corpus.dir / "links/noise"
    link.parent.mkdir()
    link.symlink_to(corpus.dir / "corpus")
    (corpus.dir / "corpus").rename(corpus.dir / "moved")
    assert "first: up to date" in corpus(CORPUS="moved")
    assert link.resolve() == corpus.dir / "moved"
    assert "first: up to date" in corpus(CORPUS=f"{corpus.dir}/moved/")
    (corpus.dir / "moved").rename(corpus.dir / "corpus")
    (corpus.dir / "corpus/b.wav").write_bytes(b"other")
    assert "noise: 1 of its files changed, e.g. b.wav" in corpus()


def test_a_corpus_that_the_stage_makes_counts_as_it_was_made(corpus):
    shutil.rmtree(corpus.dir / "corpus")
    (corpus.dir / ".first.done").unlink()
    assert "has not been completed yet" in corpus()
    assert "up to date" in corpus()
