"""P11, of the portal: with a certificate it speaks TLS and nothing else, and tells browsers to stay there."""

import ssl
from collections.abc import Iterator

import httpx
import pytest
import trustme

from tests.portal_site import Site, new_person, running_site

TIMEOUT_S = 10.0
PAGES = ("/", "/sign-in", "/ledger", "/nowhere", "/api/v1/account")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def site(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = folder / "chain.pem", folder / "key.pem"
    for part in certificate.cert_chain_pems:
        part.write_to_path(chain, append=True)
    certificate.private_key_pem.write_to_path(key)
    with running_site(folder, tls_certificate=str(chain), tls_key=str(key)) as running:
        yield running


def trusting(authority: trustme.CA, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if version is not None:
        context.maximum_version = version
    return context


def answer(
    site: Site, path: str, verify: ssl.SSLContext, *, scheme: str = "https", cookie: str = ""
) -> httpx.Response | None:
    """None where there is none that could be read."""
    url = site.url.replace("https:", f"{scheme}:") + path
    try:
        headers = {"cookie": f"peernet-session={cookie}"} if cookie else {}
        return httpx.get(url, verify=verify, timeout=TIMEOUT_S, headers=headers)
    except httpx.HTTPError:
        return None


def test_with_a_certificate_the_portal_is_served_over_tls(site: Site, authority: trustme.CA):
    assert site.url.startswith("https://")
    for path in PAGES:
        answered = answer(site, path, trusting(authority))
        assert answered is not None, path
        assert answered.headers["strict-transport-security"].startswith("max-age="), path


def test_and_nothing_is_said_without_it(site: Site, authority: trustme.CA):
    plain = answer(site, "/", trusting(authority), scheme="http")
    assert plain is None


def test_who_does_not_know_the_certificate_does_not_believe_it(site: Site):
    assert answer(site, "/", trusting(trustme.CA())) is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(site: Site, authority: trustme.CA):
    assert answer(site, "/", trusting(authority, ssl.TLSVersion.TLSv1_1)) is None
    assert answer(site, "/", trusting(authority, ssl.TLSVersion.TLSv1_2)) is not None


def test_cookies_never_travel_in_the_clear(site: Site, authority: trustme.CA):
    secret = new_person(site.office, "ann", "Ann")
    start, office = site.office.now_s(), site.office
    office.now_s = lambda: start + 16 * 60  # when a session's secret is due to be replaced
    answered = answer(site, "/dashboard", trusting(authority), cookie=secret)
    assert answered is not None
    cookies = answered.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} >= {"peernet-form", "peernet-session"}
    for cookie in cookies:
        assert "; Secure" in cookie, cookie.partition("=")[0]
        assert "; HttpOnly" in cookie, cookie.partition("=")[0]
        assert "samesite=lax" in cookie.lower(), cookie.partition("=")[0]
