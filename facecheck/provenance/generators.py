"""Generators that write how they made a picture into it: prompt, seed, model, read from their own formats."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from facecheck.provenance import Claim, Finding, Sentence, Strength

Texts = Mapping[str, str]
Found = tuple[str, dict[str, Any]]
"""The generator's name, and details; empty ones are left out."""

LONGEST_DETAIL = 4000
COMMENT_KEY = "UserComment"
_A1111_LINE = re.compile(r"^Steps: \d+, .*?Seed: (\d+)", re.M)
# Possessive, and only where a name begins: a regular expression that goes back and forth stops the whole process.
_SETTING = re.compile(r'(?<![\w ./-])([\w ./-]++): ("(?:\\.|[^"\\])*+"|[^,]*+)(?:,|$)')
_SEED = re.compile(r" -S ?(\d+)")
_JOB = re.compile(r"\s?Job ID: ([0-9a-f-]{36})")
_VERSION = re.compile(r"--v ([\w.]+)")
_LONGEST_LINE = 20_000
_SEED_INPUTS = ("seed", "noise_seed")
_TEXT_INPUTS = ("text", "text_g", "text_l", "t5xxl", "clip_l", "prompt", "string", "value")
_MODEL_INPUTS = ("ckpt_name", "unet_name", "model_name")
_MOST_LINKS = 12
_RECORDED: dict[tuple[str, ...], str] = {
    (): "{name} recorded in the file that it generated this picture.",
    ("prompt",): "{name} recorded in the file that it generated this picture, with prompt.",
    ("seed",): "{name} recorded in the file that it generated this picture, with seed.",
    ("prompt", "seed"): "{name} recorded in the file that it generated this picture, with prompt and seed.",
}
Graph = dict[str, Any]


def recognised(texts: Texts, source: str) -> Finding | None:
    """The generator whose format these texts have, or None.

    Args:
        texts: keyword -> text, of PNG text blocks; comments and EXIF's UserComment stand under `COMMENT_KEY`.
        source: what the finding's `source` shall be.
    """
    for recognise in _RECOGNISERS:
        if found := recognise(texts):
            name, details = found
            words = {key: _word(value) for key, value in details.items() if value not in (None, "", [], {})}
            return Finding(
                source, Strength.DECLARED, _sentence(name, words), Claim.GENERATED, {"generator": name} | words
            )
    return None


def parsed(text: str | None) -> Any:
    """JSON, or None where it is none. Hostile JSON (deep, or with huge numbers) is none."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _sentence(name: str, details: Mapping[str, str]) -> str:
    parts = tuple(part for part in ("prompt", "seed") if part in details)
    return Sentence(_RECORDED[parts], name=name)


def _word(value: Any) -> str:
    """JSON may hold halves of characters, which no report could be written with."""
    words = value if isinstance(value, str) else json.dumps(value)
    return words[:LONGEST_DETAIL].encode("utf-8", "replace").decode("utf-8")


def _dictionary(text: str | None) -> dict[str, Any]:
    value = parsed(text)
    return value if isinstance(value, dict) else {}


def _first(values: Mapping[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) not in (None, "")), None)


def _facecheck(texts: Texts) -> Found | None:
    values = _dictionary(texts.get("facecheck"))
    return (
        (Sentence("facecheck's data generation"), {k: values.get(k) for k in ("prompt", "seed", "model", "id")})
        if values
        else None
    )


def _novelai(texts: Texts) -> Found | None:
    if texts.get("Software") != "NovelAI":
        return None
    values = _dictionary(texts.get("Comment"))
    return "NovelAI", {
        "prompt": texts.get("Description"), "negative_prompt": values.get("uc"), "seed": values.get("seed"),
        "model": texts.get("Source"), "sampler": values.get("sampler"),
    }  # fmt: skip


def _swarm(texts: Texts) -> Found | None:
    values = _dictionary(_first(texts, "parameters", COMMENT_KEY)).get("sui_image_params")
    return ("SwarmUI", _common(values)) if isinstance(values, dict) else None


def _fooocus(texts: Texts) -> Found | None:
    values = _dictionary(_first(texts, "parameters", COMMENT_KEY))
    marked = "fooocus_scheme" in texts or str(values.get("version", "")).startswith("Fooocus")
    return ("Fooocus", _common(values)) if marked and values else None


def _a1111(texts: Texts) -> Found | None:
    """Prompt, "Negative prompt: ...", and one line of settings from "Steps" on, as stable-diffusion-webui writes it."""
    text = _first(texts, "parameters", COMMENT_KEY) or ""
    if not (line := _A1111_LINE.search(text)):
        return None
    prompt, _, negative = text[: line.start()].partition("Negative prompt:")
    settings = {
        name.strip(): value.strip('" ') for name, value in _SETTING.findall(text[line.start() :][:_LONGEST_LINE])
    }
    return _a1111_relative(settings), {
        "prompt": prompt.strip(), "negative_prompt": negative.strip(), "seed": line[1], "model": settings.get("Model"),
        "sampler": settings.get("Sampler"), "steps": settings.get("Steps"), "version": settings.get("Version"),
    }  # fmt: skip


def _a1111_relative(settings: Mapping[str, str]) -> str:
    """Who of the many programs that write this format wrote it, as far as they say."""
    version = settings.get("Version", "")
    if "Civitai resources" in settings:
        return "Civitai"
    if settings.get("App") == "SD.Next":
        return "SD.Next"
    if version == "ComfyUI":
        return "ComfyUI"
    if version.startswith("f"):
        return "Stable Diffusion web UI Forge"
    return Sentence("Stable Diffusion web UI (AUTOMATIC1111 or a relative)")


def _comfyui(texts: Texts) -> Found | None:
    comment = _dictionary(texts.get(COMMENT_KEY))
    graph, workflow = (
        _dictionary(texts[name]) if name in texts else _inner(comment.get(name)) for name in ("prompt", "workflow")
    )
    details = _comfyui_details(graph, workflow)
    return ("ComfyUI", details) if details is not None else None


def _inner(value: Any) -> dict[str, Any]:
    """An object within JSON, which some programs write as a text once more."""
    return value if isinstance(value, dict) else _dictionary(value) if isinstance(value, str) else {}


def _invokeai(texts: Texts) -> Found | None:
    values = _dictionary(texts.get("invokeai_metadata"))
    if values:
        model = values.get("model")
        name = _first(model, "name", "model_name") if isinstance(model, dict) else model
        return "InvokeAI", _common(values) | {"model": name, "version": values.get("app_version")}
    old = _dictionary(texts.get("sd-metadata"))
    if isinstance(image := old.get("image"), dict):
        prompt = image.get("prompt")
        first = prompt[0] if isinstance(prompt, list) and prompt else prompt
        words = first.get("prompt") if isinstance(first, dict) else first
        return "InvokeAI", {"prompt": words, "seed": image.get("seed"), "model": old.get("model_weights")}
    command = texts.get("Dream", "")[:LONGEST_DETAIL]
    if command.startswith('"') and (seed := _SEED.search(command, end := command.rfind('"', 1) + 1)):
        return "InvokeAI (Dream)", {"prompt": command[1 : end - 1], "seed": seed[1]}
    return ("InvokeAI", {}) if _dictionary(texts.get("invokeai_graph")) else None


def _midjourney(texts: Texts) -> Found | None:
    text = texts.get("Description", "")[:LONGEST_DETAIL]
    if not (job := _JOB.search(text)):
        return None
    prompt, dashes, options = text[: job.start()].partition(" --")
    version = _VERSION.search(dashes + options)
    return "Midjourney", {"prompt": prompt, "version": version[1] if version else None, "job": job[1]}


def _draw_things(texts: Texts) -> Found | None:
    values = _dictionary(texts.get(COMMENT_KEY))
    if not {"c", "uc", "seed"} <= set(values):
        return None
    details = {"prompt": values["c"], "negative_prompt": values["uc"], "seed": values["seed"]}
    return "Draw Things", details | {"model": values.get("model"), "sampler": values.get("sampler")}


def _described(texts: Texts) -> Found | None:
    """Programs without a format of their own (scripts around diffusers, Easy Diffusion, mflux): a prompt and a seed."""
    lowered = {key.lower(): text for key, text in texts.items()}
    for values in (lowered, *_json_objects(lowered)):
        details = _common(values)
        if details["prompt"] and details["seed"] is not None:
            is_easy = "use_stable_diffusion_model" in values
            return "Easy Diffusion" if is_easy else Sentence("A text-to-image program"), details
    return None


def _json_objects(texts: Texts) -> Iterator[dict[str, Any]]:
    for text in texts.values():
        if text.startswith("{"):
            yield {key.lower(): value for key, value in _dictionary(text).items()}


def _common(values: Mapping[str, Any]) -> dict[str, Any]:
    """Details under the names that most programs give them."""
    return {
        "prompt": _first(values, "positive_prompt", "prompt", "full_prompt"),
        "negative_prompt": _first(values, "negative_prompt", "negativeprompt", "full_negative_prompt"),
        "seed": _first(values, "seed"),
        "model": _first(values, "model", "base_model", "base_model_name", "model_id", "use_stable_diffusion_model"),
        "sampler": _first(values, "sampler", "scheduler"),
        "steps": _first(values, "steps", "num_inference_steps"),
        "version": _first(values, "swarm_version", "version", "mflux_version"),
    }


_RECOGNISERS: tuple[Callable[[Texts], Found | None], ...] = (
    _facecheck, _novelai, _swarm, _fooocus, _a1111, _comfyui, _invokeai, _midjourney, _draw_things, _described,
)  # fmt: skip


def _comfyui_details(graph: Graph, workflow: Graph) -> dict[str, Any] | None:
    """Prompt, negative prompt, seed and model; None where neither is a graph of ComfyUI.

    Args:
        graph: of the text "prompt": node id -> {"class_type": ..., "inputs": {...}}.
        workflow: of the text "workflow": {"nodes": [{"type": ..., "widgets_values": [...]}, ...]}.
    """
    if any(isinstance(node, dict) and "class_type" in node for node in graph.values()):
        return _of_graph(graph)
    nodes = workflow.get("nodes")
    if isinstance(nodes, list) and any(isinstance(node, dict) and "type" in node for node in nodes):
        return _of_workflow(nodes)
    return None


def _of_graph(graph: Graph) -> dict[str, Any]:
    nodes = list(_inputs(graph))
    sampler = next((node for node in nodes if any(name in node for name in _SEED_INPUTS)), {})
    texts = [text for node in nodes if (text := _own(node, _TEXT_INPUTS, str))]
    return {
        "prompt": _followed(graph, sampler.get("positive"), _TEXT_INPUTS, str) or next(iter(texts), None),
        "negative_prompt": _followed(graph, sampler.get("negative"), _TEXT_INPUTS, str),
        "seed": _followed(graph, _first(sampler, *_SEED_INPUTS), (*_SEED_INPUTS, "value"), int),
        "model": next((name for node in nodes if (name := _own(node, _MODEL_INPUTS, str))), None),
    }


def _inputs(graph: Graph) -> Iterator[dict[str, Any]]:
    for node in graph.values():
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict):
            yield node["inputs"]


def _followed(graph: Graph, value: Any, names: tuple[str, ...], kind: type) -> Any:
    """The value itself, or that of the node which a link ([id, output]) leads to, through at most `_MOST_LINKS`."""
    for _ in range(_MOST_LINKS):
        if isinstance(value, kind):
            return value
        node = graph.get(str(value[0])) if isinstance(value, list) and value else None
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            return None
        value = _own(inputs, names, kind)
        if value is None:
            value = next((link for link in inputs.values() if isinstance(link, list) and link), None)
    return None


def _own(inputs: Mapping[str, Any], names: tuple[str, ...], kind: type) -> Any:
    return next((inputs[name] for name in names if isinstance(inputs.get(name), kind) and inputs[name] != ""), None)


def _of_workflow(nodes: list[Any]) -> dict[str, Any]:
    """Without the graph there are only the widgets; the first text node is the prompt in the stock workflows."""
    widgets = [
        (str(node.get("type")), node["widgets_values"][0])
        for node in nodes
        if isinstance(node, dict) and isinstance(node.get("widgets_values"), list) and node["widgets_values"]
    ]
    texts = [value for kind, value in widgets if "TextEncode" in kind and isinstance(value, str)]
    seeds = [value for kind, value in widgets if "Sampler" in kind and isinstance(value, int)]
    models = [value for kind, value in widgets if "Loader" in kind and isinstance(value, str)]
    return {"prompt": next(iter(texts), None), "seed": next(iter(seeds), None), "model": next(iter(models), None)}
