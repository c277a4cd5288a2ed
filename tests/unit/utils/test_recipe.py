"""Recipes: their size, options and help, and what they share in utils/recipe.sh."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ("voxceleb1", "voices", "vctk", "own")
PROMISED = "stage stop-stage config corpora mini data exp nj num-gpus launcher seed dry-run note despite musan quiet"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_on_a_page_or_two(name):
    assert len((ROOT / f"egs/{name}/run.sh").read_text().splitlines()) <= 130


def test_shell_lines_have_at_most_120_columns():
    scripts = [ROOT / "path.sh", *ROOT.glob("utils/*.sh"), *ROOT.glob("egs/*/*.sh")]
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in scripts
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > 120
    ]
    assert not wide and len(scripts) > 15


@pytest.mark.parametrize("name", RECIPES)
def test_help_has_the_stage_table_and_every_option_once(name):
    done = subprocess.run([ROOT / f"egs/{name}/run.sh", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert re.findall(r"^  (\d) \w+", done.stdout, re.M) == list("012345678")
    options = re.findall(r"^  --([\w-]+) +\S", done.stdout, re.M)
    assert len(options) == len(set(options))
    assert set(PROMISED.split()) <= set(options)


def test_a_recipe_s_own_default_of_a_common_option_counts(tmp_path):
    (tmp_path / "run.sh").write_text(
        "#!/usr/bin/env bash\n# Toy.\n\nset -euo pipefail\n"
        f". {ROOT}/utils/options.sh\n# Options\ntop_n=7 # of seven\nown= # its own\n# End of options\n"
        f'. {ROOT}/utils/parse_options.sh\necho "$top_n|$own|$seed|$mini"\n'
    )

    def run(*words):
        return subprocess.run(["bash", tmp_path / "run.sh", *words], capture_output=True, text=True)

    assert run().stdout == "7||0|false\n"
    assert run("--top-n=8", "--own", "x", "--mini", "--seed", "3").stdout == "8|x|3|true\n"
    shown = run("--help").stdout
    assert shown.count("--top-n ") == 1
    assert "--top-n              of seven (7)\n" in shown
    assert run("--no-such").stderr.count("--top-n") == 1


@pytest.fixture
def shell(tmp_path):
    """shell(lines): runs lines in a recipe's folder with stand-ins for the programs, which note how they were called."""
    for folder in ("utils", "local"):
        (tmp_path / folder).mkdir()
    for name in ("stage.sh", "recipe.sh", "stages.sh", "stage_marker.py", "run_lock.py", "stage_code.py"):
        (tmp_path / "utils" / name).symlink_to(ROOT / "utils" / name)

    def program(name, output):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\nprintf "{output}"\n')
        path.chmod(0o755)

    program("utils/system_info.py", r"log_mel-1\nfeatures\n0\nnoise,babble\n0.5\nfalse\n")
    program("local/own_noise.py", r"")
    program("local/check_corpora.py", r"a\t/corpora/A\nb_c\t/corpora/B\n")
    program("local/make_noisy_test.py", r"data/x-noise-snr5\ndata/x-noise-snr10")
    program("local/noises.py", "")
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).touch()

    def run(lines):
        (tmp_path / "calls").unlink(missing_ok=True)
        text = "set -euo pipefail\nmini=false exp=exp data=data noises=noise snrs=5,10 download='' corpora=/corpora\n"
        text += "model='' despite='' noise='' seed=0 conditions=noise draws=1\n"
        text += "nj=2 max_bad=0.1 stage=0 stop_stage=8 dry_run=false\n. utils/stages.sh\n"
        done = subprocess.run(
            ["bash", "-c", f"protocol=exact\n{text}{lines}"], capture_output=True, text=True, cwd=tmp_path
        )
        calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
        return done, calls

    return run


def test_each_configuration_is_asked_once(shell):
    lines = 'choose_systems one.toml none ./one.toml two.toml\necho "${configs[*]}"\n'
    done, calls = shell(lines + "for i in 1 2 3; do feats_of one.toml; feats_of two.toml; done\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one.toml two.toml\n" + 6 * "exp/feats/log_mel-1\n"
    asked = "features reads loss.noisy_copies=0 noises augment.reverb_prob=0 samples"
    assert calls == [f"utils/system_info.py {name}.toml {asked}" for name in ("one", "two")]


def test_a_system_that_draws_noise_embeds_what_is_not_random_in_each_draw(shell, tmp_path):
    sets = ["data/x-noise-snr5", "data/x-codec-gsm", "data/x-noise-snr5-draw2", "data/x-noise-snr5-draw3"]
    program = tmp_path / "local/make_noisy_test.py"
    program.write_text("#!/bin/sh\nprintf '%s\\n' " + " ".join(sets) + "\n")
    for name in ("x", "x-codec-gsm"):
        (tmp_path / "data" / name).mkdir(parents=True)
    lines = (
        "draws=3\nlist_conditions data/x\nsamples_of=([a]=true [b]=false)\necho ${#noisy_sets[@]} ${#more_sets[@]}\n"
    )
    lines += 'for conf in a b; do own_sets_of "$conf"; echo "$conf: ${own[*]}"; done\n'
    done, _ = shell(f"dry_run=true\n{lines}")
    own = [f"data/x-{name}-draw{draw}" for draw in (2, 3) for name in ("clean", "codec-gsm")]
    assert done.stdout.splitlines() == ["2 2", f"a: {' '.join(own)}", "b: "], done.stderr
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["x", "x-codec-gsm"]
    done, _ = shell(lines)
    assert [(tmp_path / path).readlink().name for path in own] == 2 * ["x", "x-codec-gsm"], done.stderr


@pytest.mark.parametrize(
    ("conf", "message"),
    [("typo.toml", "no system configuration typo.toml; there are: "), ("m/config.json", "no trained system in m")],
)
def test_a_configuration_that_is_not_there_is_named(shell, conf, message):
    done, _ = shell(f"choose_systems {conf}\necho on\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_lists_of_programs_reach_arrays_and_their_failure_the_recipe(shell):
    lines = "choose_systems one.toml\nlist_conditions data/x\nlist_noise_dirs one.toml\n"
    done, calls = shell(lines + 'printf "%s|" "${noisy_sets[@]}" "${#noise_dirs[@]}"\n')
    assert done.stdout == "data/x-noise-snr5|data/x-noise-snr10|0|", done.stderr
    assert calls[1] == "local/make_noisy_test.py --list --conditions noise --noises noise --snrs 5,10 data/x data"
    failing = "choose_systems one.toml\nlist_noise_dirs one.toml\necho on\n"
    done, _ = shell("local=1; printf '#!/bin/sh\\nexit 4\\n' > local/noises.py\n" + failing)
    assert (done.returncode, done.stdout) == (4, "")


def test_a_protocol_reaches_the_program_and_the_marker_of_the_noisy_sets(shell):
    lines = "choose_noises noise\ntrain_cmd=(echo)\nmake_noisy_sets data/x\n"
    for protocol, said in (("exact", ""), ("exu_net", " protocol=exu_net")):
        done, _ = shell(f'configs=() protocol={protocol}\n{lines}echo "said:$own_said"\n')
        assert done.returncode == 0, done.stderr
        called, marked = done.stdout.splitlines()
        assert f"local/make_noisy_test.py --protocol {protocol} --conditions noise " in called
        assert marked == f"said:{said}"  # none for the exact one: older markers stay up to date


def test_rooms_are_asked_for_only_by_conditions_that_need_them(shell):
    lines = "verify_audio=false\nconfigs=()\nconditions={0}\nchoose_noises noise\nfind_corpora rirs=\n"
    lines += 'echo "${{own_markers[*]}}|$own_said"\n'
    for kinds, needs in (
        ("codec-telephone,clip", ""), ("reverb-small", ",rooms"), ("noise,far", ",rooms"), ("noise,reverb", ",rooms"),
    ):  # fmt: skip
        done, calls = shell("python() { echo 1; }\n" + lines.format(kinds))
        marker = "data/.stage0-corpus-musan.done" + (" data/.stage0-rooms.done" if needs else "")
        assert done.stdout == f"{marker}| conditions={kinds}\n", done.stderr
        assert f" --noises noise{needs} --corpora" in calls[-1]


def test_codecs_are_made_anew_by_another_version_of_their_library(shell):
    lines = 'python() {{ echo 1.2.3; }}\nconfigs=() conditions={}\nchoose_noises noise\necho "$encoder_said"\n'
    for kinds, said in (("noise,clip", ""), ("noise,codec", " libsndfile=1.2.3"), ("codec-mp3", " libsndfile=1.2.3")):
        done, _ = shell(lines.format(kinds))
        assert done.stdout == f"{said}\n", done.stderr
    done, _ = shell(lines.format("codec").replace("echo 1.2.3", "return 3"))
    assert (done.returncode, done.stdout) == (3, "")


def test_all_that_stamps_read_of_a_noisy_set_is_an_output_of_stage_2(shell):
    lines = "mkdir -p data/a data/b\ntouch data/a/protocol data/b/encoder data/b/enrolment\n"
    done, _ = shell(lines + 'files_of_noisy_sets data/a data/b\necho "${files[*]}"\n')
    names = ("cuts.jsonl.gz", "wav.scp", "utt2spk", "trials")
    own = {"a": (*names, "protocol"), "b": (*names, "enrolment", "encoder")}
    assert done.stdout.split() == [f"data/{name}/{file}" for name, files in own.items() for file in files]


def test_defaults_hold_where_nothing_was_given(shell):
    done, _ = shell('a="" b=given\ndefault a 1 2; default b 1 2\nmini=true; c=""\ndefault c 1 2\necho "$a $b $c"\n')
    assert done.stdout == "1 given 2\n"


def test_options_of_one_corpus_reach_its_program_alone(shell):
    lines = "verify_audio=false\ntrain_cmd=(echo run)\nfind_corpora a= b_c=/my/B absent=\n"
    lines += 'prepare_corpora b_c --top-db 20\necho "$(place_of b_c) ${corpus_inputs[*]}"\n'
    done, calls = shell(lines)
    assert done.returncode == 0, done.stderr
    prepare = (
        "run --num-threads 2 data/log/prepare_{0}.log local/prepare_{0}.py --nj 2 --max-bad 0.1 {1}/corpora/{2} data"
    )
    assert done.stdout.splitlines() == [
        prepare.format("a", "", "A"),
        prepare.format("b_c", "--top-db 20 ", "B"),
        "/corpora/B corpus:a=/corpora/A corpus:b_c=/corpora/B",
    ]
    assert calls == [
        "local/check_corpora.py --names a,b_c,absent --noises noise --corpora /corpora --a  --b-c /my/B --absent "
    ]


def test_musan_is_asked_for_only_as_far_as_noises_of_it_are(shell):
    lines = "verify_audio=false\nchoose_systems {}\nnoises={} choose_noises\n"
    lines += 'find_corpora a= musan=\necho "$musan_needs|${{corpus_places[*]}}"\n'
    done, _ = shell(lines.format("one.toml", "nonspeech"))  # the stand-in trains with noise and babble
    assert done.stdout == "noise,speech|a= musan=\n", done.stderr
    done, _ = shell(lines.format("none", "nonspeech,music"))
    assert done.stdout == "music|a= musan=\n"
    done, _ = shell(lines.format("none", "nonspeech"))
    assert done.stdout == "|a=\n"


def test_a_corpus_of_noise_is_prepared_apart_and_only_what_hears_it_depends_on_it(shell):
    lines = 'verify_audio=false\nchoose_systems {}\nnoises={} choose_noises\nprepare_noise_corpus() {{ echo "apart $1"; }}\n'
    lines += "printf '#!/bin/sh\\nprintf \"vox\\\\t/c/V\\\\nmusan\\\\t/c/M\\\\n\"\\n' > local/check_corpora.py\n"
    lines += 'find_corpora vox= musan=\nfor conf in "${{configs[@]}}"; do list_noise_dirs $conf; done\n'
    lines += 'echo "${{corpus_inputs[*]}}|${{located[*]}}|${{own_markers[*]}}|${{noise_markers[*]-}}"\n'
    own, musan = "data/.stage0-corpus-nonspeech100.done", "data/.stage0-corpus-musan.done"
    for conf, noises, tests, trains in (
        ("one.toml", "nonspeech", own, musan), ("one.toml", "music,noise", musan, musan), ("none", "babble", musan, ""),
    ):  # fmt: skip
        done, _ = shell(lines.format(conf, noises))
        assert done.stdout == f"apart musan=/c/M\ncorpus:vox=/c/V|vox=/c/V|{tests}|{trains}\n", done.stderr


def test_the_synthetic_corpora_are_one_stage_s_whatever_noise_is_asked_for(shell):
    lines = "verify_audio=false\nmini=true\nchoose_systems none\nnoises={} choose_noises\nfind_corpora a= musan= nonspeech100=\n"
    lines += 'echo "${{corpus_places[*]}}|${{corpus_inputs[*]}}|${{own_markers[*]}}"\n'
    for noises in ("nonspeech", "noise", "music,babble"):
        done, _ = shell(lines.format(noises))
        assert done.stdout == "a= musan= nonspeech100=|corpus:synthetic=/corpora|\n", done.stderr


def test_the_same_place_is_the_same_text(shell, tmp_path):
    (tmp_path / "sub/m").mkdir(parents=True)
    (tmp_path / "t.lst").touch()
    lines = 'data={0} exp=./e//x/ corpora=/x//corp/. model={1} trials={2} config=./one.toml enrolment=""\nspell_paths\n'
    lines += 'echo "$data $exp $corpora $model $trials $config"\n'
    same = "sub/data e/x /x/corp campplus,sub/m t.lst one.toml\n"
    for data in ("sub/data", "./sub/data/", f"{tmp_path}//sub/data", "sub/../sub/data"):
        done, _ = shell(lines.format(data, "campplus,./sub/m/", f"{tmp_path}/t.lst"))
        assert done.stdout == same, done.stderr
    done, _ = shell("data=/elsewhere/ corpora=../c\nspell_paths\necho $data $corpora $exp\n")
    assert done.stdout == f"/elsewhere {tmp_path.parent}/c exp\n"


def test_another_order_is_the_same_unless_it_counts(shell):
    lines = "noises=music,noise,babble snrs=10,0,5 conditions=far,reverb-small,noise,reverb-large despite=b,a\n"
    lines += "{}order_lists\necho $noises $snrs $conditions $despite ${{microphones-}}\n"
    done, _ = shell(lines.format("microphones=mc05,mc01\n"))
    assert done.stdout == "noise,music,babble 0,5,10 noise,reverb-large,reverb-small,far a,b mc01,mc05\n", done.stderr
    done, _ = shell(lines.format("phrase_config=\n"))  # the recipe that draws from noises in their order
    assert done.stdout.startswith("music,noise,babble 0,5,10 ")
    done, _ = shell("noises='' snrs='' conditions=noise despite=''\norder_lists\necho \"$noises|$snrs|$despite\"\n")
    assert done.stdout == "||\n"


def test_training_depends_on_a_noise_of_one_s_own_only_if_the_system_names_it(shell):
    lines = "printf '#!/bin/sh\\necho babble=/x\\necho street=/y\\n' > local/own_noise.py\nchoose_systems one.toml\n"
    lines += 'choose_noises\nlist_noise_dirs one.toml\necho "${own_markers[*]}|${noise_markers[*]}|$own_said"\n'
    done, calls = shell(lines.replace("choose_noises", "noise=x\nchoose_noises", 1))
    own, musan = "data/.stage0-babble.done data/.stage0-street.done", "data/.stage0-corpus-musan.done"
    assert done.stdout == f"{own} {musan}|{musan} data/.stage0-babble.done| own=babble street\n"
    assert calls[-1] == "local/noises.py --noises noise,babble --own babble,street data"


DRAWN = (
    r"data/x-noise-snr5\ndata/x-codec-gsm\ndata/x-noise-snr5-draw2\ndata/x-noise-snr5-draw3\n"
    r"data/x-noise-snr5-draw10"
)


def test_draws_after_the_first_are_sets_of_their_own(shell):
    lines = f'printf \'#!/bin/sh\\necho "$*" >> calls\\nprintf "{DRAWN}"\\n\' > local/make_noisy_test.py\n'
    lines += "draws=10\nlist_conditions data/x\n"
    lines += 'echo "${noisy_sets[*]}|${more_sets[*]}|${#more_draws[@]} ${more_draws[-1]}"\n'
    lines += 'for n in 1 3 10 4; do sets_of_draw $n data/y "${noisy_sets[@]}" "${more_sets[@]}"; echo "$suffix ${sets[*]}"; done\n'
    done, calls = shell(lines)
    assert done.stdout.splitlines() == [
        "data/x-noise-snr5 data/x-codec-gsm|data/x-noise-snr5-draw2 data/x-noise-snr5-draw3 data/x-noise-snr5-draw10|9 10",
        " data/y data/x-noise-snr5 data/x-codec-gsm",
        "-draw3 data/x-noise-snr5-draw3",
        "-draw10 data/x-noise-snr5-draw10",
        "-draw4 ",
    ], done.stderr
    assert calls == ["--list --conditions noise --noises noise --snrs 5,10 --draws 10 data/x data"]


def test_without_anything_random_there_is_one_draw_and_it_is_said(shell):
    done, _ = shell('draws=3\nlist_conditions data/x\necho "${#more_draws[@]} ${#more_sets[@]} ${#noisy_sets[@]}"\n')
    assert done.stdout == "0 0 2\n"
    assert "--draws 3: nothing in these conditions is random; there is one draw" in done.stderr


def test_each_further_draw_is_made_alone_and_once(shell):
    lines = ": > local/make_noisy_test.py\nmkdir data\ntouch data/.stage0.done data/.stage1.done\n"
    lines += "train_cmd=(run)\nown_markers=() RUN_ID=1\n"
    lines += 'run() { echo "${@: -5}" >> made; mkdir -p "data/x-clip-draw${*: -5:1}"; '
    lines += (
        'for file in cuts.jsonl.gz wav.scp utt2spk trials; do echo 1 > "data/x-clip-draw${*: -5:1}/$file"; done; }\n'
    )
    lines += "more_sets=(data/x-clip-draw2) more_draws=(2)\nstage_more_draws data/x\n"
    lines += "more_sets=(data/x-clip-draw2 data/x-clip-draw3) more_draws=(2 3)\nstage_more_draws data/x\ncat made\n"
    done, _ = shell(lines)
    assert done.stdout == "2 --nj 2 data/x data\n3 --nj 2 data/x data\n", done.stderr
