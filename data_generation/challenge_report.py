"""The one page that a challenge ends with: self-contained HTML, and the same numbers as JSON."""

import base64
import dataclasses
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from data_generation.challenge import CLEAN, WEB, Rate, Scored, by_attribute, contact_sheet, missed, rate
from facecheck.files import write_atomically
from facecheck.model.config import ModelConfig

SHEET, SHOWN = 48, 24
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#1c2330;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:left;border-bottom:1px solid #d5dae3}
td.n,th.n{text-align:right}img{max-width:100%;image-rendering:auto}code,pre{background:#f1f3f7;padding:.15rem .3rem}
pre{padding:.8rem;overflow:auto}.note{color:#4a5568}h1{line-height:1.2}
@media(prefers-color-scheme:dark){body{background:#12161d;color:#e6eaf1}td,th{border-color:#333c4b}
code,pre{background:#1d232d}.note{color:#a9b4c4}}
"""


def write_report(
    out: Path, scored: Sequence[Scored], attributes: Mapping[str, Mapping[str, str]], attempted: int,
    judge: ModelConfig, commands: str,
) -> Path:  # fmt: skip
    """Write challenge.html and challenge.json into `out`.

    Args:
        scored: accepted images. attributes: prompt id -> attributes. attempted: images before the gate.
        judge: the detector's config. commands: what retrains with these images.
    """
    rates = {tier: rate(tier, scored, tier) for tier in (CLEAN, WEB)}
    groups, slipped = by_attribute(scored, attributes), missed(scored)
    write_atomically(out / "challenge.json", _json(scored, rates, groups, slipped, attempted, judge).encode())
    page = _page(out, scored, rates, groups, slipped, attempted, judge, commands)
    write_atomically(out / "challenge.html", page.encode())
    return out / "challenge.html"


def _rate_values(found: Rate) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "caught": found.caught, "interval": found.interval}


def _json(
    scored: Sequence[Scored], rates: Mapping[str, Rate], groups: Sequence[Rate], slipped: Sequence[Scored],
    attempted: int, judge: ModelConfig,
) -> str:  # fmt: skip
    values = {
        "generator": scored[0].row.recipe.model, "revision": scored[0].row.recipe.revision,
        "detector": {"name": judge.name, "version": judge.version, "sha256": judge.sha256},
        "attempted": attempted, "accepted": len(scored),
        "deliveries": {name: _rate_values(found) for name, found in rates.items()},
        "attributes": [_rate_values(found) for found in groups],
        "missed": [{"id": each.row.id, "p_fake": each.p_fake(), "prompt": each.row.recipe.prompt} for each in slipped],
        "scores": {each.row.id: each.p_fake() for each in scored},
    }  # fmt: skip
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def headline(found: Rate) -> str:
    """One sentence."""
    low, high = found.interval
    return f"{found.caught:.0%} of {found.images} images are called fake (95 %: {low:.0%} to {high:.0%})"


def _page(
    out: Path, scored: Sequence[Scored], rates: Mapping[str, Rate], groups: Sequence[Rate], slipped: Sequence[Scored],
    attempted: int, judge: ModelConfig, commands: str,
) -> str:  # fmt: skip
    recipe = scored[0].row.recipe
    parts = [
        f"<h1>How much of {html.escape(recipe.model)} does {html.escape(judge.name)} {html.escape(judge.version)} "
        "catch?</h1>",
        f"<p><strong>{headline(rates[CLEAN])}</strong>, and {rates[WEB].caught:.0%} after the web's JPEG q60.</p>",
        f"<p class=note>{attempted} images were made ({_how(recipe)}); {len(scored)} passed the gate, which never asks "
        "the detector for its opinion.</p>",
        _table(list(rates.values()), "tier"),
        _attributes(groups),
        f"<h2>What slips through</h2><p>{len(slipped)} of {len(scored)} are not called fake"
        f"{', the least suspicious first' if slipped else ''}.</p>",
        _slipped(slipped),
        "<h2>The images</h2>",
        _sheet("Missed", slipped, out),
        _sheet("Called fake", [each for each in scored if each.is_caught], out),
        f"<h2>Teach the detector</h2><pre>{html.escape(commands)}</pre>",
    ]
    title = html.escape(f"{recipe.model} against {judge.name}")
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style>{''.join(parts)}</html>\n"
    )


def _how(recipe: Any) -> str:
    steps = f", {recipe.steps} steps" if recipe.steps else ""
    return html.escape(f"{recipe.mode}, {recipe.width}x{recipe.height}{steps}, revision {recipe.revision[:20]}")


def _table(rates: Sequence[Rate], first: str) -> str:
    head = "".join(
        f"<th class=n>{name}" for name in ("images", "called fake", "95 %", "uncertain", "missed", "no face")
    )
    return f"<table><tr><th>{first}{head}{''.join(map(_line, rates))}</table>"


def _line(found: Rate) -> str:
    low, high = found.interval
    values = (
        found.images,
        f"{found.caught:.0%}",
        f"{low:.0%} to {high:.0%}",
        found.uncertain,
        found.real,
        found.no_face,
    )
    return f"<tr><td>{html.escape(found.name)}" + "".join(f"<td class=n>{value}" for value in values)


def _attributes(groups: Sequence[Rate]) -> str:
    if not groups:
        return "<p class=note>No attribute can be told apart: too few images, or a model that reads no prompt.</p>"
    return "<h2>By attribute, the least caught first</h2>" + _table(groups[:SHOWN], "attribute")


def _slipped(slipped: Sequence[Scored]) -> str:
    lines = "".join(
        f"<tr><td class=n>{each.p_fake():.2f}<td>{html.escape(each.row.recipe.prompt)}<td><code>{each.row.id}</code>"
        for each in slipped[:SHOWN]
        if each.row.recipe.prompt
    )
    return f"<table><tr><th class=n>p_fake<th>prompt<th>image{lines}</table>" if lines else ""


def _sheet(title: str, scored: Sequence[Scored], folder: Path) -> str:
    """A contact sheet of the first images under a title; nothing where there are none."""
    if not scored:
        return ""
    stream = io.BytesIO()
    Image.fromarray(contact_sheet(scored[:SHEET], folder)).save(stream, "JPEG", quality=88)
    data = base64.b64encode(stream.getvalue()).decode()
    shown = f"{min(len(scored), SHEET)} of {len(scored)}"
    return f'<h3>{title} ({shown})</h3><img alt="{shown} images" src="data:image/jpeg;base64,{data}">'
