"""Keys, tokens, passwords and addresses of money: their prefixes, armour, checksums and names."""

import base58
import pytest

from tests.found_patterns import found

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\nq2x+/=\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

SECRETS = [
    ("export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("use ghp_16C7e42F292c6912E7710c838347Ae178B4a for it", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("Authorization: Bearer " + JWT, JWT),
    ("send Bearer x9Kq82mZp4Lw1 along", "x9Kq82mZp4Lw1"),
    ("here: " + PEM + " thanks", PEM),
    ('{"password": "correct Horse 9"}', "correct Horse 9"),
    ("DB_PASSWORD=hunter2!\nDB_HOST=localhost", "hunter2!"),
    ("the wifi password is Sommer2024", "Sommer2024"),
    ("mysql --password=s3cr3tpw -u root", "s3cr3tpw"),
    ("my pin is 4821", "4821"),
    ("leaked: ann@mail.example / W!nter2024, twice", "W!nter2024"),
    ("ann@mail.example:s3cr3tpw", "s3cr3tpw"),
    ("Mein Passwort lautet Geheim123", "Geheim123"),
    ("mot de passe : Azerty99!", "Azerty99!"),
    ("client_secret: 'Zx81kQp0vL2mN7'", "Zx81kQp0vL2mN7"),
    ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH is mine", "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"),
    ("bot 110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1 runs", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1"),
    ("postgres://app:Tr0ub4dor@db.example/x", "app:Tr0ub4dor"),
    ("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets(text: str, secret: str) -> None:
    assert found(text, "SECRET") == [secret]


NO_SECRETS = [
    "password = os.environ['PASSWORD1'] or getpass()",
    "The password is required and the token was revoked.",
    "api_key=${API_KEY_1} token: <your-token-1> secret: {{ secret2 }}",
    "def login(user, password=None, token: str = '') -> bool:",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 and sha256 of e3b0c44298fc1c149afbf4c8996fb924",
    "the key to success is patience; a monkey and a turkey",
    "Pass the salt, please. Bypass 42 is closed; the compass points north.",
    "for key in d: print(key, d[key])",
    "-----BEGIN CERTIFICATE-----",
    "token: aaaaaaa1, secret=abababab1212",
    "token: AaAaAaAaAaAaAaAaAaAaAa",
    "key = name+id2+base64",
    "password = os.environ.pw1",
    "password: 'None' or else",
    "password: 'hello there'",
    "bypass: hunter22, compass: north12",
    "password 1234567890123",
    "ann@mail.example / telephone, bob@mail.example:8080, cy@mail.example | 212-555-0143",
    "git@host.example:team/repo2.git",
]


@pytest.mark.parametrize("text", NO_SECRETS)
def test_code_and_prose_about_secrets_are_left_alone(text: str) -> None:
    assert found(text, "SECRET") == []


def test_a_private_key_without_its_end_is_taken_to_the_end_of_its_lines() -> None:
    cut = PEM.partition("\n-----END")[0]
    assert found(f"look: {cut}", "SECRET") == [cut]


MONEY = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
]


@pytest.mark.parametrize("address", MONEY)
def test_addresses_with_a_right_checksum(address: str) -> None:
    assert found(f"it is {address}.", "CRYPTO_ADDRESS") == [address]


@pytest.mark.parametrize("address", MONEY)
def test_addresses_with_a_wrong_checksum_are_left_alone(address: str) -> None:
    wrong = address[:-2] + ("a" if address[-2] != "a" else "c") + address[-1]
    assert found(f"it is {wrong}.", "CRYPTO_ADDRESS") == []


def test_an_address_in_small_letters_needs_a_word() -> None:
    address = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
    assert found(f"the hash {address} here", "CRYPTO_ADDRESS") == []
    assert found(f"my wallet {address} here", "CRYPTO_ADDRESS") == [address]


def test_an_address_in_letters_of_both_cases_has_no_checksum_of_small_ones() -> None:
    assert found(f"it is B{MONEY[2][1:]}.", "CRYPTO_ADDRESS") == []


KEY_OF_A_WALLET = "EWo1KkENqJgXTfLz6tGRqfu8XJVsELwmkHHUgPtHB1sc"


def test_thirty_two_bytes_behind_a_word_are_an_address() -> None:
    assert found(f"my wallet {KEY_OF_A_WALLET} here", "CRYPTO_ADDRESS") == [KEY_OF_A_WALLET]
    assert found(f"the hash {KEY_OF_A_WALLET} here", "CRYPTO_ADDRESS") == []
    longer = "zZ" * 21 + "99"
    assert found(f"my wallet {longer} here", "CRYPTO_ADDRESS") == []


def test_an_address_of_monero_is_known_by_its_length_and_letters() -> None:
    address = "4A" + "2b7Kq" * 18 + "9Xz"
    assert found(f"it is {address}.", "CRYPTO_ADDRESS") == [address]
    assert found(f"it is {address[:-1]}.", "CRYPTO_ADDRESS") == []


def test_of_two_extended_keys_the_private_one_is_a_secret() -> None:
    private, public = (
        base58.b58encode_check(bytes.fromhex(version) + bytes(9) + bytes(range(65))).decode()
        for version in ("0488ade4", "0488b21e")
    )
    assert found(f"it is {private}.", "SECRET") == [private]
    assert found(f"it is {public}.", "CRYPTO_ADDRESS") == [public]
    assert found(f"it is {public}.", "SECRET") == []


def test_a_private_key_with_a_wrong_checksum_is_left_alone() -> None:
    assert found("it is 5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK.", "SECRET") == []
