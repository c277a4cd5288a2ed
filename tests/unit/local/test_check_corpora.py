def test_found_corpora_are_listed(run, tmp_path):
    for name in ("voxceleb1", "musan", "Nonspeech100"):
        (tmp_path / name).mkdir()
    done = run("local/check_corpora.py", "--corpora", tmp_path)
    assert done.returncode == 0
    assert done.stdout == "".join(
        f"{key}\t{tmp_path / name}\n"
        for key, name in (("voxceleb1", "voxceleb1"), ("musan", "musan"), ("nonspeech100", "Nonspeech100"))
    )


def test_each_missing_corpus_is_named_with_the_places_and_the_remedy(run, tmp_path):
    (tmp_path / "musan").mkdir()
    done = run("local/check_corpora.py", "--corpora", tmp_path)
    assert done.returncode == 1
    assert f"voxceleb1: looked for {tmp_path}/voxceleb1, {tmp_path}/VoxCeleb1" in done.stderr
    assert "owners' form" in done.stderr
    assert "nonspeech100: looked for" in done.stderr
    assert "\n    needed for --noises nonspeech\n" in done.stderr and done.stderr.count("needed for") == 1
    assert "musan:" not in done.stderr
    assert "./run.sh --mini needs none of them" in done.stderr


def test_no_folder_at_all(run):
    done = run("local/check_corpora.py")
    assert done.returncode == 1
    assert "musan: neither --corpora nor --musan was given" in done.stderr


def test_nonspeech100_is_not_needed_without_its_condition(run, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "m").mkdir()
    done = run(
        "local/check_corpora.py", "--voxceleb1", tmp_path / "v", "--musan", tmp_path / "m", "--noises", "noise,babble"
    )
    assert done.stdout == f"voxceleb1\t{tmp_path}/v\nmusan\t{tmp_path}/m\n"


def test_rooms_are_needed_only_where_tests_ask_for_them(run, tmp_path):
    (tmp_path / "VCTK-Corpus").mkdir()
    where = ("local/check_corpora.py", "--names", "vctk,rirs", "--corpora", tmp_path)
    assert run(*where, "--noises", "noise").stdout == f"vctk\t{tmp_path}/VCTK-Corpus\n"
    done = run(*where, "--noises", "noise,rooms")
    assert (done.returncode, done.stdout) == (1, f"vctk\t{tmp_path}/VCTK-Corpus\n")
    assert f"rirs: looked for {tmp_path}/RIRS_NOISES, {tmp_path}/rirs_noises" in done.stderr
    assert "\n    needed for --conditions reverb and far\n    to get it: " in done.stderr
    assert "./run.sh --download rirs" in done.stderr


def test_another_recipe_looks_for_its_own_corpora_alone(run, tmp_path):
    for name in ("voxceleb1", "VCTK-Corpus", "fsdd"):
        (tmp_path / name).mkdir()
    done = run("local/check_corpora.py", "--names", "vctk,digits", "--corpora", tmp_path)
    assert done.stdout == f"vctk\t{tmp_path}/VCTK-Corpus\ndigits\t{tmp_path}/fsdd\n"
    done = run("local/check_corpora.py", "--names", "vctk,noisy_vctk", "--vctk", tmp_path / "VCTK-Corpus")
    assert done.returncode == 1
    assert "noisy_vctk: neither --corpora nor --noisy-vctk was given" in done.stderr
    done = run("local/check_corpora.py", "--names", "vctc")
    assert done.returncode == 2 and "--names: unknown ['vctc']" in done.stderr
