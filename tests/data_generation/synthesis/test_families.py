"""Every family runs through its own pipeline class, with the settings of its row, and says what it cannot do."""

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from data_generation import GenerationError
from data_generation.record import read_prompts
from data_generation.synthesis import Settings, families
from data_generation.synthesis.conditioning import prepared
from data_generation.synthesis.families import FACE_PIPELINES, FAMILIES, family_of
from data_generation.synthesis.generate import tasks
from data_generation.synthesis.pipelines import Pipeline
from tests.data_generation.synthesis.little_pipelines import SIDE

pytestmark = pytest.mark.usefixtures("lenient")


@pytest.mark.usefixtures("small_photographs")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_runs_with_its_own_settings(family, little, prompts, photos, detector):
    settings = Settings(
        little(family), mode="edit" if family.edits else "txt2img", steps=2, width=SIDE, height=SIDE, offload=True
    )
    pipeline = Pipeline(settings)
    assert pipeline.family.pipeline == family.pipeline
    pictures = [photos / "grace.jpg"] if family.edits else []
    first, *others = [task.recipe for task in tasks(pipeline, read_prompts(prompts), pictures, 2)]
    assert first.guidance == pipeline.family.guidance
    assert first.negative == ("drawing, blurry" if family.negative else "")
    photo = prepared(pictures[0], SIDE, detector) if pictures else None
    one, two = (pipeline.render([recipe], [photo])[0].image for recipe in (first, others[0]))
    assert one.shape[2] == 3
    assert one.shape == (SIDE, SIDE, 3) or family.edits
    assert not np.array_equal(one, two), "another seed"
    assert np.array_equal(one, pipeline.render([first], [photo])[0].image), "the same seed"


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_documents_have_every_row(family):
    start = f"| {family.name} | `{family.model}` | {family.steps} | {family.guidance:g} |"
    lines = (ROOT / "docs" / "generation.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(start)]
    takes_faces = hasattr(getattr(diffusers, family.pipeline), "load_ip_adapter")
    assert takes_faces == (family.pipeline in FACE_PIPELINES) == row.endswith("| yes |")
    assert family_of(family.model) == family
    assert family_of("mine/" + family.model.rpartition("/")[2], family.pipeline) == family


def test_a_model_of_no_family_has_none():
    assert family_of("owner/name", "DDPMPipeline") is None
    assert family_of("mine/flux-schnell-tuned", "FluxImg2ImgPipeline").name == "FLUX.1 schnell"


@pytest.mark.parametrize(
    ("device", "dtype", "offload", "gigabytes", "says"),
    [
        (
            "cpu",
            "float32",
            False,
            40,
            r"dev takes about 68 GB in float32 and this machine has free 40 GB; use --dtype",
        ),
        (
            "cuda",
            "bfloat16",
            False,
            30,
            "takes about 34 GB in bfloat16 and the GPU has 30 GB; use --offload or --model",
        ),
        ("cuda", "bfloat16", True, 12, "takes about 24 GB in bfloat16 and the GPU has 12 GB; use --model"),
        ("cpu", "bfloat16", False, 1, "use another machine"),
        ("cuda", "bfloat16", True, 24.5, ""),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(device, dtype, offload, gigabytes, says, monkeypatch):
    told = type("Told", (), {"total_memory": gigabytes * 1e9})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: told)
    monkeypatch.setattr(families, "_free_memory", lambda: gigabytes * 1e9)
    family, settings = family_of("black-forest-labs/FLUX.1-dev"), Settings(offload=offload)
    if not says:
        return families.check_room(family, settings, device, dtype)
    with pytest.raises(GenerationError, match=says) as error:
        families.check_room(family, settings, device, dtype)
    assert "\n" not in str(error.value)
    return None


@pytest.mark.parametrize("words", ["Access to model x is restricted. Cannot access gated repo", "401 Client Error"])
def test_a_gated_model_is_asked_for_at_its_page(words, monkeypatch):
    def refuse(*_, **__):
        raise OSError(words)

    monkeypatch.setattr(families, "_free_memory", lambda: 1e12)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", refuse)
    with pytest.raises(
        GenerationError, match=r"accept its terms at https://huggingface.co/black-forest-labs/FLUX.1-dev"
    ):
        Pipeline(Settings("black-forest-labs/FLUX.1-dev"))


def test_an_editor_is_needed_for_editing(stable_diffusion, little_ddpm):
    with pytest.raises(GenerationError, match=r"takes no image; such do: black-forest-labs/FLUX.1-Kontext-dev"):
        Pipeline(Settings(str(stable_diffusion), mode="edit"))
