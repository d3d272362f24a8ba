"""Tokens: the same token gives the same trace everywhere; a wrong one says where, and nothing starts."""

import itertools
import os
import pickle
import random
import subprocess
import sys

import pytest

from hvlab import tokens
from hvlab.errors import BadRequest
from hvlab.lab.runs import scenarios
from hvlab.lab.scenario import scenario, token
from hvlab.story.walk import story_of
from hvlab.tokens import BadToken, Knob, Token, check_character, encode
from hvlab.view import show

KNOBS = {name: one.knobs for name, one in scenarios().items()}
TOKEN = "hv1-second-level-7V-sN-x5-T"


def test_a_token_is_read_as_it_was_written():
    draw = random.Random(5)
    for _ in range(300):
        name = draw.choice(list(KNOBS))
        changed = draw.sample(KNOBS[name], draw.randrange(len(KNOBS[name]) + 1))
        changes = {knob.name: draw.choice(knob.values) for knob in changed}
        one = Token(name, draw.getrandbits(draw.choice((0, 8, 64))), changes, draw.choice((None, 0, 12)))

        text = tokens.write(one, KNOBS[name])

        kept = {knob.name: changes[knob.name] for knob in changed if changes[knob.name] != knob.start}
        assert tokens.read(text, KNOBS) == Token(name, one.seed, kept, one.frame)
        assert tokens.read(text.lower(), KNOBS) == tokens.read(f" {text.upper()} ".strip(), KNOBS)
        assert len(text) <= 96


def test_letters_that_look_alike_are_read_alike():
    text = tokens.write(Token("kvm-walk", 0x01), KNOBS["kvm-walk"])

    assert tokens.read(text.replace("-1-", "-I-"), KNOBS) == tokens.read(text.replace("-1-", "-l-"), KNOBS)


def test_any_one_wrong_character_and_any_two_in_each_others_place_are_found():
    for at, letter in itertools.product(range(len(TOKEN)), "0123456789ABCDEFGHJKMNPQRSTVWXYZ-"):
        text = TOKEN[:at] + letter + TOKEN[at + 1 :]
        if text.lower() == TOKEN.lower() or check_same(text):
            continue
        with pytest.raises(BadToken):
            tokens.read(text, KNOBS)
    for a, b in itertools.combinations(range(17, len(TOKEN) - 2), 2):
        letters = list(TOKEN)
        letters[a], letters[b] = letters[b], letters[a]
        if letters[a] != letters[b]:
            with pytest.raises(BadToken):
                tokens.read("".join(letters), KNOBS)


def check_same(text):
    """The same token, written with letters that are read alike."""
    alike = str.maketrans("OIL", "011")
    return text.upper().translate(alike) == TOKEN.upper().translate(alike)


@pytest.mark.parametrize(
    "text, position, expected",
    [
        (5, 1, "at most 96"),
        ("", 1, "at most 96"),
        ("x" * 97, 1, "at most 96"),
        ("xv1-kvm-walk-0-B", 1, "hv1"),
        ("hv2-kvm-walk-0-B", 3, "the only version"),
        ("hv1-kvm-talk-0-B", 5, "second-level, one-child"),
        ("hv1-kvm-walk-0", 14, "check character"),
        ("hv1-kvm-walk-0-C", 16, "another check character"),
        ("hv1-kvm-walk-0-B@x", 18, "frame"),
        ("hv1-kvm-walk-0-B@", 18, "frame"),
    ],
)
def test_a_wrong_token_says_which_position_and_what_was_expected(text, position, expected):
    with pytest.raises(BadToken) as caught:
        tokens.read(text, KNOBS)

    assert caught.value.position == position and expected in caught.value.expected
    assert "Nothing was started." in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "body, position, expected",
    [
        ("hv1-kvm-walk-0-q1", 16, "a (access)"),
        ("hv1-kvm-walk-0-a2-a2", 19, "each once"),
        ("hv1-kvm-walk-0-a3", 17, "a value of access: 0, 2, 4, 6"),
        ("hv1-kvm-walk-0-a", 17, "base 32"),
        ("hv1-kvm-walk-0u-a2", 15, "other than U"),
        ("hv1-kvm-walk-zzzzzzzzzzzzzzz-a2", 14, "a number below"),
    ],
)
def test_a_sound_check_character_does_not_hide_an_unknown_change(body, position, expected):
    with pytest.raises(BadToken) as caught:
        tokens.read(f"{body}-{check_character(body)}", KNOBS)

    assert caught.value.position == position and expected in caught.value.expected


def test_too_long_and_unknown_changes_are_not_written():
    many = [Knob("a", "x", tuple(range(40)), 0)]
    with pytest.raises(BadToken):
        tokens.write(Token("y" * 90, 0), many)
    with pytest.raises(BadToken):
        tokens.write(Token("y", 0, {"z": 1}), many)
    assert encode(0) == "0" and encode(1023) == "ZZ"


def test_the_same_token_gives_the_same_trace_and_tells_its_hash():
    one, two = scenario(TOKEN), scenario(TOKEN.lower() + "@4")

    assert one.digest == two.digest and repr(one) == f"{TOKEN}: 34 events, 26 frames, trace {one.digest[:16]}"
    assert (one.frame, two.frame, show(two).step) == (0, 4, 4)
    assert story_of(two).scene["token"] == TOKEN


def test_another_process_and_the_plain_interpreter_give_the_same_hash():
    run = f"from hvlab import scenario; print(scenario({TOKEN!r}).digest)"
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONHASHSEED": "7"}

    said = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True, env=env).stdout

    assert said.strip() == scenario(TOKEN).digest


@pytest.mark.parametrize("name", KNOBS)
def test_every_scenario_runs_from_its_token_with_every_change(name):
    plain = scenario(token(name)).digest
    assert plain == scenario(token(name)).digest != scenario(token(name, seed=9)).digest
    for knob in KNOBS[name]:
        for value in set(knob.values) - {knob.start}:
            run = scenario(token(name, **{knob.name: value}))
            assert len(run.story) > 1 and run.token == token(name, **{knob.name: value})


def test_no_name_begins_another_and_no_scenario_has_a_letter_twice():
    assert not [(a, b) for a, b in itertools.permutations(KNOBS, 2) if b.startswith(f"{a}-") or a == b]
    for knobs in KNOBS.values():
        letters = [knob.letter for knob in knobs]
        assert len(set(letters)) == len(letters) and all(knob.start in knob.values for knob in knobs)
    assert all(one.says.endswith(".") for one in scenarios().values())


def test_the_knobs_of_lesson_05_do_what_they_say():
    stale, flushed = scenario(token("stale-page")), scenario(token("stale-page", flush=1))
    refused = scenario(token("one-child", refused=1, access=6))

    assert "stale_entry_used" in stale.trace.kinds() and "stale_entry_used" not in flushed.trace.kinds()
    assert refused.trace.kinds()[-1] == "ept_violation_raised"
    assert scenario(token("one-child", amd=1)).digest != scenario(token("one-child")).digest
    spas = [
        scenario(token("two-children")).trace.fact(row, "spa")
        for row in scenario(token("two-children")).trace.of("translated")
    ]
    assert len(set(spas)) == 2


@pytest.mark.parametrize(
    "asked",
    [
        lambda: token("nope"),
        lambda: token("kvm-walk", levels=5),
        lambda: token("kvm-walk", seed=-1),
        lambda: scenario(f"{TOKEN}@99"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(asked):
    with pytest.raises(BadRequest) as caught:
        asked()

    assert caught.value.attempt or caught.value.found
