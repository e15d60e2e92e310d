"""The one way out: what it refuses, whatever it is asked for and wherever it is led."""

import asyncio
import datetime
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.egress import Egress
from domain.ports import Answer, NotSent, TooBig, Unavailable
from tests.fakes.local_server import serving


class Site:
    """What a server of somebody's might do."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        self.leads_to = ""
        self.status = 302
        self.app = Starlette(
            routes=[
                Route("/echo", self._echo, methods=["GET", "POST", "PUT", "HEAD"]),
                Route("/away", self._away, methods=["GET", "POST"]),
                Route("/loop", lambda _: RedirectResponse("/loop")),
                Route("/big", lambda _: StreamingResponse(_blocks(), media_type="text/plain")),
                Route("/bomb", lambda _: Response(gzip.compress(bytes(20_000_000)), headers={"content-encoding": "gzip"})),
                Route("/zip", lambda _: Response(gzip.compress(b"x" * 200_000), headers={"content-encoding": "gzip"})),
                Route("/deflate", lambda _: Response(zlib.compress(b"hi"), headers={"content-encoding": "deflate"})),
                Route("/junk", lambda _: Response(b"no gzip", headers={"content-encoding": "gzip"})),
                Route("/br", lambda _: Response(b"?", headers={"content-encoding": "br"})),
                Route("/drip", lambda _: StreamingResponse(_drops(), media_type="text/plain")),
                Route("/cookie", lambda _: Response("", headers={"set-cookie": "a=b"})),
            ]
        )  # fmt: skip

    async def _echo(self, request: Request) -> Response:
        self.got.append((request.method, request.url.path, dict(request.headers), await request.body()))
        return JSONResponse({"ok": True})

    async def _away(self, request: Request) -> Response:
        self.got.append((request.method, request.url.path, dict(request.headers), await request.body()))
        return Response(status_code=self.status, headers={"location": self.leads_to})


async def _blocks() -> AsyncIterator[bytes]:
    for _ in range(10_000):
        yield bytes(10_000)


async def _drops() -> AsyncIterator[bytes]:
    while True:
        yield b"."
        await asyncio.sleep(0.02)


def always(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


class NoSockets(httpcore2.AsyncNetworkBackend):
    """Notes where connections would be made to, and makes none: no test leaves this machine."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        self.tried.append((host, port))
        raise httpcore2.ConnectError("no sockets here")


def with_site(story: Callable[[Site, str, Egress], Awaitable[Any]], **how: Any) -> Any:
    async def run() -> Any:
        site = Site()
        async with serving(site.app) as where, Egress(allow=[where], **how) as egress:
            return await story(site, where, egress)

    return asyncio.run(run())


def refused(url: str, **how: Any) -> str:
    """Nothing may even be tried: the sentence that says so."""

    async def run() -> str:
        sockets = NoSockets()
        async with Egress(sockets=sockets, **how) as egress:
            with pytest.raises(NotSent) as problem:
                await egress.fetch("GET", url, within_s=5)
        assert sockets.tried == []
        return str(problem.value)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
        "http://127.1/", "http://0/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/", "http://168.63.129.16/", "http://224.0.0.1/",
        "http://255.255.255.255/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[fe80::1]/",
        "http://[fd00:ec2::254]/", "http://[2002:7f00:1::]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[ff02::1]/",
        "http://[::127.0.0.1]/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_everybody_s_is_never_connected_to(url: str) -> None:
    assert refused(url).endswith(("isn't a public address", "isn't an address"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://example.com/", "only http and https"),
        ("//example.com/", "only http and https"),
        ("http://example.com:22/", "port 22"),
        ("https://example.com:80/", "port 80"),
        ("http://example.com:8080/", "port 8080"),
        ("http://example.com@127.0.0.1/", "names a user"),
        ("http://user:word@example.com/", "names a user"),
        ("http://[::1/", "isn't an address"),
    ],
)
def test_what_is_no_plain_web_address_is_not_asked(url: str, says: str) -> None:
    assert says in refused(url, resolve=always("93.184.216.34"))


def test_one_bad_address_among_a_name_s_is_enough() -> None:
    assert "isn't a public address" in refused("http://example.com/", resolve=always("93.184.216.34", "127.0.0.1"))


def test_a_name_that_there_is_not_is_told() -> None:
    assert refused("http://nowhere.example/", resolve=always()) == "there is no host nowhere.example"


def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    """A name that means something public when it is checked and this machine a moment later."""

    async def run() -> None:
        answers, sockets = [["93.184.216.34", "2606:4700::1111"], ["127.0.0.1"]], NoSockets()

        async def rebinding(host: str, port: int) -> Sequence[str]:
            return answers.pop(0)

        async with Egress(resolve=rebinding, sockets=sockets) as egress:
            with pytest.raises(NotSent, match="could not be reached"):
                await egress.fetch("GET", "http://rebinding.example/")
            assert sockets.tried == [("93.184.216.34", 80), ("2606:4700::1111", 80)]
            with pytest.raises(NotSent, match="isn't a public address"):
                await egress.fetch("GET", "http://rebinding.example/")
        assert (len(sockets.tried), answers) == (2, []), "a name is looked up once for each connection"

    asyncio.run(run())


def test_what_is_allowed_in_development_is_that_host_and_port_only() -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        answer = await egress.fetch("GET", f"http://{where}/echo")
        assert (answer.status, answer.body) == (200, b'{"ok":true}')
        async with serving(Site().app) as other:
            with pytest.raises(NotSent):
                await egress.fetch("GET", f"http://{other}/echo")

    with_site(story)


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/", "http://[::ffff:10.0.0.1]/", "http://localhost/"])
def test_a_redirect_leads_nowhere_that_is_not_allowed(to: str) -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        site.leads_to = to
        with pytest.raises(Unavailable, match="isn't a public address") as problem:
            await egress.fetch("GET", f"http://{where}/away")
        assert not isinstance(problem.value, NotSent), "the first server was asked"

    with_site(story)


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "http://user:x@example.com/", "http://example.com:25/", "http://["]
)
def test_nor_to_what_is_no_plain_web_address(to: str) -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        site.leads_to = to
        with pytest.raises(Unavailable) as problem:
            await egress.fetch("GET", f"http://{where}/away")
        assert not isinstance(problem.value, NotSent), "the first server was asked"

    with_site(story)


def test_secrets_stay_behind_when_another_origin_is_led_to() -> None:
    async def story(site: Site, where: str, _: Egress) -> None:
        other = Site()
        async with serving(other.app) as there, Egress(allow=[where, there]) as egress:
            headers = {"Authorization": "Bearer s", "X-Api-Key": "s", "Accept": "text/x"}
            site.leads_to = f"http://{there}/echo"
            await egress.fetch("GET", f"http://{where}/away", headers=headers)
            [(_, _, got, _)] = other.got
            assert got["accept"] == "text/x"
            assert "authorization" not in got
            assert "x-api-key" not in got
            site.leads_to = "/echo"
            await egress.fetch("GET", f"http://{where}/away", headers=headers)
            assert site.got[-1][2]["x-api-key"] == "s"

    with_site(story)


def test_a_body_is_not_sent_elsewhere_and_a_post_may_be_followed_by_a_look() -> None:
    async def story(site: Site, where: str, _: Egress) -> None:
        other = Site()
        async with serving(other.app) as there, Egress(allow=[where, there]) as egress:
            site.leads_to, site.status = f"http://{there}/echo", 307
            with pytest.raises(Unavailable, match="elsewhere"):
                await egress.fetch("POST", f"http://{where}/away", body=b"private")
            site.status = 303
            await egress.fetch("POST", f"http://{where}/away", body=b"private")
            assert [(method, body) for method, _, _, body in other.got] == [("GET", b"")]
            site.leads_to, site.status = "/echo", 307
            await egress.fetch("POST", f"http://{where}/away", body=b"private")
            assert site.got[-1][0::3] == ("POST", b"private")

    with_site(story)


def test_a_circle_of_redirects_ends() -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        with pytest.raises(Unavailable, match="from one address to the next"):
            await egress.fetch("GET", f"http://{where}/loop")

    with_site(story)


@pytest.mark.parametrize("path", ["big", "bomb"])
def test_an_answer_is_read_only_so_far(path: str) -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        with pytest.raises(TooBig) as problem:
            await egress.fetch("GET", f"http://{where}/{path}", most_bytes=100_000)
        assert problem.value.status == 200

    with_site(story)


def test_packed_answers_are_unpacked() -> None:
    async def story(site: Site, where: str, egress: Egress) -> list[Answer]:
        for path in ("junk", "br"):
            with pytest.raises(Unavailable):
                await egress.fetch("GET", f"http://{where}/{path}")
        return [await egress.fetch("GET", f"http://{where}/{path}") for path in ("zip", "deflate")]

    packed, deflated = with_site(story)
    assert packed.body == b"x" * 200_000
    assert deflated.body == b"hi"
    assert "content-encoding" not in packed.headers


def test_an_answer_that_drips_is_given_up() -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        with pytest.raises(Unavailable, match="took longer than 300 ms") as problem:
            await egress.fetch("GET", f"http://{where}/drip", within_s=0.3)
        assert not isinstance(problem.value, NotSent)

    with_site(story)


def test_a_port_where_nobody_listens_was_sent_nothing() -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        async with Egress(allow=["127.0.0.1:9"]) as egress:
            with pytest.raises(NotSent, match="could not be reached"):
                await egress.fetch("GET", "http://127.0.0.1:9/")

    with_site(story)


def test_a_connection_that_breaks_after_the_request_may_have_had_its_effect() -> None:
    async def run() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Egress(allow=[where]) as egress:
            with pytest.raises(Unavailable, match="broke the connection") as problem:
                await egress.fetch("POST", f"http://{where}/", body=b"x")
            assert not isinstance(problem.value, NotSent)

    asyncio.run(run())


def test_cookies_are_nobody_s() -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        await egress.fetch("GET", f"http://{where}/cookie")
        await egress.fetch("GET", f"http://{where}/echo")
        assert "cookie" not in site.got[-1][2]

    with_site(story)


def test_a_library_s_client_is_guarded_as_well() -> None:
    async def story(site: Site, where: str, egress: Egress) -> None:
        async with egress.client({"x-key": "s"}, 5, 100_000) as client:
            assert (await client.get(f"http://{where}/echo")).status_code == 200
            with pytest.raises(TooBig):
                await client.get(f"http://{where}/big")
            with pytest.raises(NotSent):
                await client.get("http://169.254.169.254/")
        async with egress.client({}, 5) as client:  # the connections outlive the client
            assert (await client.get(f"http://{where}/echo")).status_code == 200

    with_site(story)


def test_no_proxy_of_the_environment_s_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def story(site: Site, where: str, egress: Egress) -> None:
        assert (await egress.fetch("GET", f"http://{where}/echo")).status == 200
        async with egress.client({}, 5) as client:
            assert (await client.get(f"http://{where}/echo")).status_code == 200

    with_site(story)


def test_tls_is_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    """The certificate names shop.example; the connection goes to an address that the name was found to have."""
    certificate, key = _certificate(tmp_path, "shop.example")
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def run() -> None:
        site = Site()
        async with serving(site.app, ssl_certfile=str(certificate), ssl_keyfile=str(key)) as where:
            port = int(where.rpartition(":")[2])
            here = always("127.0.0.1")
            names = [f"shop.example:{port}", f"other.example:{port}"]
            async with Egress(allow=names, resolve=here, tls=trusting) as egress:
                assert (await egress.fetch("GET", f"https://shop.example:{port}/echo")).status == 200
                with pytest.raises(NotSent, match="no safe connection to other"):
                    await egress.fetch("GET", f"https://other.example:{port}/echo")
                site.leads_to = f"http://shop.example:{port}/echo"
                with pytest.raises(Unavailable, match="without encryption"):
                    await egress.fetch("GET", f"https://shop.example:{port}/away")
            async with Egress(allow=names, resolve=here) as egress:
                with pytest.raises(NotSent, match="no safe connection"):
                    await egress.fetch("GET", f"https://shop.example:{port}/echo")

    asyncio.run(run())


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_what_is_said_of_an_address_is_its_host_only() -> None:
    async def run() -> None:
        async with Egress(allow=["127.0.0.1:9"]) as egress:
            with pytest.raises(NotSent) as problem:
                await egress.fetch("GET", "http://127.0.0.1:9/private?key=word", headers={"x": "word"})
            assert "word" not in str(problem.value)
            assert "private" not in str(problem.value)
            assert problem.value.__cause__ is None

    asyncio.run(run())


def test_httpx2_still_takes_its_pool_from_where_we_put_it() -> None:
    """The guard replaces a part of the transport that has no parameter."""
    assert "_pool" in vars(httpx2.AsyncHTTPTransport(trust_env=False))
