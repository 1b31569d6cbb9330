from pathlib import Path

import pytest

from segmentation.config import VARIABLES, Config, names
from segmentation.errors import SettingsError
from segmentation.settings import with_values


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Config.from_environment({}) == Config()
    assert Config.from_environment({"SEGMATTE_DEVICE": "  "}) == Config()


def test_variables_replace_the_defaults_in_their_types() -> None:
    config = Config.from_environment(
        {
            "SEGMATTE_MODELS_DIR": "/elsewhere",
            "SEGMATTE_MAX_PICTURES": "7",
            "SEGMATTE_GPU_BATCH": "1",
            "SEGMATTE_ACCEPT_LICENCES": "bria-rmbg-1.4, cc-by-nc-4.0",
        }
    )
    assert config.models_folder == Path("/elsewhere")
    assert config.max_pictures == 7
    assert config.gpu_batch == 1
    assert config.accepted == {"bria-rmbg-1.4", "cc-by-nc-4.0"}


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "many", "9" * 30, "²"])
def test_a_cap_must_be_a_whole_number_above_zero(text: str) -> None:
    with pytest.raises(SettingsError, match="SEGMATTE_MAX_PIXELS must be a whole number above 0"):
        Config.from_environment({"SEGMATTE_MAX_PIXELS": text})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("true", "1", "Yes", "ON", "", "  ")),  # empty is the default, which is on
        *((text, False) for text in ("false", "0", "no", "Off", " false ")),
    ],
)
def test_a_switch_is_read_as_people_write_it(text: str, value: bool) -> None:
    assert Config.from_environment({"SEGMATTE_WEB_ADDRESSES": text}).web_addresses is value


@pytest.mark.parametrize("text", ["2", "maybe", "truefalse", "-1", "x" * 1000])
def test_a_switch_that_is_neither_on_nor_off_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=f"SEGMATTE_WEB_ADDRESSES must be true or false, not '{text[:40]}'"):
        Config.from_environment({"SEGMATTE_WEB_ADDRESSES": text})


def test_which_hub_models_visitors_may_name_is_one_of_three() -> None:
    assert Config.from_environment({"SEGMATTE_HUB_MODELS": "off"}).hub_models == "off"
    with pytest.raises(SettingsError, match="SEGMATTE_HUB_MODELS must be one of off, listed, any, not 'all'"):
        Config.from_environment({"SEGMATTE_HUB_MODELS": "all"})


def test_listed_names_are_owners_and_repositories() -> None:
    assert Config(hub_listed="Xenova, briaai/RMBG-2.0").listed == {"xenova", "briaai/rmbg-2.0"}
    with pytest.raises(SettingsError, match=r"SEGMATTE_HUB_LISTED takes owners and owner/name, not 'https://hf\.co/a'"):
        Config.from_environment({"SEGMATTE_HUB_LISTED": "Xenova, https://hf.co/a"})


def test_a_login_is_user_and_password_and_is_not_shown() -> None:
    assert Config().login is None
    config = Config.from_environment({"SEGMATTE_AUTH": "ann:se:cret"})
    assert config.login == ("ann", "se:cret")
    assert "se:cret" not in repr(config)


@pytest.mark.parametrize("text", ["ann", "ann:", ":secret"])
def test_half_a_login_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError, match="SEGMATTE_AUTH must be a user, a colon and a password") as caught:
        Config.from_environment({"SEGMATTE_AUTH": text})
    assert text not in str(caught.value)


def test_a_list_of_names_may_have_spaces_and_empty_parts() -> None:
    assert names(" a, b ,,c,") == ["a", "b", "c"]


def test_every_variable_is_read_by_its_name() -> None:
    defaults = dict(Config())
    for name, variable in VARIABLES.items():
        text = {True: "false", False: "true"}[defaults[name]] if isinstance(defaults[name], bool) else "7"
        text = {"auth": "ann:secret", "hub_models": "any", "doors": "rembg"}.get(name, text)
        config = dict(Config.from_environment({variable: text}))
        assert [field for field in VARIABLES if config[field] != defaults[field]] == [name]


def test_nothing_is_read_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SEGMATTE_QUEUE=7\nqueue=7\n")
    monkeypatch.chdir(tmp_path)
    assert Config.from_environment({}) == Config.from_environment({"queue": "7", "QUEUE": "7"}) == Config()
    assert Config.from_environment({"SEGMATTE_MODELS_FOLDER": "/elsewhere", "segmatte_queue": "7"}) == Config()
    monkeypatch.setenv("SEGMATTE_QUEUE", "7")
    assert Config().queue == 20
    assert Config.from_environment().queue == 7


def test_values_given_in_code_are_checked_as_well() -> None:
    with pytest.raises(SettingsError, match="SEGMATTE_QUEUE must be a whole number above 0, not '0'"):
        with_values(Config(), queue=0)
    with pytest.raises(SettingsError, match="SEGMATTE_MCP would bypass the login of SEGMATTE_AUTH"):
        with_values(Config(auth="ann:secret"), mcp=True)


def test_a_home_folder_may_be_written_short() -> None:
    assert Config.from_environment({"SEGMATTE_ENGINES_DIR": "~/engines"}).engines_folder == Path.home() / "engines"
