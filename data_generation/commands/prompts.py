"""From nothing to prompts: plan, prompts."""

import contextlib
import os
from pathlib import Path
from typing import Any

import click

from data_generation.api_client import Backoff, RateLimit
from data_generation.attributes import DEFAULTS, reweighted, with_use_cases
from data_generation.commands import FILE, NEW_FILE
from data_generation.plan import Plan, make_plan
from data_generation.prompts import DIALECTS, NEGATIVE, TAGS, Rules, Writer, write_prompts
from data_generation.prompts.template import TemplateWriter

TEMPLATE, OPENAI, AUTO = "template", "openai", "auto"
MODEL = "gpt-6-luna"


@click.command(context_settings={"show_default": True})
@click.argument("out", type=NEW_FILE)
@click.option("--cells", default=600, help="Kinds of pictures; a multiple of 150 has every stratum equally often.")
@click.option("--per-cell", default=1, help="Pictures, and prompts, of each cell.")
@click.option("--seed", default=0, help="The same seed and weights give the same plan.")
@click.option("--like", type=FILE, help="Plan whose values and weights to use, edited perhaps.")
@click.option(
    "--weight", "weights", multiple=True, type=(str, str, click.FloatRange(0)),
    help="ATTRIBUTE VALUE WEIGHT: make a value rarer or more frequent; 0 leaves it out.",
)  # fmt: skip
@click.option("--use-cases", is_flag=True, help="Headshots, selfies, snapshots, ...: pictures as they are met.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def plan(
    out: Path, cells: int, per_cell: int, seed: int, like: Path | None, weights: tuple[tuple[str, str, float], ...],
    use_cases: bool, force: bool,
) -> None:  # fmt: skip
    """Draw up which faces shall be made, into the JSON file OUT.

    Age, gender presentation and skin tone (Monk scale) are crossed; hair, facial hair, expression, head pose, eyewear,
    headwear, setting, lighting and camera are spread over the cells so that each value comes as often as its weight
    asks, to within one. Implausible pairs (a bearded child, office lamps on the beach) are not drawn.

    With --use-cases every cell has a use (company headshot, dating profile, mirror selfie, testimonial, press portrait,
    ID photo, snapshot at night, group) with the places, light and cameras that suit it.

    OUT has one line for each attribute and each cell and is meant to be edited: change counts and values, delete or
    add cells, add values of your own to "attributes". Every id must be unique, and stay as it is once a cell has
    prompts.

    \b
    Example: 300 adults, sunglasses half as often
      python -m data_generation plan plan.json --cells 300 \\
        --weight age child 0 --weight age teenager 0 --weight eyewear sunglasses 0.5
    """  # noqa: D301 - \b is click's
    if out.exists() and not force:
        raise click.ClickException(f"{out} exists: choose another name, or replace it with --force")
    values = Plan.load(like).weights if like else DEFAULTS
    if use_cases:
        values = with_use_cases(values)
    changes = {(attribute, value): weight for attribute, value, weight in weights}
    made = make_plan(cells, seed, per_cell, reweighted(values, changes))
    made.save(out)
    click.echo(f"{out}: {len(made.cells)} cells, {made.total} pictures")


@click.command(context_settings={"show_default": True})
@click.argument("plan", type=FILE)
@click.argument("out", type=NEW_FILE)
@click.option(
    "--writer", "kind", default=AUTO, type=click.Choice([AUTO, TEMPLATE, OPENAI]),
    help="`auto` is openai where there is a key or a --base-url, otherwise template.",
)  # fmt: skip
@click.option(
    "--dialect", default=TAGS, type=click.Choice(list(DIALECTS)),
    help="tags for CLIP (Stable Diffusion 1.5, XL), sentences for FLUX and others, instructions for gpt-image.",
)  # fmt: skip
@click.option("--max-words", type=click.IntRange(8), show_default="the dialect's", help="Longer prompts are refused.")
@click.option("--negative", default=NEGATIVE, help="What no picture shall show, words with commas between them.")
@click.option("--seed", type=int, help="Of the template writer; without it that of the plan.")
@click.option("--model", default=MODEL, help="Language model.")
@click.option("--base-url", help="Server that speaks OpenAI's formats; Ollama: http://localhost:11434/v1")
@click.option("--key-env", default="OPENAI_API_KEY", help="Environment variable that holds the key.")
@click.option("--batch", default=8, type=click.IntRange(1), help="Prompts asked for in one request.")
@click.option("--attempts", default=8, type=click.IntRange(1), help="How often a prompt is asked for.")
@click.option(
    "--retries", default=Backoff.retries, type=click.IntRange(0), help="How often a failed request is repeated."
)
@click.option("--backoff", default=Backoff.base, type=click.FloatRange(0), help="Seconds before the first repetition.")
@click.option("--timeout", default=120.0, type=click.FloatRange(0, min_open=True), help="Seconds for one request.")
@click.option("--per-minute", default=0.0, type=click.FloatRange(0), help="Most requests a minute; 0 = no limit.")
@click.option("--price-in", type=click.FloatRange(0), help="Of a million tokens sent, to report the cost.")
@click.option("--price-out", type=click.FloatRange(0), help="Of a million tokens received.")
def prompts(
    plan: Path, out: Path, kind: str, dialect: str, max_words: int | None, negative: str, seed: int | None,
    key_env: str, base_url: str | None, **settings: Any,
) -> None:  # fmt: skip
    """Write a prompt for every picture of PLAN into the JSON lines file OUT.

    OUT only grows: a second run, after a crash or an edited plan, asks for what is missing and no more. Prompts are
    plain, and as long as their readers like them: CLIP reads 77 tokens, the newer models whole sentences; no two are
    alike.

    `template` puts phrases together: no network, no key, the same prompts every time. `openai` asks a language model
    for structured output, through the Responses format or, where a server does not have it, chat completions or JSON
    mode. Failed requests are sent again after growing pauses; refused, cut-off, repeated and overlong answers are
    asked for again, fewer at a time.

    \b
    Examples
      python -m data_generation prompts plan.json prompts.jsonl
      OPENAI_API_KEY=... python -m data_generation prompts plan.json prompts.jsonl \\
        --per-minute 60 --price-in 0.25 --price-out 2
      python -m data_generation prompts plan.json prompts.jsonl \\
        --base-url http://localhost:11434/v1 --model llama3.2
    """  # noqa: D301 - \b is click's
    key = os.environ.get(key_env, "")
    if kind == OPENAI and not (key or base_url):
        raise click.ClickException(f"${key_env} is empty: put the key there, or use `--writer template`")
    rules = Rules(max_words or DIALECTS[dialect], negative, dialect)
    wanted = Plan.load(plan)
    if kind == TEMPLATE or (kind == AUTO and not (key or base_url)):
        _write(wanted, out, TemplateWriter(wanted.seed if seed is None else seed, dialect), rules)
    else:
        _write_with_model(wanted, out, rules, key, base_url, **settings)


def _write_with_model(
    plan: Plan, out: Path, rules: Rules, key: str, base_url: str | None, model: str, batch: int, attempts: int,
    retries: int, backoff: float, timeout: float, per_minute: float, price_in: float | None, price_out: float | None,
) -> None:  # fmt: skip
    try:
        from data_generation.api_client import Usage
        from data_generation.prompts.openai_writer import OpenAIWriter
    except ImportError as error:
        raise click.ClickException(f"{error}: pip install 'facecheck[generation]'") from error
    usage = Usage(price_in, price_out)
    writer = OpenAIWriter(
        model, key, base_url, rules, batch, attempts, timeout, Backoff(retries, backoff), RateLimit(per_minute), usage
    )
    with contextlib.closing(writer):
        try:
            _write(plan, out, writer, rules)
        finally:
            click.echo(f"{model}: {usage}")


def _write(plan: Plan, out: Path, writer: Writer, rules: Rules) -> None:
    with click.progressbar(length=plan.total, label=f"{writer.name} ({writer.model})", show_pos=True) as bar:
        stats = write_prompts(plan, out, writer, rules, bar.update)
    more = f", {stats.surplus} more that the plan does not ask for" if stats.surplus else ""
    click.echo(f"{out}: {stats.wanted} prompts, {stats.written} new, {stats.rejected} asked for again{more}")
