"""A little pipeline of any family, in place of the one that would be downloaded."""

import pytest

from data_generation.synthesis import pipelines
from tests.data_generation.synthesis.little_pipelines import ON_DISK, SIDE, built


@pytest.fixture
def little(request, tmp_path, monkeypatch):
    """Family -> a folder that stands for a model of it, and is loaded as a little pipeline of its class."""

    def model(family) -> str:
        if family.pipeline == "KolorsPipeline":
            pytest.importorskip("sentencepiece", reason="needs sentencepiece")
        if family.pipeline in ON_DISK:
            return str(request.getfixturevalue(ON_DISK[family.pipeline]))
        monkeypatch.setattr(pipelines, "_loaded", lambda settings, dtype: built(family.pipeline))
        folder = tmp_path / family.model.rpartition("/")[2]
        folder.mkdir()
        return str(folder)

    return model


@pytest.fixture
def small_photographs(monkeypatch):
    """Editors bring a photograph to a megapixel, and Sana and PixArt paint one, whatever is asked for."""
    from diffusers.pipelines.flux import pipeline_flux_kontext
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_sigma
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
    from diffusers.pipelines.sana import pipeline_sana

    monkeypatch.setattr(pipeline_pixart_sigma, "ASPECT_RATIO_256_BIN", {"1.0": [SIDE, SIDE]})
    monkeypatch.setattr(pipeline_sana, "ASPECT_RATIO_1024_BIN", {"1.0": [SIDE, SIDE]})
    monkeypatch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", [(SIDE, SIDE)])
    monkeypatch.setattr(pipeline_qwenimage_edit, "calculate_dimensions", lambda *_: (SIDE, SIDE, None))
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "calculate_dimensions", lambda *_: (SIDE, SIDE))
