"""Real diffusers pipelines of random weights, saved to disk and loaded again."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image

from data_generation import GenerationError
from data_generation.record import read_prompts
from data_generation.synthesis import EMBEDDED_MODEL, Settings
from data_generation.synthesis.conditioning import prepared
from data_generation.synthesis.generate import Shard, tasks
from data_generation.synthesis.pipelines import Pipeline
from facecheck.detection.detector import FaceDetector

pytestmark = pytest.mark.usefixtures("lenient")


def recipes(pipeline, prompts, photos=()):
    return [task.recipe for task in tasks(pipeline, read_prompts(prompts), photos, 1)]


def made(settings, prompts, photos=(), detector=None):
    pipeline = Pipeline(settings)
    found = recipes(pipeline, prompts, photos)
    opened = [prepared(path, pipeline.size[0], detector) for path in photos]
    return found, [each.image for each in pipeline.render(found, opened or [None] * len(found))]


@pytest.mark.parametrize("kind", ["stable_diffusion", "stable_diffusion_xl"])
@pytest.mark.parametrize("mode", ["txt2img", "img2img", "inpaint", "vae"])
def test_the_same_id_gives_the_same_pixels_alone_or_in_a_batch(kind, mode, request, prompts, photos, detector):
    settings = Settings(str(request.getfixturevalue(kind)), mode=mode, steps=4, strength=0.5)
    pictures = [] if mode == "txt2img" else [photos / "grace.jpg", photos / "astronaut.png"]
    found, together = made(settings, prompts, pictures, detector)
    assert together[0].shape == (64, 64, 3)
    assert not np.array_equal(together[0], together[1])
    pipeline = Pipeline(settings)
    for number in (1, 0):
        photo = prepared(pictures[number], 64, detector) if pictures else None
        alone = pipeline.render([found[number]], [photo])[0].image
        assert np.array_equal(alone, together[number])


def test_the_number_of_threads_does_not_matter(stable_diffusion, prompts):
    pipeline = Pipeline(Settings(str(stable_diffusion), steps=4))
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(pipeline.render(recipes(pipeline, prompts)[:3], [None] * 3))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(*found, strict=True))


@pytest.fixture
def one_thread():
    """For what is compared with a pipeline that is called directly."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_the_images_are_those_of_diffusers_itself(stable_diffusion, prompts):
    settings = Settings(str(stable_diffusion), steps=4, guidance=5.0)
    found, images = made(settings, prompts)
    pipe = StableDiffusionPipeline.from_pretrained(stable_diffusion)
    expected = pipe(
        found[3].prompt, negative_prompt=found[3].negative, num_inference_steps=4, guidance_scale=5.0,
        generator=torch.Generator().manual_seed(found[3].seed),
    ).images[0]  # fmt: skip
    assert np.array_equal(images[3], np.asarray(expected))


@pytest.mark.usefixtures("one_thread")
def test_the_round_trip_is_the_autoencoders(stable_diffusion, prompts, photos, detector):
    _, (image,) = made(Settings(str(stable_diffusion), mode="vae"), prompts, [photos / "grace.jpg"], detector)
    vae = AutoencoderKL.from_pretrained(stable_diffusion, subfolder="vae")
    photo = prepared(photos / "grace.jpg", 64, detector)
    pixels = torch.tensor(photo.pixels.transpose(2, 0, 1).copy())[None] / 127.5 - 1
    with torch.no_grad():
        expected = vae.decode(vae.encode(pixels).latent_dist.mean).sample[0]
    grey = ((expected.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(image, grey)


def test_inpainting_leaves_the_corners_to_the_photograph(photos, detector):
    photo = prepared(photos / "astronaut.png", 128, detector)
    assert photo.mask[0, 0] == photo.mask[-1, -1] == 0
    box = detector.detect([photo.pixels])[0].boxes[0].astype(int)
    assert photo.mask[(box[1] + box[3]) // 2, (box[0] + box[2]) // 2] == 255
    assert 0.15 < (photo.mask > 0).mean() < 0.45
    assert prepared(photos / "wall.png", 64, detector) is None


def test_the_recipe_says_what_the_model_was_given(stable_diffusion, little_ddpm, prompts):
    pipeline = Pipeline(Settings(str(stable_diffusion), scheduler="EulerDiscreteScheduler", steps=3, seed=5))
    first = recipes(pipeline, prompts)[0]
    assert (first.prompt, first.negative, first.cell) == ("photo of person 0", "drawing, blurry", "c0")
    assert (first.scheduler, first.steps, first.guidance) == ("EulerDiscreteScheduler", 3, 7.5)
    assert (first.model, first.width, first.height, first.dtype) == ("little-sd", 64, 64, "float32")
    assert pipeline.licence == "mit"
    blind = recipes(Pipeline(Settings(str(little_ddpm), steps=3)), prompts)[0]
    assert (blind.prompt_id, blind.prompt, blind.cell, blind.guidance) == ("p0", "", "", 0.0)
    seeds = {recipe.seed for recipe in recipes(pipeline, prompts)}
    assert len(seeds) == 6
    assert seeds.isdisjoint(r.seed for r in recipes(Pipeline(Settings(str(stable_diffusion), seed=6)), prompts))


def test_the_revision_is_a_hash_of_the_weights(little_ddpm, tmp_path):
    import shutil

    before = Pipeline(Settings(str(little_ddpm))).revision
    copy = shutil.copytree(little_ddpm, tmp_path / "copy")
    assert Pipeline(Settings(str(copy))).revision == before
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("1000", "900"))
    assert Pipeline(Settings(str(copy))).revision != before


@pytest.mark.usefixtures("one_thread")
def test_short_memory_halves_the_batch(stable_diffusion, prompts, monkeypatch):
    pipeline = Pipeline(Settings(str(stable_diffusion), steps=1, batch=4))
    found, sizes = recipes(pipeline, prompts), []
    whole = pipeline._batch

    def short(part, photos):
        sizes.append(len(part))
        if len(part) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(part, photos)

    expected = pipeline.render(found, [None] * 6)
    monkeypatch.setattr(pipeline, "_batch", short)
    monkeypatch.setattr(pipeline, "device", "cuda")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    images = pipeline.render(found, [None] * 6)
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(images, expected, strict=True))

    def hopeless(part, photos):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline, "_batch", hopeless)
    with pytest.raises(GenerationError, match="--offload"):
        pipeline.render(found, [None] * 6)


def test_the_safety_checker_is_asked(stable_diffusion, prompts, monkeypatch):
    pipeline = Pipeline(Settings(str(stable_diffusion), steps=1))
    first, answer = recipes(pipeline, prompts)[:1], pipeline.pipe(prompt="x", num_inference_steps=1)
    assert pipeline.render(first, [None])[0].flagged is None
    answer.nsfw_content_detected = [True]
    monkeypatch.setattr(type(pipeline.pipe), "__call__", lambda self, **_: answer)
    assert pipeline.render(first, [None])[0].flagged is True


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "./nowhere"}, "no such folder"),
        ({"model": "nobody/nothing"}, "pass --model FOLDER"),
        ({"model": "LITTLE", "scheduler": "Wishful"}, "works with .*EulerDiscreteScheduler"),
        ({"model": "DDPM", "mode": "inpaint"}, "cannot be used for inpaint"),
        ({"model": "DDPM", "mode": "vae"}, "cannot be used for vae"),
        ({"model": "LITTLE", "device": "cuda"}, "use --device cpu"),
        ({"mode": "wish"}, "choose one of txt2img"),
        ({"dtype": "int8"}, "choose one of float32"),
        ({"width": 30}, "multiples of 8"),
        ({"strength": 0.0}, "above 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(settings, says, stable_diffusion, little_ddpm, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    if torch.cuda.is_available() and settings.get("device"):
        pytest.skip("this machine has a GPU")
    names = {"LITTLE": str(stable_diffusion), "DDPM": str(little_ddpm)}
    settings = settings | {"model": names.get(settings.get("model"), settings.get("model", "a/b"))}
    with pytest.raises(GenerationError, match=says) as error:
        Pipeline(Settings(**settings))
    assert "\n" not in str(error.value)


def test_a_model_of_the_hub_is_known_by_its_commit(stable_diffusion, tmp_path, monkeypatch):
    """The cache of huggingface_hub, as a download leaves it."""
    import shutil

    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--owner--little-sd"
    shutil.copytree(stable_diffusion, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.HF_HUB_CACHE", str(tmp_path), raising=False)
    pipeline = Pipeline(Settings("owner/little-sd", steps=1))
    assert (pipeline.name, pipeline.revision, pipeline.licence) == ("owner/little-sd", commit, "mit")


def test_the_embedded_model_makes_faces(prompts):
    pipeline = Pipeline(Settings(EMBEDDED_MODEL, steps=20))
    assert (pipeline.name, pipeline.size, pipeline.licence) == (EMBEDDED_MODEL, (64, 64), "CC BY-NC-SA 4.0")
    images = [each.image for each in pipeline.render(recipes(pipeline, prompts), [None] * 6)]
    found = FaceDetector(min_confidence=0.95).detect(images)
    assert sum(len(faces) == 1 for faces in found) >= 4
    assert len({Image.fromarray(image).tobytes() for image in images}) == 6


@pytest.mark.parametrize("text", ["0/2", "3/2", "a/b", "1", "", "1/0"])
def test_a_bad_shard_is_refused(text):
    with pytest.raises(GenerationError, match="2/8"):
        Shard.parse(text)


def test_shards_share_the_work_without_overlap(little_ddpm, prompts):
    found = recipes(Pipeline(Settings(str(little_ddpm))), prompts)
    parts = [{r.id for r in found if Shard(i, 3).holds(r)} for i in (1, 2, 3)]
    assert set().union(*parts) == {r.id for r in found}
    assert sum(map(len, parts)) == len(found)
