"""The link that ends e-mails."""

from urllib.parse import parse_qs, urlsplit

from domain.unsubscribe import is_ours, link

SECRET = "s" * 32


def test_a_link_is_good_for_what_it_was_made_for_and_for_nothing_else() -> None:
    url = urlsplit(link("https://phone.example.com", "org_1", "msg_1", SECRET))
    assert (url.scheme, url.netloc, url.path) == ("https", "phone.example.com", "/m/unsubscribe")
    query = {name: value for name, [value] in parse_qs(url.query, strict_parsing=True).items()}
    assert is_ours(query["o"], query["m"], query["s"], SECRET)
    assert not is_ours("org_2", query["m"], query["s"], SECRET)
    assert not is_ours(query["o"], "msg_2", query["s"], SECRET)
    assert not is_ours(query["o"], query["m"], query["s"], "t" * 32)
    for junk in ("", "é", query["s"][:-1], query["s"] + "A"):
        assert not is_ours(query["o"], query["m"], junk, SECRET)
