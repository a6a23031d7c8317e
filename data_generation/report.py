"""The one page that a challenge, or a lesson, ends with: self-contained HTML, and the same numbers as JSON."""

import base64
import dataclasses
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_generation.challenge import (
    CLEAN,
    ENOUGH,
    WEB,
    Challenge,
    Pixels,
    Rate,
    Scored,
    World,
    by_attribute,
    by_tier,
    contact_sheet,
    headline,
    labels_known,
    missed,
    rate_values,
    summary,
)  # fmt: skip
from data_generation.teach import Lesson
from facecheck.explain.explanation import explain
from facecheck.files import write_atomically
from training.augment import TIERS

SHEET, SHOWN, HARDEST = 48, 24, 10
LONGEST_PROMPT = 160
PORTRAIT_PX = 224
TIER_WORDS = {
    tier: f"{tier}: {f'{size[0]} px, JPEG q{size[1]}' if size else 'as it came'}" for tier, size in TIERS.items()
}
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#1c2330;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:left;border-bottom:1px solid #d5dae3}
td.n,th.n{text-align:right}img{max-width:100%;image-rendering:auto}code,pre{background:#f1f3f7;padding:.15rem .3rem}
pre{padding:.8rem;overflow:auto}.note{color:#4a5568}h1{line-height:1.2}.hard{display:flex;flex-wrap:wrap;gap:1rem}
.hard figure{margin:0;width:17rem}.hard img{width:48%}figcaption{font-size:.85rem;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#12161d;color:#e6eaf1}td,th{border-color:#333c4b}
code,pre{background:#1d232d}.note{color:#a9b4c4}}
"""


def write_report(found: Challenge) -> Path:
    """Write challenge.html and challenge.json into the folder of the images."""
    _write_json(found.folder / "challenge.json", summary(found))
    write_atomically(found.folder / "challenge.html", _page(found).encode())
    return found.folder / "challenge.html"


def write_lesson(lesson: Lesson, out: Path) -> Path:
    """Write taught.html and taught.json into `out`."""
    _write_json(out / "taught.json", {
        "generator": lesson.generator, "model": str(lesson.outcome.model), "refusals": lesson.outcome.refusals,
        "before": {tier: rate_values(each) for tier, each in lesson.before.items()},
        "after": {tier: rate_values(each) for tier, each in lesson.after.items()},
        "world_before": dataclasses.asdict(lesson.world_before), "world_after": dataclasses.asdict(lesson.world_after),
    })  # fmt: skip
    write_atomically(out / "taught.html", _lesson_page(lesson).encode())
    return out / "taught.html"


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


def _html(title: str, parts: Iterable[str]) -> str:
    """A page that loads nothing."""
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>{''.join(parts)}</html>\n"
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """The first column is text, the others are numbers."""
    cells = "".join(f"<th{' class=n' if place else ''}>{html.escape(name)}" for place, name in enumerate(head))
    rows = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if place else ''}>{html.escape(str(value))}" for place, value in enumerate(line))
        for line in lines
    )
    return f"<table><tr>{cells}{rows}</table>"


def _page(found: Challenge) -> str:
    judge, scored, rates = found.judge, found.scored, by_tier(found.scored)
    slipped, hardest = missed(scored), sorted(scored, key=Scored.p_fake)[:HARDEST]
    shown = {each.row.id for each in hardest}
    others = [each for each in scored if each.row.id not in shown]
    named = f"{judge.name} {judge.version}"
    return _html(
        f"{found.generator} against {judge.name}",
        [
            f"<h1>How much of {html.escape(found.generator)} does {html.escape(named)} catch?</h1>",
            f"<p><strong>{headline(rates[CLEAN])}</strong>, and {rates[WEB].caught:.0%} after the web's JPEG q60.</p>",
            _few(len(scored)),
            f"<p class=note>{found.attempted} images were made ({_how(scored[0].row.recipe)}); {len(scored)} passed "
            "the gate, which never asks the detector for its opinion.</p>",
            _known(scored),
            _table(_HEAD, (_line(each, TIER_WORDS[tier]) for tier, each in rates.items())),
            _world(found.world),
            _attributes(by_attribute(scored, found.attributes)),
            _hard(found, hardest),
            f"<h2>What slips through</h2><p>{len(slipped)} of {len(scored)} are not called fake"
            f"{', the least suspicious first' if slipped else ''}.</p>",
            _slipped(slipped),
            "<h2>The other images</h2>" if others else "",
            _sheet("Missed", [each for each in others if not each.is_caught], found.folder),
            _sheet("Called fake", [each for each in others if each.is_caught], found.folder),
            f"<h2>Teach the detector</h2><pre>{html.escape(found.commands)}</pre>",
        ],
    )


def _few(images: int) -> str:
    if images >= ENOUGH:
        return ""
    return f"<p class=note>Fewer than {ENOUGH} images: the interval is what counts, not the share.</p>"


def _how(recipe: Any) -> str:
    steps = f", {recipe.steps} steps" if recipe.steps else ""
    size = f", {recipe.width}x{recipe.height}" if recipe.width else ""
    revision = f", revision {recipe.revision[:20]}" if recipe.revision else ""
    return html.escape(f"{recipe.mode}{size}{steps}{revision}")


def _known(scored: Sequence[Scored]) -> str:
    lines = "".join(f"<li>{count} images: {html.escape(said)}" for said, count in labels_known(scored).items())
    return f"<p class=note>How it is known that they are generated:</p><ul class=note>{lines}</ul>" if lines else ""


_HEAD = ("tier", "images", "called fake", "95 %", "uncertain", "missed", "no face")


def _line(found: Rate, name: str) -> tuple[object, ...]:
    low, high = found.interval
    share = f"{found.caught:.0%}", f"{low:.0%} to {high:.0%}"
    return name, found.images, *share, found.uncertain, found.real, found.no_face


def _world(world: World | None) -> str:
    """The same detector, at the same threshold, on pictures that nobody trained it on."""
    if world is None:
        return (
            "<p class=note>What it says of photographs is not known here: pass --data DATA, a folder of "
            "<code>training prepare</code>.</p>"
        )
    unseen = "sources that it never learned from"
    if world.split != "world":
        unseen = f"the split {world.split} of the data set, whose sources it may have learned from"
    head = ("at the same threshold", *TIERS, "pictures")
    lines = [
        _world_line(world, "real", "", "photographs that are called fake (sources weigh the same)"),
        _world_line(world, "fake", "", "other generators, caught (they weigh the same)"),
    ]
    names = sorted({(each.label, each.name) for each in world.rates if each.name}, reverse=True)
    lines += [_world_line(world, label, name, name) for label, name in names]
    return f"<h2>Beside it: {unseen}</h2>" + _table(head, lines)


def _world_line(world: World, label: str, name: str, shown: str) -> tuple[object, ...]:
    rates = [world.of(tier, label, name) for tier in TIERS]
    counts = [each.pictures for each in rates if each]
    kind = "" if not name else " (photographs)" if label == "real" else " (generator)"
    return f"{shown}{kind}", *(f"{each.share:.0%}" if each else "" for each in rates), max(counts, default=0)


def _attributes(groups: Sequence[Rate]) -> str:
    if not groups:
        return "<p class=note>No attribute can be told apart: too few images, or a model that reads no prompt.</p>"
    head = ("attribute", *_HEAD[1:])
    return "<h2>By attribute, the least caught first</h2>" + _table(
        head, (_line(each, each.name) for each in groups[:SHOWN])
    )


def _slipped(slipped: Sequence[Scored]) -> str:
    lines = "".join(
        f"<tr><td class=n>{each.p_fake():.2f}<td>{html.escape(_shortened(each.row.recipe.prompt))}"
        f"<td><code>{each.row.id}</code>"
        for each in slipped[:SHOWN]
        if each.row.recipe.prompt
    )
    return f"<table><tr><th class=n>p_fake<th>prompt<th>image{lines}</table>" if lines else ""


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= LONGEST_PROMPT else f"{prompt[:LONGEST_PROMPT].rpartition(' ')[0]} ..."


def _hard(found: Challenge, hardest: Sequence[Scored]) -> str:
    """The faces with the lowest scores, each beside what spoke for the answer."""
    figures = []
    for each in hardest:
        seen = explain(found.folder / each.row.file, checker=found.checker).faces
        maps = [seen[0].pixels, seen[0].heat_maps[0].on(seen[0].pixels)] if seen else []
        shown = "".join(f'<img alt="" src="{_data_url(pixels, PORTRAIT_PX)}"> ' for pixels in maps)
        said = f"p_fake {each.p_fake():.2f}, {each.row.id}{'' if maps else ': no face found'}"
        figures.append(f"<figure>{shown}<figcaption>{html.escape(said)}</figcaption></figure>")
    title = f"<h2>The hardest {len(hardest)}, and what the answer looked at</h2>"
    return f"{title}<div class=hard>{''.join(figures)}</div>" if hardest else ""


def _sheet(title: str, scored: Sequence[Scored], folder: Path) -> str:
    """A contact sheet of the first images under a title; nothing where there are none."""
    if not scored:
        return ""
    shown = f"{min(len(scored), SHEET)} of {len(scored)}"
    sheet = _data_url(contact_sheet(scored[:SHEET], folder))
    return f'<h3>{title} ({shown})</h3><img alt="{shown} images" src="{sheet}">'


def _data_url(pixels: Pixels, side: int = 0) -> str:
    picture, stream = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if side:
        picture.thumbnail((side, side))
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _lesson_page(lesson: Lesson) -> str:
    refusals = lesson.outcome.refusals
    verdict = f"must not replace the present one: {'; '.join(refusals)}" if refusals else "may replace the present one"
    head = ("the half that it did not learn from", "images", "before", "retrained", "95 %")
    lines = [
        (tier, after.images, f"{lesson.before[tier].caught:.0%}", f"{after.caught:.0%}",
         f"{after.interval[0]:.0%} to {after.interval[1]:.0%}")
        for tier, after in lesson.after.items()
    ]  # fmt: skip
    title = f"What the detector learned from {lesson.generator}"
    return _html(
        title,
        [
            f"<h1>{html.escape(title)}</h1><p><strong>{html.escape(lesson.line)}.</strong></p>",
            f"<p>The retrained model {html.escape(verdict)}. It lies at <code>{html.escape(str(lesson.outcome.model))}"
            "</code>.</p>",
            _table(head, lines),
            "<h2>Was anything forgotten?</h2><p class=note>The same pictures of the split "
            f"{lesson.world_before.split}, before and after, in each delivery tier.</p>",
            _world_table(lesson.world_before, lesson.world_after),
        ],
    )


def _world_table(before: World, after: World) -> str:
    names = sorted({(each.label, each.name) for each in before.rates}, key=lambda pair: (pair[0] != "real", pair[1]))
    head = ("called fake", *(f"{tier}, {when}" for tier in TIERS for when in ("before", "retrained")))
    lines = []
    for label, name in names:
        kind = "photographs" if label == "real" else "generators"
        pairs = [(before.of(tier, label, name), after.of(tier, label, name)) for tier in TIERS]
        shares = [f"{each.share:.0%}" if each else "" for pair in pairs for each in pair]
        lines.append((f"{kind}: {name}" if name else f"all {kind}", *shares))
    return _table(head, lines)
