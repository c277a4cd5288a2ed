"""Published trial lists by name: the table, the lists on disk, and the sets that are made of them."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.import_trial_list import main as import_list
from local.protocols import COUNTS, identify, read_protocols, set_name
from sv.base.config import ConfigError
from sv.base.layout import parse_condition
from sv.kaldi import read_table, read_trials, read_utt2spk, validate_data_dir
from sv.kaldi.enrolment import read_enrolment
from sv.kaldi.scp import DataDirError

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("vox1-o", "vox1-o-cleaned", "vox1-e", "vox1-e-cleaned", "vox1-h", "vox1-h-cleaned", "voices-dev", "voices-eval",
         "voxsrc23-dev", "vc-mix", "cn-celeb")  # fmt: skip


def test_the_table_has_each_published_list_and_its_numbers_add_up():
    protocols = read_protocols()
    assert set(protocols) == set(NAMES)
    for name, protocol in protocols.items():
        assert protocol.address.startswith("https://"), name
        if protocol.nontargets is not None:
            assert protocol.trials == protocol.targets + protocol.nontargets, name
        assert protocol.training == bool(re.match("vox1-[eh]", name))
        assert parse_condition(name).test_set == name  # a data directory of that name is no noisy condition of another
    hashes = [protocol.md5 for protocol in protocols.values() if protocol.md5]
    assert len(hashes) == len(set(hashes)) == 6
    assert (protocols["vox1-o-cleaned"].trials, protocols["vox1-e-cleaned"].trials) == (37_611, 579_818)


@pytest.mark.parametrize("recipe", ["voxceleb1", "voices"])
def test_help_and_readme_of_a_recipe_list_its_names(recipe):
    shown = subprocess.run([ROOT / f"egs/{recipe}/run.sh", "--help"], capture_output=True, text=True).stdout
    for name in (name for name, protocol in read_protocols().items() if protocol.recipe == recipe):
        assert re.search(rf"\b{name}(?![\w-])", shown), name
        assert f"`{name}`" in (ROOT / f"egs/{recipe}/README.md").read_text(), name


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('md5 = "12"', "md5 must be 32 hexadecimal digits, got '12'"),
        ("number = 3", "unknown key"),
        ('trials = "many"', "trials"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, entry, message):
    table = tmp_path / "table.toml"
    table.write_text(f'[mine]\nrecipe = "x"\nlist = "x"\naddress = "x"\n{entry}\n')
    with pytest.raises(ConfigError, match=rf"table.toml: \[mine\].*{re.escape(message)}"):
        read_protocols(table)


def write_table(path, name, lines, **entries):
    """A table with one published list, of these lines: its name is list.txt."""
    said = {"recipe": "voxceleb1", "list": "list.txt", "address": "https://example.org/list.txt"} | entries
    path.write_text(f"[{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in said.items()))
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def toy(tmp_path):
    """toy(lines, **entries) -> make(...), for a list `toy` of these lines, below a folder with recordings of its names."""
    root = tmp_path / "audio"
    root.mkdir()

    def publish(lines, recordings=(), suffix=".wav", **entries):
        text = write_table(tmp_path / "table.toml", "toy", lines, **entries)
        (root / "list.txt").write_text(text)
        rng = np.random.default_rng(0)
        for name in recordings:
            path = (root / name).with_suffix(suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(3200), 16_000)

        def make(*words, trials="toy"):
            out = tmp_path / "data" / "toy"
            import_list(["--protocols", str(tmp_path / "table.toml"), "--trials", str(trials),
                         "--audio", str(root), *map(str, words), str(out)])  # fmt: skip
            return out

        return make

    return publish


VOX = ("id20001/aa/00001.wav", "id20001/bb/00001.wav", "id20002/aa/00001.wav")
VOX_LINES = (f"1 {VOX[0]} {VOX[1]}", f"0 {VOX[0]} {VOX[2]}", f"0 {VOX[1]} {VOX[2]}")


def digest_of(lines, kind="md5"):
    return hashlib.new(kind, "".join(f"{line}\n" for line in lines).encode()).hexdigest()


@pytest.mark.parametrize(
    "known",
    [
        {"md5": digest_of(VOX_LINES)},
        {"sha256": digest_of(VOX_LINES, "sha256")},
        {"trials": 3, "targets": 1, "nontargets": 2, "utterances": 3, "speakers": 2},
        {},
    ],
)
def test_the_published_list_becomes_a_set(toy, known):
    out = toy(VOX_LINES, VOX, suffix=".flac", **known)()
    assert validate_data_dir(out) == []
    trials = read_trials(out / "trials")
    assert list(zip(trials.enrolment, trials.test)) == [
        ("id20001-aa-00001", "id20001-bb-00001"),
        ("id20001-aa-00001", "id20002-aa-00001"),
        ("id20001-bb-00001", "id20002-aa-00001"),
    ]
    assert trials.is_target.tolist() == [True, False, False]
    said = (out / "published_list").read_text()
    assert said.startswith(f"toy: list.txt, SHA-256 {digest_of(VOX_LINES, 'sha256')}, ")
    assert ("has the published" in said) == bool(known)
    assert ("a published hash is not known" in said) == (not {"md5", "sha256"} & known.keys())


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"md5": "0" * 32}, f"expected MD5 {'0' * 32}, got {digest_of(VOX_LINES)}; get it from https://example.org"),
        ({"sha256": "0" * 64}, f"expected SHA-256 {'0' * 64}, got {digest_of(VOX_LINES, 'sha256')}"),
        ({"trials": 4, "targets": 1}, "expected 4 trials, got 3; get it"),
        ({"targets": 2, "nontargets": 1}, "expected 2 targets, got 1, expected 1 nontargets, got 2"),
        ({"md5": digest_of(VOX_LINES), "utterances": 4}, "expected 4 utterances, got 3"),
        ({"speakers": 40}, "expected 40 speakers, got 2"),
    ],
)
def test_another_list_is_refused_in_one_line(toy, tmp_path, known, message):
    with pytest.raises(SystemExit) as refused:
        toy(VOX_LINES, VOX, **known)()
    said = str(refused.value)
    assert said.startswith(f"import_trial_list.py: {tmp_path}/audio/list.txt: not the list of toy: ")
    assert message in said and "--trials" in said and "\n" not in said
    assert not (tmp_path / "data").exists()
    toy(VOX_LINES, VOX, **known)(trials=tmp_path / "audio/list.txt")  # as it is: what it is called is not claimed
    assert (tmp_path / "data/toy/published_list").exists() == (known.get("md5") == digest_of(VOX_LINES))


def test_a_list_that_is_another_published_one_is_called_by_its_name(toy, tmp_path):
    make = toy(VOX_LINES, VOX, md5="0" * 32)
    table = tmp_path / "table.toml"
    table.write_text(
        table.read_text() + f'[other]\nrecipe = "x"\nlist = "y"\naddress = "z"\nmd5 = "{digest_of(VOX_LINES)}"\n'
    )
    with pytest.raises(SystemExit, match=f"got {digest_of(VOX_LINES)}, that of other; "):
        make()
    assert identify(tmp_path / "audio/list.txt", read_protocols(table)).name == "other"
    out = make(trials=tmp_path / "audio/list.txt")  # by its path it is recognised
    assert (out / "published_list").read_text().startswith("other: list.txt, ")


@pytest.mark.parametrize("place", ["meta", "lists", "trials", "eval/lists", ".."])
def test_the_list_may_lie_in_the_usual_places(toy, tmp_path, place):
    make = toy(VOX_LINES, VOX)
    (tmp_path / "audio" / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "audio/list.txt").rename(tmp_path / "audio" / place / "list.txt")
    assert len(read_trials(make() / "trials")) == 3


def test_a_list_that_is_not_there_is_one_line_with_its_address_or_the_names(toy, tmp_path):
    make = toy(VOX_LINES, VOX)
    (tmp_path / "audio/list.txt").unlink()
    with pytest.raises(
        SystemExit, match=r"toy: no list.txt; looked in .*/audio and there in .*; get it from https://ex"
    ):
        make()
    with pytest.raises(SystemExit, match=r"toi: no such trial list; did you mean toy\? published lists by name: toy"):
        make(trials="toi")


def test_recordings_that_are_not_there_are_counted_and_two_of_one_name_refused(toy, tmp_path):
    make = toy(VOX_LINES, VOX[:2])
    with pytest.raises(SystemExit, match=rf"1 of 3 recordings are not there, e.g. {VOX[2]}; looked below .*/audio"):
        make()
    toy(VOX_LINES, [f"x/{VOX[2]}"])()  # the last parts of its path are enough
    (tmp_path / "audio/y").mkdir()
    (tmp_path / "audio/x/id20002").rename(tmp_path / "audio/y/id20002")
    make = toy(VOX_LINES, [f"x/{VOX[2]}"])
    with pytest.raises(SystemExit, match=rf"{VOX[2]}: it is .*/x/{VOX[2]} as well as .*/y/{VOX[2]}"):
        make()


MODELS = ("id00801-enroll", "id00802-enroll")
TESTS = ("test/id00801-singing-01.wav", "test/id00802-speech-01.wav", "test/id00803-drama-01.wav")
CN_LINES = (
    f"{MODELS[0]} {TESTS[0]} 1",
    f"{MODELS[0]} {TESTS[1]} 0",
    f"{MODELS[1]} {TESTS[1]} 1",
    f"{MODELS[1]} {TESTS[2]} 0",
)


def test_models_of_several_recordings_are_enrolled(toy, tmp_path):
    parts = {model: [f"{model[:7]}/speech-01-00{i}.wav" for i in (1, 2)] for model in MODELS}
    make = toy(CN_LINES, [f"eval/{name}" for name in TESTS] + [f"data/{name}" for names in parts.values() for name in names],
               audio=["eval", "data"], enrolment="enroll.lst")  # fmt: skip
    with pytest.raises(
        SystemExit, match=r"enroll.lst: not there; toy has it beside list.txt, or give --enrolment FILE"
    ):
        make()
    models = tmp_path / "models"
    models.write_text("".join(f"{model} {' '.join(names)}\n" for model, names in parts.items()))
    out = make("--enrolment", models)
    utt2spk = read_utt2spk(out / "utt2spk")
    assert len(utt2spk) == 7 and set(utt2spk.values()) == {"id00801", "id00802", "id00803"}
    enrolled = read_enrolment(out, utt2spk)
    assert enrolled[MODELS[0]] == ["id00801-speech-01-001", "id00801-speech-01-002"]
    assert set(read_trials(out / "trials").enrolment) == set(MODELS)
    models.write_text(f"{MODELS[0]} {parts[MODELS[0]][0]}\n")
    with pytest.raises(SystemExit, match=rf"list.txt:3: model {MODELS[1]} is not in the enrolment list"):
        make("--enrolment", models)


def test_the_published_list_of_models_beside_the_trials_is_used(toy, tmp_path):
    recordings = [*TESTS, *(f"enroll/{model}.wav" for model in MODELS)]
    make = toy(CN_LINES, [f"eval/{name}" for name in recordings], audio=["eval"], enrolment="enroll.lst")
    (tmp_path / "audio/enroll.lst").write_text("".join(f"{model} enroll/{model}.wav\n" for model in MODELS))
    out = make()
    assert read_table(out / "enrolment") == {model: f"{model[:7]}-enroll-{model}" for model in MODELS}


def test_speakers_that_names_do_not_tell_are_joined_by_target_trials(toy):
    lines = (
        "1 a.wav b.wav",
        "1 b.wav c.wav",
        "0 a.wav d.wav",
        "0 e.wav d.wav",
        f"0 e.wav {VOX[0]}",
        f"1 f.wav {VOX[0]}",
    )
    out = toy(lines, ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav", "f.wav", VOX[0]])()
    assert read_utt2spk(out / "utt2spk") == {
        "id20001-aa-00001": "id20001",
        "id20001-f": "id20001",
        "s000001-a": "s000001",
        "s000001-b": "s000001",
        "s000001-c": "s000001",
        "s000002-d": "s000002",
        "s000003-e": "s000003",
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("1 a b", "1 b c", "0 a c"), "list.txt:3: a c is called nontarget, which names or other trials contradict"),
        ((f"0 {VOX[0]} {VOX[1]}",), r"list.txt:1: .* is called nontarget"),
        ((f"1 {VOX[0]} {VOX[2]}",), r"joined|join it with"),
        (("1 a b", "1 a"), r"list.txt:2: expected '1\|0 <recording> <recording>' or .*, got '1 a'"),
        (("1 a b", "2 a b"), r"list.txt:2: expected"),
        (("a b target", "a c 2"), r"list.txt:2: expected"),
        (("a b",), r"list.txt:1: expected"),
        (("1 a b",), "1 target and 0 nontarget trials; both are needed"),
    ],
)
def test_what_is_wrong_in_a_list_is_one_line_with_its_place(toy, lines, message):
    make = toy(lines, ["a.wav", "b.wav", "c.wav"])
    with pytest.raises(SystemExit, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form", ["{1} {2} target", "{1} {2} tgt"])
def test_other_forms_of_lists_say_the_same(toy, form):
    labels = {"1": form.rpartition(" ")[2], "0": "nontarget" if "target" in form else "imp"}
    lines = [f"{second} {third} {labels[first]}" for first, second, third in (line.split() for line in VOX_LINES)]
    assert read_trials(toy(lines, VOX)() / "trials").is_target.tolist() == [True, False, False]


def test_a_bad_recording_takes_its_trials_and_its_part_of_a_model_away(toy, tmp_path):
    make = toy(CN_LINES, [*TESTS, "m1.wav", "m2.wav", "m3.wav"])
    (tmp_path / "audio" / TESTS[2]).write_bytes(b"no audio")
    (tmp_path / "audio/m2.wav").write_bytes(b"no audio")
    models = tmp_path / "models"
    models.write_text(f"{MODELS[0]} m1 m2\n{MODELS[1]} m3\n")
    out = make("--enrolment", models, "--max-bad", 0.5)
    assert len(read_trials(out / "trials")) == 3
    assert (out / "trials.dropped").read_text() == f"{MODELS[1]} {TESTS[2]}\n"
    assert read_table(out / "enrolment")[MODELS[0]] == "id00801-m1"


def test_a_list_of_ones_own_names_its_set_without_the_words_of_conditions():
    protocols = read_protocols()
    assert set_name("cn-celeb", protocols) == "cn-celeb"
    assert set_name("/x/my list-noise-snr5.txt", protocols) == "my_list_noise_snr5"
    assert parse_condition(set_name("a-clip.txt", protocols)).name == "clean"
    assert set_name("/x/ü.txt", protocols) == "listed"


def test_numbers_are_those_of_the_real_list_form(tmp_path):
    from local.listed import name_counts

    path = tmp_path / "list"
    path.write_text("\n".join(VOX_LINES))
    assert name_counts(path) == dict(zip(COUNTS, (3, 1, 2, 3, 2)))
    path.write_bytes(b"1 \xff b\n")
    with pytest.raises(DataDirError, match="list:1: not UTF-8 text"):
        name_counts(path)


def test_voxceleb1_takes_a_list_by_name_and_refuses_what_is_not_for_it(run, voxceleb1, tmp_path):
    script = "local/prepare_voxceleb1.py"
    done = run(script, "--trials", "vox1-o-cleaned", voxceleb1, tmp_path / "data")
    assert done.returncode == 1
    assert (
        "veri_test2.txt: not the list of vox1-o-cleaned: expected MD5 b73110731c9223c1461fe49cb48dddfc, got "
        in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "data").exists()
    (voxceleb1 / "all.txt").write_text("1 id20001/aaaaaaaaaaa/00001.wav id20001/bbbbbbbbbbb/00001.wav\n")
    done = run(script, "--trials", "all.txt", voxceleb1, tmp_path / "data")
    assert done.returncode == 1
    assert (
        "all.txt: tests speakers of the training set, e.g. id20001; as vox1-e and vox1-h, it is for models"
        in done.stderr
    )
    done = run(script, "--trials", "vox1-o-clean", voxceleb1, tmp_path / "data")
    assert "did you mean vox1-o-cleaned?" in done.stderr
    assert "did you mean vox1-o?" in run(script, "--trials", "VOX1-O", voxceleb1, tmp_path / "data").stderr
    for name, how in (("voices-dev", "egs/voices tests it"), ("vox1-e", "local/import_trial_list.py makes its set")):
        done = run(script, "--trials", name, voxceleb1, tmp_path / "data")
        assert f"{name}: no list of a test set that is held out of VoxCeleb1; {how}" in done.stderr
    done = run(script, voxceleb1, tmp_path / "data")
    assert done.returncode == 0 and not (tmp_path / "data/voxceleb1_test/published_list").exists()


def test_trials_of_kaldi_directories_are_their_own(run, voxceleb1, tmp_path):
    script = "local/prepare_voxceleb1.py"
    assert run(script, voxceleb1, tmp_path / "data").returncode == 0
    done = run(script, "--trials", "vox1-o", tmp_path / "data", tmp_path / "mine")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "Kaldi data directories, whose trials are used; leave out --trials vox1-o" in done.stderr


def leak(*words):
    done = subprocess.run([sys.executable, ROOT / "local/check_leak.py", *map(str, words)], capture_output=True, text=True,
                          env={"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert len(done.stderr.splitlines()) <= 1
    return done.returncode, done.stderr


def test_no_system_is_trained_for_a_list_of_training_speakers():
    code, said = leak("--systems", "exu_net,se_resnet", "--protocol", "vox1-e-cleaned")
    assert code == 1
    assert (
        "vox1-e-cleaned tests speakers of VoxCeleb1's training set, on whom exu_net and se_resnet would be tr" in said
    )
    assert leak("--systems", "exu_net", "--protocol", "vox1-o")[0] == 0


def test_a_model_that_was_trained_on_speakers_of_the_list_is_refused(toy, tmp_path):
    out = toy(VOX_LINES, VOX)()
    model = tmp_path / "exu_net"
    (model / "backend").mkdir(parents=True)
    assert leak("--trained", model, "--trained", tmp_path / "none.onnx", "--protocol", "vox1-e", out)[0] == 0
    (model / "config.json").write_text('{"name": "exu_net"}')
    code, said = leak("--trained", model, "--protocol", "vox1-e", out)
    assert code == 1 and f"{model} was trained here, and {out} has speakers that systems here train on" in said
    assert leak("--trained", model, "--protocol", "cn-celeb", out)[0] == 0
    (model / "config.json").write_text('{"name": "exu_net", "published": {}}')
    assert leak("--trained", model, "--protocol", "vox1-e", out)[0] == 0
    (model / "backend/cohort.scp").write_text("id20002 cohort.ark:8\nid30001 cohort.ark:99\n")
    code, said = leak("--trained", model, "--protocol", "cn-celeb", out)
    assert code == 1 and f"1 speakers of {out} are in training ({model}): id20002" in said


OPTIONS = ("--data", "x", "--exp", "x")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--trials", "vox1-h", "--config", "conf/exu_net.toml"),
            "vox1-h tests speakers of VoxCeleb1's training set, on whom",
        ),
        (("--trials", "vox1-h"), "--trials vox1-h scores models: name them, --model NAME or a folder"),
        (("--trials", "cn-celeb", "--config", "conf/exu_net.toml"), "train exu_net without it, then give its folder"),
        (("--test-audio", "/tmp"), "--test-audio goes with --trials"),
        (("--test-audio", "/tmp,/nowhere", "--trials", "x"), "--test-audio takes folders that are there"),
    ],
)
def test_the_recipe_refuses_in_one_line_before_it_does_anything(tmp_path, words, message):
    places = ("--data", tmp_path / "d", "--exp", tmp_path / "e", "--nj", "1", "--num-gpus", "0")
    done = subprocess.run([ROOT / "egs/voxceleb1/run.sh", *words, *places], capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "d").exists() and not (tmp_path / "e").exists()
