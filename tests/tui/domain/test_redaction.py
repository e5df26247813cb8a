import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.redaction import Redactor

CANARY = "c4n4ryc4n4ryc4n4ryc4n4ry"


@pytest.mark.parametrize(
    "text",
    [
        f"token hf_{CANARY} was used",
        f"Authorization: Bearer {CANARY}",
        f'{{"Authorization": "Bearer {CANARY}"}}',
        f"HF_TOKEN={CANARY} python train.py",
        f'"api_key": "{CANARY}", "step": 3',
        f"VAST_API_KEY='{CANARY}'",
        f"my-password: {CANARY}",
        f"https://user:{CANARY}@example.com/model",
        f"GET https://example.com/x?token={CANARY}&part=1",
        f"https://bucket.example/x?X-Amz-Signature={CANARY}&X-Amz-Date=1",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY} cut off",
        f"ssh-ed25519 AAAA{CANARY}{CANARY} {CANARY}@laptop",
        f"{CANARY}@example.com",
        f'{{"line": "first\\nhf_{CANARY}"}}',
        f"MY_{'VERY_' * 40}LONG_TOKEN={CANARY}",
        f"postgresql+{'x' * 50}://user:{CANARY}@db",
    ],
)
def test_secret_is_known_by_what_stands_around_it(text: str) -> None:
    assert CANARY not in Redactor().clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "step 12/40: loss 0.1234, lr 1.00e-04, 3.20 it/s",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "tokenizer: 77 tokens, token embeddings are trained",
        "listening on 127.0.0.1",
        "torch 2.15.0+cu128, driver 580.65.06",
        "/root/.loratui/jobs/01JD/log: keep_tokens = 1",
        "12:30:45 std::vector ::1 [::]:22 aa:bb:cc:dd:ee:ff a::method 1.2.3.4.5",
        "SHA256:abc MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
    ],
)
def test_what_helps_to_find_a_fault_stays(text: str) -> None:
    assert Redactor().clean(text) == text


def test_addresses_of_hosts_are_nobodys_business() -> None:
    redactor = Redactor(words=[("gpu7.example.org", "[host]"), ("/home/anna", "~"), ("anna", "[user]")])
    cleaned = redactor.clean("anna connects to gpu7.example.org (203.0.113.9), her files are in /home/anna/x")
    assert cleaned == "[user] connects to [host] ([address]), her files are in ~/x"


@pytest.mark.parametrize(
    "address",
    ["2001:db8::7", "fe80::1", "::ffff:203.0.113.9", "2001:0db8:0000:0000:0000:0000:0000:0001", "203.0.113.9", "::7"],
)
@pytest.mark.parametrize("around", ["{}", "[{}]:22", "({}), ", "connect to {}: refused", "{}.", "first\\n{}"])
def test_address_is_known_by_its_form(address: str, around: str) -> None:
    assert address not in Redactor().clean(around.format(address))


UNITS = (
    "a-",
    "a.",
    "a",
    "a@",
    "@a.",
    "token-",
    "token",
    "tokens: ",
    "ecdsa-",
    "hf_",
    "hf-",
    "bearer ",
    "://a:",
    "a+://",
)
MORE = (
    "?x-amz-",
    "&sig",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "1.",
    "1:",
    ":",
    "::",
    "/home/",
    "ssh-rsa ",
    " ",
)


@pytest.mark.parametrize("unit", [*UNITS, *MORE], ids=repr)
def test_time_that_it_takes_rises_with_the_text_alone(unit: str) -> None:
    """A host writes what is cleaned: a rule that goes back over it again and again would take hours here."""
    Redactor(["secret-of-mine"]).clean(unit * ((1 << 20) // len(unit)))


@given(
    secret=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=6, max_size=60),
    before=st.text(max_size=50),
    after=st.text(max_size=50),
)
def test_known_secret_never_stays_whatever_stands_around_it(secret: str, before: str, after: str) -> None:
    if secret in "[secret]" or secret in "[address]":
        return
    hidden = Redactor([secret]).clean(f"{before}{secret}{after}")
    assert secret not in hidden.replace("[secret]", "").replace("[address]", "") or secret in f"{before}{after}"


def test_short_words_are_no_secrets() -> None:
    assert Redactor(["1", "yes", ""], [("x", "[x]")]).clean("yes, 1 of 1 x") == "yes, 1 of 1 x"
