"""ComfyUI keeps its node graph in the picture: prompt, seed and model are found by following the sampler's inputs."""

from collections.abc import Iterator, Mapping
from typing import Any

_SEEDS = ("seed", "noise_seed")
_TEXTS = ("text", "text_g", "text_l", "t5xxl", "clip_l", "prompt", "string", "value")
_MODELS = ("ckpt_name", "unet_name", "model_name")
_MOST_STEPS = 12

Graph = dict[str, Any]


def details(graph: Graph, workflow: Graph) -> dict[str, Any] | None:
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
    sampler = next((node for node in nodes if any(name in node for name in _SEEDS)), {})
    texts = [text for node in nodes if (text := _own(node, _TEXTS, str))]
    return {
        "prompt": _followed(graph, sampler.get("positive"), _TEXTS, str) or next(iter(texts), None),
        "negative_prompt": _followed(graph, sampler.get("negative"), _TEXTS, str),
        "seed": _followed(graph, _first(sampler, _SEEDS), (*_SEEDS, "value"), int),
        "model": next((name for node in nodes if (name := _own(node, _MODELS, str))), None),
    }


def _inputs(graph: Graph) -> Iterator[dict[str, Any]]:
    for node in graph.values():
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict):
            yield node["inputs"]


def _followed(graph: Graph, value: Any, names: tuple[str, ...], kind: type) -> Any:
    """The value itself, or that of the node which a link ([id, output]) leads to, through at most `_MOST_STEPS`."""
    for _ in range(_MOST_STEPS):
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


def _first(inputs: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((inputs[name] for name in names if name in inputs), None)


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
