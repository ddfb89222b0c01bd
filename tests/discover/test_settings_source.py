"""Settings that a service reads from its environment, from its source code."""

from __future__ import annotations

from pathlib import Path

import pytest

from luckyhit.discover.evidence import Setting
from luckyhit.discover.sources.settings import settings_of, source_files


def read(folder: Path, source: str, name: str = "service.py") -> dict[str, Setting]:
    (folder / name).write_text(source)
    return {setting.name: setting for setting in settings_of(source_files(folder))}


@pytest.mark.parametrize(
    ("source", "default"),
    [
        ('import os\nx = os.environ["CACHE_TTL"]', None),
        ('import os\nx = int(os.environ.get("CACHE_TTL", "60"))', "60"),
        ('from os import getenv\nx = getenv("CACHE_TTL", 60)', "60"),
        ('x = env.int("CACHE_TTL", default=60)', "60"),
        ('x = config("CACHE_TTL", cast=int, default=60)', "60"),
        ('class S(BaseSettings):\n  model_config = SettingsConfigDict(env_prefix="cache_")\n  ttl: int = 60', "60"),
        ('class S(BaseSettings):\n  ttl: int = Field(60, alias="CACHE_TTL")', "60"),
    ],
)
def test_name_and_default_are_read(tmp_path: Path, source: str, default: str | None) -> None:
    setting = read(tmp_path, source)["CACHE_TTL"]
    assert setting.default == default and setting.about_cache
    assert setting.where.startswith("service.py:")
    assert setting.kind == ("number" if default else "text")


@pytest.mark.parametrize(
    ("helper", "call", "default", "choices"),
    [
        ("def number(name, default): return float(os.environ.get(name, default))", 'number("CACHE_TTL", 60)', "60", ()),
        ("def need(name): return os.environ[name]", 'need("CACHE_TTL")', None, ()),
        ("def text(name, default=''): return os.getenv(name) or default", 'text("CACHE_TTL", default="7")', "7", ()),
        (
            "def choice(name, default, *others): return os.environ.get(name, default)",
            'choice("CACHE_TTL", "short", "long")', "short", ("short", "long"),
        ),
    ],
)  # fmt: skip
def test_helpers_that_read_the_environment_are_followed(
    helper: str, call: str, default: str | None, choices: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "helpers.py").write_text(f"import os\n{helper}\n")
    setting = read(tmp_path, f"from helpers import *\nx = {call}")["CACHE_TTL"]
    assert (setting.default, setting.choices) == (default, choices)


@pytest.mark.parametrize(
    ("default", "kind"),
    [("1500ms", "duration"), ("30s", "duration"), ("5m", "duration"), ("1.5 h", "duration"), ("60", "number"),
     ("5mm", "text"), ("s", "text"), ("-1s", "text")],
)  # fmt: skip
def test_a_time_with_its_unit_is_a_kind_of_its_own(default: str, kind: str, tmp_path: Path) -> None:
    settings = read(tmp_path, f"import os\nx = os.environ.get('KEEP', '{default}')")
    assert settings["KEEP"].kind == kind


def test_a_prefix_in_a_mapping_is_read(tmp_path: Path) -> None:
    source = 'class S(BaseSettings):\n  model_config = {"env_prefix": "cache_"}\n  ttl: int = 60'
    assert read(tmp_path, source)["CACHE_TTL"].default == "60"


def test_settings_inside_of_settings_are_read(tmp_path: Path) -> None:
    source = """
class Cache(BaseModel):
  url: str = "redis://localhost"
  ttl: int = 60
class S(BaseSettings):
  model_config = SettingsConfigDict(env_nested_delimiter="__", env_prefix="SHOP_")
  cache: Cache = Cache()
"""
    settings = read(tmp_path, source)
    assert settings["SHOP_CACHE__TTL"].default == "60" and settings["SHOP_CACHE__URL"].kind == "url"


def test_shell_defaults_are_read(tmp_path: Path) -> None:
    setting = read(tmp_path, 'exec x --ttl "${STALE_S:-30}" # ${NOT_THIS}\n', "run.sh")
    assert setting["STALE_S"].default == "30" and "NOT_THIS" not in setting


def test_installed_packages_broken_and_large_files_are_skipped(tmp_path: Path) -> None:
    for folder in ("node_modules", "my-env"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text('import os\nos.environ["CACHE_OTHER"]')
    (tmp_path / "my-env" / "pyvenv.cfg").touch()
    (tmp_path / "broken.py").write_text("def (:")
    (tmp_path / "large.py").write_text('import os\nos.environ["CACHE_LARGE"]\n' + "#" * 1_100_000)
    assert set(read(tmp_path, 'import os\nos.environ["SET"] = "1"\nos.environ["A_NAME"]')) == {"A_NAME"}
