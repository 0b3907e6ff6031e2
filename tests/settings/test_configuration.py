"""The configuration: who wins, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvery.catalog.pip_settings import DEFAULT_INDEX_URL, Machine, SourceWords
from venvery.config import CommandOptions, Configuration, Limits, load_configuration, this_machine
from venvery.errors import BadConfiguration
from venvery.model.names import normalize
from venvery.model.policy import ProjectPolicy
from venvery.model.sources import NetworkSettings, is_allowed, redact, sources_for, without_credentials

MakeMachine = Callable[..., Machine]


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that writes a configuration file, in a folder of its own."""

    def write(text: str) -> Path:
        (tmp_path / "etc").mkdir(exist_ok=True)
        file = tmp_path / "etc" / "venvery.toml"
        file.write_text(text)
        return file

    return write


Config = Callable[[str], Path]
SOURCES = '[[sources]]\nname = "own"\nurl = "https://own.example/simple/"\n[[sources]]\nname = "w"\npath = "w"\n'


def locations(configuration: Configuration) -> list[str]:
    return [source.location for source in configuration.sources if source.kind != "hosted"]


def with_words(**words: object) -> CommandOptions:
    return CommandOptions(words=SourceWords(**words))  # type: ignore[arg-type]


def test_without_anything_said(make_machine: MakeMachine, tmp_path: Path) -> None:
    found = load_configuration(make_machine())
    assert locations(found) == [DEFAULT_INDEX_URL]
    assert (found.host, found.port, found.freshness_seconds, found.union) == ("127.0.0.1", 8000, 600.0, "merge")
    assert found.data == tmp_path / "home/.local/share/venvery"
    assert (found.network, found.limits, found.allowed_urls) == (NetworkSettings(), Limits(), ())


def test_this_machine_can_be_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    machine = this_machine()
    assert (machine.folder, machine.home) == (tmp_path, tmp_path / "me")
    assert machine.prefix.is_dir()


def test_everything_said_in_a_file(make_machine: MakeMachine, config: Config, tmp_path: Path) -> None:
    (tmp_path / "etc/w").mkdir(parents=True)
    (tmp_path / "etc/w/a-1-py3-none-any.whl").touch()
    (tmp_path / "etc/t/a").mkdir(parents=True)
    (tmp_path / "etc/guessed/a").mkdir(parents=True)
    file = config(
        'data = "d"\nhost = "0.0.0.0"\nport = 0\nfreshness_seconds = 0.5\nunion = "merge"\n'
        'allowed-urls = ["https://files.example/"]\n'
        f'{SOURCES}[[sources]]\nname = "t"\nurl = "{(tmp_path / "etc/t").as_uri()}"\n'
        '[[sources]]\nname = "g"\npath = "guessed"\n'
        '[[sources]]\nname = "l"\nkind = "links"\nurl = "https://l.example/page/"\n'
        "[network]\nconnect-timeout-seconds = 1\nread-timeout-seconds = 2.5\nmax-connections = 3\nretries = 0\n"
        'ca-file = "ca.pem"\nproxy = "http://proxy.example:3128"\ntrusted-hosts = ["h"]\n'
        "[limits]\nrequirements = 5\nsolver-seconds = 2\n"
    )
    found = load_configuration(make_machine(), file=file)
    assert found.data == tmp_path / "etc/d"
    assert (found.host, found.port, found.freshness_seconds, found.union) == ("0.0.0.0", 0, 0.5, "merge")
    assert [
        (source.name, source.kind, source.location) for source in found.sources if source.kind != "hosted"
    ] == [
        ("own", "index", "https://own.example/simple"),
        ("w", "flat", str(tmp_path / "etc/w")),
        ("t", "tree", str(tmp_path / "etc/t")),
        ("g", "tree", str(tmp_path / "etc/guessed")),
        ("l", "links", "https://l.example/page/"),
    ]
    assert found.network == NetworkSettings(
        1, 2.5, 3, 0, str(tmp_path / "etc/ca.pem"), None, "http://proxy.example:3128", ("h",)
    )
    assert found.limits == Limits(requirements=5, solver_seconds=2)
    assert found.allowed_urls == ("https://files.example/",)


def test_the_closer_word_wins(make_machine: MakeMachine, config: Config, tmp_path: Path) -> None:
    (tmp_path / "etc/w").mkdir(parents=True)
    file = config(f'data = "d"\nport = 1\n{SOURCES}')
    environ = {
        "PIP_INDEX_URL": "https://pip.example",
        "PIP_EXTRA_INDEX_URL": "https://extra.example",
        "VENVERY_DATA": str(tmp_path / "env-data"),
    }
    machine = make_machine(**environ)
    assert locations(load_configuration(machine)) == ["https://pip.example", "https://extra.example"]
    assert load_configuration(machine).data == tmp_path / "env-data"
    both = make_machine(**environ, VENVERY_INDEX_URL="https://venvery.example/")
    assert locations(load_configuration(both)) == ["https://venvery.example"]
    filed = load_configuration(both, file=file)
    assert locations(filed) == ["https://own.example/simple", str(tmp_path / "etc/w")]
    assert (filed.union, filed.data, filed.port) == ("priority", tmp_path / "etc/d", 1)
    options = CommandOptions(
        data=Path("here"), host="h", port=0, words=SourceWords(index_url="https://option.example")
    )
    closest = load_configuration(both, file=file, options=options)
    assert locations(closest) == ["https://option.example", str(tmp_path / "etc/w")]
    assert (closest.data, closest.host, closest.port) == (tmp_path / "here", "h", 0)


def test_options_add_up_with_pips_settings_as_in_pip(make_machine: MakeMachine, tmp_path: Path) -> None:
    for folder in ("w1", "w2"):
        (tmp_path / folder).mkdir()
    machine = make_machine(PIP_INDEX_URL="https://pip.example", PIP_FIND_LINKS=str(tmp_path / "w1"))
    w1, w2 = str(tmp_path / "w1"), str(tmp_path / "w2")
    added = load_configuration(
        machine, options=with_words(find_links=(w2,), extra_index_urls=("https://x.example",))
    )
    assert locations(added) == [w1, w2, "https://pip.example", "https://x.example"]
    assert locations(load_configuration(machine, options=with_words(no_index=True))) == [w1]
    replaced = load_configuration(machine, options=with_words(index_url="https://o.example"))
    assert locations(replaced) == [w1, "https://o.example"]


def test_options_come_before_a_files_sources(make_machine: MakeMachine, config: Config, tmp_path: Path) -> None:
    for folder in ("etc/w", "w2"):
        (tmp_path / folder).mkdir(parents=True)
    file, machine = config(SOURCES), make_machine()
    own, w, w2 = "https://own.example/simple", str(tmp_path / "etc/w"), str(tmp_path / "w2")

    def chosen(**words: object) -> list[str]:
        return locations(load_configuration(machine, file=file, options=with_words(**words)))

    assert chosen(find_links=("w2",)) == [w2, own, w]
    assert chosen(extra_index_urls=("https://x.example", "https://y.example")) == [
        "https://x.example",
        "https://y.example",
        own,
        w,
    ]
    assert chosen(no_index=True) == [w]
    assert chosen(no_index=True, find_links=("w2",)) == [w2, w]
    assert chosen(extra_index_urls=("https://own.example/simple/",)) == [own, w]


def test_what_pip_knows_of_the_way_is_used(make_machine: MakeMachine, config: Config, tmp_path: Path) -> None:
    machine = make_machine(PIP_CERT="ca.pem", PIP_TIMEOUT="3", PIP_PROXY="http://p.example", PIP_RETRIES="0")
    assert load_configuration(machine).network == NetworkSettings(
        3.0, 3.0, 32, 0, str(tmp_path / "ca.pem"), None, "http://p.example"
    )
    file = config("[network]\nretries = 9\n")
    assert load_configuration(machine, file=file).network.retries == 9


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {"XDG_DATA_HOME": "/srv/data"}, "/srv/data/venvery"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "home/.local/share/venvery"),
        ("darwin", {}, "home/Library/Application Support/venvery"),
        ("win32", {}, "home/AppData/Local/venvery"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/venvery"),
        ("linux", {"VENVERY_DATA": "here"}, "here"),
    ],
)
def test_the_data_folder_of_each_platform(
    make_machine: MakeMachine, tmp_path: Path, platform: str, environ: dict[str, str], folder: str
) -> None:
    assert load_configuration(make_machine(platform, **environ)).data == tmp_path / folder


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("hots = 'x'", "venvery.toml: hots is not a key that venvery knows", "did you mean host?"),
        ("[network]\nretry = 1", "venvery.toml: network.retry is not a key", "did you mean retries?"),
        ("[limits]\nzzz = 1", "limits.zzz is not a key", "keys here: body-bytes, "),
        ("[[sources]]\nnam = 'x'", r"sources\[0\].nam is not a key", "did you mean name?"),
        ("host = 3", "host must be a text", None),
        ("host = ''", "host must be a text", None),
        ("port = 65536", "port must be between 0 and 65535", None),
        ("port = true", "port must be a whole number", None),
        ("port = 1.5", "port must be a whole number", None),
        ("freshness-seconds = -1", "freshness-seconds must be a number", None),
        ("freshness-seconds = inf", "freshness-seconds must be a number", None),
        ("union = 'both'", 'union must be "merge" or "priority"', None),
        ("sources = 'x'", "sources must be a list of tables", None),
        ("network = 1", "network must be a table", None),
        ("[network]\nmax-connections = 0", "network.max-connections must be at least 1", None),
        ("[[sources]]\nurl = 'https://a.example'", r"sources\[0\].name is missing", None),
        ("[[sources]]\nname = 'a'", r"sources\[0\].url is missing", "a source has either a url or a path"),
        ("[[sources]]\nname = 'a'\nurl = 'https://a'\npath = 'b'", "and path exclude each other", None),
        ("[[sources]]\nname = 'a'\npath = 'missing'", r"sources\[0\].path is not a folder", None),
        (
            "[[sources]]\nname = 'a'\nurl = 'ftp://u:pw@a.example'",
            r"'ftp://\*\*\*\*@a.example' is not a URL",
            None,
        ),
        ("[[sources]]\nname = 'a'\nurl = 'https://a'\nkind = 'flat'", "flat needs a path", None),
        ("[[sources]]\nname = 'a'\npath = '.'\nkind = 'index'", "index needs an http or https URL", None),
        ("[[sources]]\nname = 'a'\npath = '.'\nkind = 'folder'", "kind must be one of index, tree", None),
        (
            SOURCES.replace('path = "w"', 'path = "."').replace('"w"', '"own"'),
            r"\[1\].name is taken already",
            None,
        ),
        ("allowed-urls = ['https://files.example']", "is not a URL prefix", "as in https://files.example/"),
        ("allowed-urls = ['https://me:pw@files.example/']", "must not hold credentials", None),
        ("allowed-urls = [1]", "allowed-urls must be a list of texts", None),
        ("host = ", "venvery.toml is not TOML: ", None),
    ],
)
def test_a_mistake_is_named_with_file_and_key(
    make_machine: MakeMachine, config: Config, text: str, message: str, hint: str | None
) -> None:
    with pytest.raises(BadConfiguration, match=message) as caught:
        load_configuration(make_machine(), file=config(text))
    assert "pw" not in str(caught.value)
    if hint:
        assert (caught.value.hint or "").startswith(hint)


def test_a_file_that_is_not_there_is_an_error(make_machine: MakeMachine) -> None:
    with pytest.raises(BadConfiguration, match=r"missing\.toml cannot be read: No such file"):
        load_configuration(make_machine(), file=Path("missing.toml"))


def test_credentials_are_hidden() -> None:
    text = "from https://me:p@ss@a.example/simple and http://token@b.example?x=1&api_key=abc&y=2"
    assert redact(text) == "from https://****@a.example/simple and http://****@b.example?x=1&api_key=****&y=2"
    assert without_credentials("https://me:p@ss@a.example/x@y") == "https://a.example/x@y"


@given(st.text("ab:@%.", min_size=1), st.text("ab/@?", max_size=8))
def test_no_user_name_or_password_is_ever_shown(userinfo: str, path: str) -> None:
    shown = redact(f"https://{userinfo}@host.example/{path}")
    assert shown == f"https://****@host.example/{path}"


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://files.example/w/a-1-py3-none-any.whl", True),
        ("https://files.example/w/a.whl?x=../y#sha256=0", True),
        ("https://files.example/wheels.whl", False),
        ("https://files.example/w/../secret.whl", False),
        ("https://files.example/w/%2E%2e/secret.whl", False),
        ("https://files.example/w/..%2fsecret.whl", False),
        ("https://files.example/w/..", False),
        ("https://files.example/w/\\..\\x", False),
        ("https://files.example/w/a\nb", False),
        ("https://files.example@evil.example/w/a.whl", False),
        ("https://files.example.evil.example/w/a.whl", False),
        ("http://files.example/w/a.whl", False),
    ],
)
def test_a_prefix_allows_what_lies_under_it(url: str, fine: bool) -> None:
    assert is_allowed(url, ("https://files.example/w/",)) is fine


def test_a_source_may_be_the_only_one_for_some_names(make_machine: MakeMachine, config: Config) -> None:
    file = config(SOURCES.replace('path = "w"', 'path = "w"\nprojects = ["Acme_*", "tools"]'))
    (file.parent / "w").mkdir()
    sources = load_configuration(make_machine(), file=file).sources
    assert [source.projects for source in sources if source.kind != "hosted"] == [(), ("acme-*", "tools")]
    assert [spec.name for spec in sources_for("acme-web", sources)] == ["w"]
    assert [spec.name for spec in sources_for("django", sources)] == ["hosted", "own"]


def test_the_policy_on_releases(make_machine: MakeMachine, config: Config) -> None:
    text = """[policy]
blocked = ["Evil", "requests == 2.31.0", {release = "urllib3<1.26", reason = "CVE-2020-26137"}]
allowed = ["acme_*", "django<6"]
cool-down = "36 hours"
cool-down-exempt = ["acme-*"]
"""
    policy = load_configuration(make_machine(), file=config(text)).policy
    assert [str(rule) for rule in policy.blocked] == ["evil", "requests==2.31.0", "urllib3<1.26"]
    assert policy.blocked[2].reason == "CVE-2020-26137"
    assert policy.of(normalize("acme-web")) == ProjectPolicy(allowed=("",))
    assert policy.of(normalize("django")) == ProjectPolicy(allowed=("<6",), cool_down=timedelta(hours=36))
    assert not load_configuration(make_machine()).policy
    assert load_configuration(make_machine(), file=config("policy.cool-down = 7")).policy.cool_down == timedelta(7)
    assert load_configuration(make_machine(), file=config("policy.cool-down = 0")).policy.cool_down is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('blocked = ["requests=2.31.0"]', "policy.blocked is unusable: 'requests=2.31.0' names no release"),
        ('blocked = "evil"', "policy.blocked must be a list of releases"),
        ('blocked = [{release = "evil", why = "x"}]', "a rule has a release and perhaps a reason"),
        ('cool-down = "soon"', "policy.cool-down is unusable: 'soon' is not a span of time"),
        ('cool-down-exempt = ["-x-"]', "'-x-' is not a project name"),
        ("cooldown = 7", "policy.cooldown is not a key that venvery knows"),
    ],
)
def test_a_policy_that_says_nothing_clear_is_refused(
    make_machine: MakeMachine, config: Config, text: str, said: str
) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load_configuration(make_machine(), file=config("[policy]\n" + text))
    assert said in str(caught.value)
