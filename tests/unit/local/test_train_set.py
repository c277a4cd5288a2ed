"""The option --train-set: refused before any work where it makes no sense, and what it changes in egs/voxceleb1."""

import subprocess
from pathlib import Path

import pytest

from local.check_leak import leaks_of_systems
from local.check_options import problem
from local.combine_sets import main as combine
from sv.kaldi import read_table, read_utt2spk, validate_data_dir, write_data_dir

ROOT = Path(__file__).resolve().parents[3]
RECIPE = ROOT / "egs/voxceleb1"


@pytest.fixture
def corpora(tmp_path):
    """VoxCeleb2 below a folder of corpora, under each of the names that people give it."""

    def make(name="VoxCeleb2", place="dev/aac"):
        video = tmp_path / "corpora" / name / place / "id00012/21Uxsk56VDQ"
        video.mkdir(parents=True)
        (video / "00001.m4a").touch()
        return tmp_path / "corpora"

    return make


def options(**given):
    return problem({"stage": "0", "mini": "false", "corpora": "", "voxceleb2": "", "train_set": "vox1"} | given)


@pytest.mark.parametrize("name", ["VoxCeleb2", "voxceleb2", "vox2"])
@pytest.mark.parametrize("wanted", ["vox2", "vox1+vox2"])
def test_it_is_found_below_the_corpora_by_the_names_that_people_use(corpora, name, wanted):
    assert options(corpora=str(corpora(name)), train_set=wanted) == ""


def test_without_the_folder_it_is_one_line_before_any_work(corpora, tmp_path):
    assert options(train_set="vox2") == (
        "--train-set vox2 needs VoxCeleb2: neither --voxceleb2 nor --corpora was given; --voxceleb2 DIR names its folder"
    )
    below = corpora("elsewhere")
    said = options(train_set="vox1+vox2", corpora=str(below))
    assert said.startswith(
        f"--train-set vox1+vox2 needs VoxCeleb2: looked for {below}/VoxCeleb2, {below}/voxceleb2, {below}/vox2"
    )
    assert options(train_set="vox2", corpora=str(below), voxceleb2=str(below / "elsewhere")) == ""
    assert options(train_set="vox2", voxceleb2=str(tmp_path / "no")).startswith(
        "--voxceleb2 takes a folder that is there"
    )
    assert options(train_set="vox2", stage="4") == ""  # what is prepared needs no corpus
    assert options(voxceleb2=str(below)) == ""  # nobody asks for it


def test_a_folder_that_is_not_voxceleb2_is_one_line_before_any_work(corpora):
    below = corpora("vox2", "somewhere")
    said = options(train_set="vox2", voxceleb2=str(below / "vox2"))
    assert said.startswith(f"--voxceleb2 {below}/vox2: no folders of speakers") and "\n" not in said
    (below / "vox2/vox2_dev_aac_partaa").touch()
    said = options(train_set="vox2", corpora=str(below))
    assert said.startswith(f"--train-set vox2 {below}/vox2: 1 of 8 parts of an archive, not joined and unpacked")


@pytest.mark.parametrize("text", ["vox3", "", "vox2+vox1", "vox1,vox2", "voxceleb2"])
def test_other_names_are_refused(text):
    assert options(train_set=text).startswith("--train-set takes vox1, vox2 or vox1+vox2, got ")


def test_the_synthetic_corpus_has_no_voxceleb2():
    assert options(train_set="vox2", mini="true") == (
        "--train-set vox2 is of the real corpora; --mini has VoxCeleb1's likeness alone"
    )


@pytest.mark.parametrize(("wanted", "refused"), [("vox1", True), ("vox1+vox2", True), ("vox2", False)])
def test_lists_of_all_of_voxceleb1_are_for_what_was_not_trained_on_it(wanted, refused):
    for protocol in ("vox1-e", "vox1-e-cleaned", "vox1-h", "vox1-h-cleaned"):
        said = leaks_of_systems("ecapa_tdnn", protocol, wanted)
        assert said.startswith(f"{protocol} tests speakers of VoxCeleb1's training set") == refused
    assert leaks_of_systems("ecapa_tdnn", "vox1-o", wanted) == ""


def data_dir(path, speakers, genders=None):
    utts = [f"{speaker}-v-{number}" for speaker in speakers for number in (1, 2)]
    write_data_dir(
        path,
        wav_scp={utt: f"/x/{utt}.wav" for utt in utts},
        utt2spk={utt: utt.split("-")[0] for utt in utts},
        utt2dur=dict.fromkeys(utts, 1.5),
        spk2gender=genders,
        reco2digest={utt: f"{'a' * 64} /x/{utt}.wav" for utt in utts},
    )
    return path


def test_combined_sets_are_valid_and_have_the_tables_of_both(tmp_path, capsys):
    one = data_dir(tmp_path / "one", ("id10001", "id10002"), {"id10001": "m"})
    two = data_dir(tmp_path / "two", ("id00012", "id09272"))
    combine([str(tmp_path / "both"), str(one), str(two)])
    assert "spk2gender: not in all of them, left out" in capsys.readouterr().err
    speakers = ["id00012", "id09272", "id10001", "id10002"]
    assert list(dict.fromkeys(read_utt2spk(tmp_path / "both/utt2spk").values())) == speakers
    assert len(read_table(tmp_path / "both/reco2digest")) == 8 and (tmp_path / "both/cuts.jsonl.gz").is_file()
    assert all("is missing" in line for line in validate_data_dir(tmp_path / "both"))  # the files, which nobody made


def test_one_utterance_of_two_recordings_is_no_combination(tmp_path):
    one, two = (data_dir(tmp_path / name, ("id00012",)) for name in ("one", "two"))
    (two / "utt2dur").write_text((two / "utt2dur").read_text().replace("1.5", "1.6"))
    with pytest.raises(
        SystemExit, match=r"combine_sets.py: .*two/utt2dur: 'id00012-v-1' is '1.6' here, and '1.5' in another"
    ):
        combine([str(tmp_path / "both"), str(one), str(two)])
    assert not (tmp_path / "both").exists()


@pytest.fixture
def chosen(tmp_path):
    """chosen(train_set): what egs/voxceleb1/train_set.sh sets, with stand-ins for what it asks."""

    def call(train_set, initial=""):
        lines = (
            "set -euo pipefail\ndeclare -A names_of=()\nlog() { echo \"$*\" >&2; }\n"
            'system_of() { echo "${names_of[$1]-$(basename "$1" .toml)}"; }\n'
            f"own_held_out='' own_train_markers=() data=data exp=exp voxceleb2=x train_set={train_set}\n"
            "configs=(conf/a.toml exp/b/config.json) test_sets=(data/t)\n"
            f". {RECIPE}/train_set.sh\nchoose_train_set\n"
            'echo "$train_dir $held_out ${eval_sets[*]}|$own_held_out|${own_train_markers[*]}"\n'
            'for conf in "${configs[@]}"; do system_of "$conf"; done\necho "$valid_fraction_of_vox2"\n'
        )  # fmt: skip
        (tmp_path / "utils").mkdir(exist_ok=True)
        program = tmp_path / "utils/system_info.py"
        program.write_text(f"#!/bin/sh\necho {initial}\n")
        program.chmod(0o755)
        done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(), done.stderr

    return call


def test_each_training_set_has_its_own_folders_markers_and_systems(chosen):
    lines, said = chosen("vox1")
    assert lines == [
        "data/voxceleb1_train data/voxceleb1_valid data/voxceleb1_valid data/t||", "a", "config.json", "0.01",
    ]  # fmt: skip
    assert said == "--voxceleb2 is not read: --train-set vox1 goes without it (vox2, vox1+vox2)\n"
    lines, said = chosen("vox2")
    own = "data/voxceleb2_valid|data/.stage1-vox2.done"
    assert lines[:2] == [f"data/voxceleb2_train data/voxceleb2_valid data/voxceleb1_valid data/t|{own}", "a_vox2"]
    lines, said = chosen("vox1+vox2")
    own = "|data/.stage1-vox1+vox2.done"
    assert lines[:2] == [
        f"data/voxceleb1+2_train data/voxceleb1_valid data/voxceleb1_valid data/t|{own}",
        "a_vox1+vox2",
    ]
    assert lines[2] == "config.json" and said == ""


def test_weights_of_another_training_set_to_start_from_are_told(chosen):
    said = chosen("vox2", "rawnet1_cnn")[1]
    assert (
        said
        == "conf/a.toml starts from exp/rawnet1_cnn; --set train.initial=rawnet1_cnn_vox2 is that of --train-set vox2\n"
    )
    assert chosen("vox2", "rawnet1_cnn_vox2")[1] == chosen("vox1", "rawnet1_cnn")[1].partition("--voxceleb2")[0] == ""


def test_the_recipe_refuses_in_one_line_and_its_help_has_the_options(tmp_path):
    places = ("--data", tmp_path / "d", "--exp", tmp_path / "e")
    done = subprocess.run([RECIPE / "run.sh", "--train-set", "vox2", *places], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(
        "./run.sh: option --train-set vox2 needs VoxCeleb2: neither --voxceleb2 nor --corpora"
    )
    assert not (tmp_path / "d").exists()
