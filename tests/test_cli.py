"""The commands, each as a process of its own."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import commands
import keys
import pytest
import urllib3
from emulator_server import running_emulator

from app.emulator.emulator import Emulator
from app.emulator.local import SUBJECT
from app.emulator.registry import Application, Registry, Tenant
from app.emulator.script import ScriptedResponse

SAMPLES = Path(__file__).parent / "config" / "samples"
CLIENT_ID = "11111111-1111-1111-1111-111111111111"
SECRET = "s3cr:et%+"
TENANT = Tenant("aaaaaaaa-0000-0000-0000-000000000001", ("contoso.onmicrosoft.com",))
METADATA = {"Metadata": "true"}


@pytest.fixture(scope="module")
def shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    application = Application(
        CLIENT_ID,
        secrets=[SECRET],
        certificates=[keys.certificate()],
        roles={"https://graph.microsoft.com": ["User.Read.All", "Mail.Send"]},
    )
    with running_emulator(tmp_path_factory.mktemp("emulator"), Registry([TENANT], [application])) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    shared_emulator.clear()
    return shared_emulator


@pytest.fixture
def upstream(emulator: Emulator) -> dict[str, str]:
    """The environment that points a broker at the emulator."""
    return {
        "BROKER_AUTHORITY_HOST": emulator.base_url.removeprefix("https://"),
        "BROKER_CA_BUNDLE": str(emulator.ca),
    }


@pytest.fixture
def identity(upstream: dict[str, str]) -> dict[str, str]:
    """The environment alone, for one identity."""
    return upstream | {
        "AZURE_TENANT_ID": TENANT.domains[0],
        "AZURE_CLIENT_ID": CLIENT_ID,
        "AZURE_CLIENT_SECRET": SECRET,
        "BROKER_SCOPES": "https://graph.microsoft.com/.default",
    }


def get(url: str, path: str) -> tuple[int, str]:
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", url + path, headers=METADATA)
        return answer.status, answer.data.decode()


class TestServe:
    def test_environment_alone_and_port_0_and_a_clean_end(self, identity: dict[str, str]) -> None:
        with commands.running("serve", "--listen", "127.0.0.1:0", until="listening", env=identity) as (
            process,
            said,
        ):
            url = said.rpartition("url=")[2].strip()
            assert get(url, "/token?format=text")[0] == 200
            assert commands.run("token", "--url", url).stdout.count(".") == 2
            assert commands.run(
                "token", "graph.microsoft.com", "--url", url, "--format", "header"
            ).stdout.startswith("Authorization: Bearer ey")
            assert json.loads(commands.run("token", "--format", "json", env={"TOKEN_BROKER_URL": url}).stdout)
            assert commands.run("healthcheck", "--url", url).returncode == 0
            unknown = commands.run("token", "nothing", "--url", url)
            assert (unknown.returncode, unknown.stdout) == (1, "")
            assert "unknown_token (HTTP 404)" in unknown.stderr
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

    def test_several_listeners_a_unix_socket_among_them(self, identity: dict[str, str], tmp_path: Path) -> None:
        path = tmp_path / "broker.sock"
        config = tmp_path / "broker.toml"
        config.write_text(f'listen = ["127.0.0.1:0", "unix:{path}"]\nlog_format = "json"\n')
        with commands.running("serve", "--config", config, until=str(path), env=identity) as (process, said):
            assert [json.loads(line)["message"] for line in said.splitlines()][-2:] == ["listening", "listening"]
            assert commands.run("token", "--url", f"unix:{path}").returncode == 0
            assert commands.run("healthcheck", env={"TOKEN_BROKER_URL": f"unix:{path}"}).returncode == 0
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0

    def test_a_configuration_error_is_78_and_names_everything_without_a_secret(self) -> None:
        ended = commands.run(
            "serve",
            env={
                "BROKER_LISEN": "x",
                "BROKER_LISTEN": "0.0.0.0:1",
                "AZURE_CLIENT_SECRET": "canary",
                "AZURE_TENANT_ID": "common",
            },
        )
        assert ended.returncode == 78
        for part in ("BROKER_LISEN", "BROKER_LISTEN", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "BROKER_SCOPES"):
            assert part in ended.stderr
        assert "canary" not in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr

    def test_every_credential_that_cannot_be_used_is_named(self, tmp_path: Path) -> None:
        config = tmp_path / "broker.toml"
        config.write_text(
            "[tokens.graph]\nscope = 'https://graph.microsoft.com/.default'\n"
            "[identities.default]\ntenant = 'contoso.com'\nclient_id = 'x'\nclient_secret_file = 'none'\n"
            "[identities.other]\ntenant = 'contoso.com'\nclient_id = 'x'\ncertificate_file = 'none.pem'\n"
        )
        ended = commands.run("serve", "--config", config)
        assert ended.returncode == 78
        assert "identities.default" in ended.stderr
        assert "identities.other" in ended.stderr
        assert ended.stderr.count(f"it was looked for in {tmp_path}") == 2

    def test_a_port_in_use_is_said(self, identity: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            ended = commands.run("serve", "--listen", address, env=identity)
        assert ended.returncode == 71
        assert address in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_its_end_does_not_wait_for_the_authority(self, identity: dict[str, str], emulator: Emulator) -> None:
        over = threading.Event()
        emulator.enqueue(ScriptedResponse(until=over))
        with commands.running("serve", "--listen", "127.0.0.1:0", until="listening", env=identity) as (process, _):
            assert emulator.wait_for_requests(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0  # the fetch itself would take eight seconds to give up
        over.set()

    def test_a_ca_bundle_that_is_none_is_said(self, identity: dict[str, str], tmp_path: Path) -> None:
        ended = commands.run("serve", env=identity | {"BROKER_CA_BUNDLE": str(tmp_path / "none.pem")})
        assert ended.returncode == 78
        assert "ca_bundle: cannot be used: No such file" in ended.stderr

    @pytest.mark.parametrize("name", ["BROKER_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_a_ca_bundle_without_a_certificate_is_said(
        self, identity: dict[str, str], tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "empty.pem").write_text("nothing")
        del identity["BROKER_CA_BUNDLE"]
        ended = commands.run("check", env=identity | {name: str(tmp_path / "empty.pem")})
        assert ended.returncode == 78
        assert "it holds no PEM certificate" in ended.stderr
        assert name.removeprefix("BROKER_").lower() in ended.stderr.lower()

    @pytest.mark.parametrize(
        "proxy", ["http://user:canary/1@proxy:80", "http://u:canary@h:80x", "socks5h://canary"]
    )
    def test_a_proxy_of_the_environment_that_is_none_is_said_without_it(
        self, identity: dict[str, str], proxy: str
    ) -> None:
        ended = commands.run("check", env=identity | {"HTTPS_PROXY": proxy})
        assert ended.returncode == 78
        assert ended.stderr.startswith("HTTPS_PROXY: must be http://HOST:PORT")
        assert "canary" not in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_the_environments_proxy_is_used_and_told_and_no_proxy_obeyed(self, identity: dict[str, str]) -> None:
        env = identity | {"https_proxy": "user:canary@127.0.0.1:1", "NO_PROXY": "localhost"}
        with commands.running("serve", "--listen", "127.0.0.1:0", until="listening", env=env) as (_, said):
            assert "proxy=127.0.0.1:1" in said
            assert "canary" not in said
            assert get(said.rpartition("url=")[2].strip(), "/token")[0] == 200
        del env["NO_PROXY"]
        checked = commands.run("check", env=env)
        assert "proxy could not connect" in checked.stdout

    def test_what_may_surprise_is_logged_at_start(self, identity: dict[str, str], tmp_path: Path) -> None:
        config = tmp_path / "broker.toml"
        config.write_text(
            "[identities.default]\ntenant = 'organizations'\nclient_id = 'a'\nclient_secret = 's'\n"
            "[identities.machine]\ntenant = 'contoso.com'\nclient_id = 'a'\nmanaged_identity = 'system'\n"
        )
        env = identity | {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "https://localhost:1"}
        arguments = ("serve", "--config", config, "--listen", "127.0.0.1:0")
        with commands.running(*arguments, until="listening", env=env) as (_, said):
            assert "managed_identity_by=AZURE_POD_IDENTITY_AUTHORITY_HOST" in said
            assert 'ignored="AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET"' in said
            assert "WARNING identities.default: MSAL calls `organizations` unreliable" in said


FILL = {
    "Enter_the_Tenant_Name_Here": TENANT.domains[0],
    "your_client_id": CLIENT_ID,
    "The secret generated by AAD during your confidential app registration": SECRET,
    "[Enter here the tenantID or domain name for your Azure AD tenant]": TENANT.id,
    "[Enter here the ClientId for your application]": CLIENT_ID,
    "[Enter here a client secret for your application]": SECRET,
}
THUMBPRINT = "790E... The thumbprint generated by AAD when you upload your public cert"


class TestMicrosoftsSampleFiles:
    @pytest.mark.parametrize("name", ["python-secret", "python-certificate", "dotnet-secret", "dotnet-azuread"])
    def test_with_only_the_placeholders_filled_in_it_gets_a_token(
        self, upstream: dict[str, str], emulator: Emulator, tmp_path: Path, name: str
    ) -> None:
        text = (SAMPLES / f"{name}.json").read_text()
        for placeholder, value in {**FILL, THUMBPRINT: keys.thumbprint()}.items():
            text = text.replace(placeholder, value)
        (tmp_path / "server.pem").write_bytes(keys.key_pem())
        config = tmp_path / "sample.json"
        config.write_text(text)
        # The flat .NET sample says in its code which scope it wants.
        scopes = {"BROKER_SCOPES": "https://graph.microsoft.com/.default"} if name == "dotnet-secret" else {}
        checked = commands.run("check", "--config", config, env=upstream | scopes)
        assert (checked.returncode, checked.stderr) == (0, "")
        [seen] = [one for one in emulator.take_requests() if one.kind == "token"]
        assert seen.status == 200
        assert seen.authentication == ("private_key_jwt" if "certificate" in name else "client_secret_post")

    @pytest.mark.parametrize("name", ["python-secret", "python-certificate", "dotnet-secret", "dotnet-azuread"])
    def test_with_placeholders_left_in_it_is_refused_by_name(self, upstream: dict[str, str], name: str) -> None:
        ended = commands.run("serve", "--config", SAMPLES / f"{name}.json", env=upstream)
        assert ended.returncode == 78
        expected = {
            "python-secret": ("authority", "client_id", "secret"),
            "python-certificate": ("authority", "client_id", "thumbprint"),
            "dotnet-secret": ("Tenant", "ClientId", "ClientSecret, CertificateName"),
            "dotnet-azuread": ("AzureAd:TenantId", "AzureAd:ClientId", "AzureAd:ClientCredentials:0"),
        }
        for key in expected[name]:
            assert f"{key}: " in ended.stderr


class TestCheck:
    def test_it_tells_of_each_token_but_never_the_token(self, identity: dict[str, str]) -> None:
        scopes = "https://graph.microsoft.com/.default, https://vault.azure.net/.default"
        checked = commands.run("check", env=identity | {"BROKER_SCOPES": scopes})
        assert checked.returncode == 0
        lines = [re.split(r"\s{2,}", line) for line in checked.stdout.splitlines()]
        assert ["default", "ClientSecret", "-", "ok"] in lines
        graph = next(line for line in lines if line[0] == "graph.microsoft.com")
        assert graph[1:6] == [
            "default",
            TENANT.domains[0],
            "https://graph.microsoft.com/.default",
            "https://graph.microsoft.com",
            "User.Read.All,Mail.Send",
        ]
        assert graph[7] == "ok"
        assert "eyJ" not in checked.stdout + checked.stderr
        assert SECRET not in checked.stdout + checked.stderr

    def test_what_fails_is_told_by_code_and_status(self, identity: dict[str, str]) -> None:
        checked = commands.run("check", env=identity | {"AZURE_CLIENT_SECRET": "canary"})
        assert checked.returncode == 1
        assert "AADSTS7000215" in checked.stdout
        assert "canary" not in checked.stdout + checked.stderr

    def test_an_expired_certificate_is_told(self, upstream: dict[str, str], tmp_path: Path) -> None:
        pem = tmp_path / "expired.pem"
        pem.write_bytes(keys.key_pem(keys.EXPIRED) + keys.certificate_pem(keys.EXPIRED))
        checked = commands.run(
            "check",
            env=upstream
            | {
                "AZURE_TENANT_ID": TENANT.id,
                "AZURE_CLIENT_ID": CLIENT_ID,
                "AZURE_CLIENT_CERTIFICATE_PATH": str(pem),
                "BROKER_SCOPES": "https://graph.microsoft.com/.default",
            },
        )
        assert checked.returncode == 1
        assert re.search(r"default +ClientCertificate +20\S+Z +expired", checked.stdout)
        assert "AADSTS700027" in checked.stdout

    def test_a_configuration_error_is_78(self) -> None:
        assert commands.run("check").returncode == 78

    def test_what_the_log_of_serve_would_warn_of_is_told(self, identity: dict[str, str]) -> None:
        checked = commands.run("check", env=identity | {"AZURE_TENANT_ID": "organizations"})
        assert checked.returncode == 0
        assert "organizations" in checked.stderr


class TestDemoAndEmulator:
    def test_the_demo_needs_nothing(self) -> None:
        with commands.running("demo", "--listen", "127.0.0.1:0", until="Ctrl-C") as (process, said):
            url = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert url is not None
            status, body = get(url[0], "/token")
            assert status == 200
            assert json.loads(body)["scope"] == "https://graph.microsoft.com/.default"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0

    def test_the_demo_ignores_a_users_own_configuration(self) -> None:
        env = {"BROKER_CONFIG": "/nonexistent", "AZURE_TENANT_ID": "x", "HTTPS_PROXY": "http://127.0.0.1:1"}
        with commands.running("demo", "--listen", "127.0.0.1:0", until="Ctrl-C", env=env) as (_, said):
            url = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert url is not None
            assert get(url[0], "/token")[0] == 200

    @pytest.mark.parametrize("command", ["demo", "emulator"])
    @pytest.mark.parametrize("address", ["unix:/tmp/x.sock", "10.0.0.1:0", "nonsense"])
    def test_they_listen_on_loopback_ports_only(self, command: str, address: str) -> None:
        ended = commands.run(command, "--listen", address)
        assert ended.returncode == 78
        assert "Traceback" not in ended.stderr

    def test_the_demo_says_that_its_port_is_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ended = commands.run("demo", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        assert ended.returncode == 71
        assert "in use" in ended.stderr

    def test_the_emulators_lines_are_the_environment_a_broker_needs(self, tmp_path: Path) -> None:
        pem = tmp_path / "certificate.pem"
        pem.write_bytes(keys.certificate_pem())
        with commands.running(
            "emulator", "--directory", tmp_path, "--certificate", pem, until="EMULATOR_CONTROL_TOKEN"
        ) as (_, said):
            env = dict(line.split("=", 1) for line in said.splitlines() if re.match(r"[A-Z_]+=", line))
            assert commands.run("check", env=env).returncode == 0
            del env["AZURE_CLIENT_SECRET"]
            (tmp_path / "app.pem").write_bytes(keys.key_pem() + keys.certificate_pem())
            certificate = {"AZURE_CLIENT_CERTIFICATE_PATH": str(tmp_path / "app.pem")}
            assert commands.run("check", env=env | certificate).returncode == 0
            with urllib3.PoolManager(ca_certs=env["BROKER_CA_BUNDLE"]) as pool:
                minted = pool.request(
                    "POST",
                    f"https://{env['BROKER_AUTHORITY_HOST']}/emulator/assertion",
                    json={"subject": SUBJECT},
                    headers={"Authorization": f"Bearer {env['EMULATOR_CONTROL_TOKEN']}"},
                )
            (tmp_path / "assertion").write_text(minted.json()["assertion"])
            assertion = {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "assertion")}
            assert commands.run("check", env=env | assertion).returncode == 0
            config = tmp_path / "managed.toml"
            config.write_text(
                f"[identities.default]\ntenant = '{env['AZURE_TENANT_ID']}'\n"
                f"client_id = '{env['AZURE_CLIENT_ID']}'\nmanaged_identity = 'system'\n"
            )
            assert commands.run("check", "--config", config, env=env).returncode == 0

    def test_a_certificate_file_that_is_none_is_said(self, tmp_path: Path) -> None:
        ended = commands.run("emulator", "--certificate", tmp_path / "none.pem")
        assert ended.returncode == 71
        assert "none.pem" in ended.stderr


class TestClients:
    def test_no_broker(self) -> None:
        assert commands.run("healthcheck", "--url", "http://127.0.0.1:1").returncode == 1
        ended = commands.run("token", "--url", "http://127.0.0.1:1")
        assert ended.returncode == 1
        assert "no broker answers" in ended.stderr

    def test_healthcheck_imports_nothing_but_the_standard_library(self) -> None:
        probe = (
            "import sys\nfrom app.cli import main\n"
            "assert main(['healthcheck', '--url', 'http://127.0.0.1:1']) == 1\n"
            "names = {name.partition('.')[0] for name in sys.modules}\n"
            "print(sorted(name for name in names - set(sys.stdlib_module_names) if not name.startswith('_')))"
        )
        ended = subprocess.run(  # noqa: S603 - our own code
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"sys = __import__('sys'); sys.path.insert(0, {str(Path.cwd())!r})\n{probe}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.stdout.strip() == "['app']", ended.stderr

    def test_an_outage_in_the_middle_of_a_check(self, identity: dict[str, str], emulator: Emulator) -> None:
        emulator.enqueue(ScriptedResponse(drop=True))
        checked = commands.run("check", env=identity)
        assert checked.returncode == 1
        assert "cannot be reached" in checked.stdout


@pytest.mark.parametrize("command", ["openapi", "check"])
def test_a_reader_that_has_read_enough_sees_no_traceback(command: str, identity: dict[str, str]) -> None:
    """Of `openapi`, more than fits into a buffer; of `check`, less."""
    with commands.started(command, env=identity) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 1


def test_the_openapi_document_is_printed() -> None:
    document = json.loads(commands.run("openapi").stdout)
    assert document["openapi"].startswith("3.")
    assert "/token/{name}" in document["paths"]


def test_python_m_app_is_the_same_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "healthcheck" in ended.stdout
