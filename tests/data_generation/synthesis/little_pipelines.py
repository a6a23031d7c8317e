"""Little pipelines of the families' classes: real networks of random weights, the words of prompts as vectors.

Tokenizers and language models cannot be had without a network and without gigabytes, so a stub turns each prompt into
vectors; all else (the call with its arguments, the scheduler, the transformer, the autoencoder) is that of diffusers.
"""

import inspect
import zlib

import diffusers
import torch

WORDS, SIDE = 6, 32


def vectors(prompt, *shape):
    """(B, *shape): the same for the same prompt, another for another."""
    texts = prompt if isinstance(prompt, list) else [prompt]
    seeds = [torch.Generator().manual_seed(zlib.crc32(str(text).encode())) for text in texts]
    return torch.stack([torch.randn(shape, generator=seed) for seed in seeds])


def ones(prompt):
    return torch.ones(len(prompt), WORDS, dtype=torch.long)


def flow():
    return diffusers.FlowMatchEulerDiscreteScheduler()


def vae(channels, **more):
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8), layers_per_block=1, latent_channels=channels, norm_num_groups=4, sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **more,
    )  # fmt: skip


def blank(pipeline, **parts):
    """A pipeline of these parts; all others are None."""
    names = list(inspect.signature(pipeline.__init__).parameters)[1:]
    return pipeline(**{name: None for name in names if name not in parts and name != "is_distilled"} | parts)


def flux(kind):
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=[4, 4, 8], guidance_embeds=True,
    )  # fmt: skip
    shift = {"shift_factor": 0.06, "scaling_factor": 1.5, "use_quant_conv": False, "use_post_quant_conv": False}
    pipe = blank(kind, transformer=transformer, vae=vae(4, **shift), scheduler=flow())
    pipe.encode_prompt = lambda prompt, **_: (vectors(prompt, WORDS, 16), vectors(prompt, 16), torch.zeros(WORDS, 3))
    return pipe


def flux2(kind):
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, timestep_guidance_channels=256, axes_dims_rope=[4, 4, 4, 4],
    )  # fmt: skip
    coder = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    pipe = blank(kind, transformer=transformer, vae=coder, scheduler=flow())
    pipe.encode_prompt = lambda prompt, **_: (vectors(prompt, WORDS, 16), torch.zeros(len(prompt), WORDS, 4))
    return pipe


def qwen(kind):
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    coder = diffusers.AutoencoderKLQwenImage(
        base_dim=24, z_dim=4, dim_mult=[1, 2, 4], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    pipe = blank(kind, transformer=transformer, vae=coder, scheduler=flow())
    pipe.encode_prompt = lambda prompt, **_: (vectors(prompt, WORDS, 16), ones(prompt))
    return pipe


def z_image(kind):
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, qk_norm=True, cap_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip
    with torch.no_grad():
        transformer.x_pad_token.fill_(1)
        transformer.cap_pad_token.fill_(1)
    pipe = blank(kind, transformer=transformer, vae=vae(16, shift_factor=0.1, scaling_factor=0.4), scheduler=flow())

    def encode_prompt(prompt, negative_prompt=None, do_classifier_free_guidance=True, **_):
        negative = negative_prompt or [""] * len(prompt)
        return list(vectors(prompt, WORDS, 16)), list(vectors(negative, WORDS, 16)) * do_classifier_free_guidance

    pipe.encode_prompt = encode_prompt
    return pipe


def both_prompts(prompt, _, negative_prompt, **__):
    return vectors(prompt, WORDS, 8), ones(prompt), vectors(negative_prompt, WORDS, 8), ones(prompt)


def sana(kind):
    transformer = diffusers.SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4, caption_channels=8,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, sample_size=SIDE, patch_size=1,
    )  # fmt: skip
    coder = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=[1, 1], downsample_block_type="conv",
        upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.4,
    )  # fmt: skip
    pipe = blank(kind, transformer=transformer, vae=coder, scheduler=flow())
    pipe.encode_prompt = both_prompts
    return pipe


def pixart(kind):
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=SIDE, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=2, caption_channels=8,
        in_channels=4, cross_attention_dim=16, out_channels=8, attention_bias=True, norm_type="ada_norm_single",
        activation_fn="gelu-approximate", num_embeds_ada_norm=1000, norm_elementwise_affine=False, norm_eps=1e-6,
    )  # fmt: skip
    pipe = blank(kind, transformer=transformer, vae=vae(4), scheduler=diffusers.DDIMScheduler())
    pipe.encode_prompt = both_prompts
    return pipe


def hunyuan(kind):
    transformer = diffusers.HunyuanImageTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=4, attention_head_dim=8, num_layers=1, num_single_layers=1,
        num_refiner_layers=1, patch_size=(1, 1), guidance_embeds=True, text_embed_dim=32, text_embed_2_dim=32,
        rope_axes_dim=(4, 4),
    )  # fmt: skip
    coder = diffusers.AutoencoderKLHunyuanImage(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(32, 32, 32, 32), layers_per_block=1,
        scaling_factor=0.5, spatial_compression_ratio=8, sample_size=128,
    )  # fmt: skip
    pipe = blank(kind, transformer=transformer, vae=coder, scheduler=flow())
    pipe.encode_prompt = lambda prompt, **_: (
        vectors(prompt, WORDS, 32), ones(prompt), vectors(prompt, WORDS, 32), ones(prompt)
    )  # fmt: skip
    return pipe


def unet(**more):
    return diffusers.UNet2DConditionModel(
        sample_size=SIDE // 2, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8, norm_num_groups=8, **more,
    )  # fmt: skip


def kolors(kind):
    network = unet(
        cross_attention_dim=16, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    )  # fmt: skip
    pipe = blank(
        kind, unet=network, vae=vae(4), scheduler=diffusers.EulerDiscreteScheduler(), force_zeros_for_empty_prompt=False
    )
    pipe.encode_prompt = lambda prompt, negative_prompt, **_: (
        vectors(prompt, WORDS, 16), vectors(negative_prompt, WORDS, 16), vectors(prompt, 16),
        vectors(negative_prompt, 16),
    )  # fmt: skip
    return pipe


def chroma(kind):
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=[4, 4, 8], approximator_hidden_dim=32, approximator_layers=1,
        approximator_num_channels=16,
    )  # fmt: skip
    coder = vae(4, shift_factor=0.06, scaling_factor=1.5)
    pipe = blank(kind, transformer=transformer, vae=coder, scheduler=flow())
    pipe.encode_prompt = lambda prompt, negative_prompt, **_: (
        vectors(prompt, WORDS, 16), torch.zeros(WORDS, 3), ones(prompt).float(), vectors(negative_prompt, WORDS, 16),
        torch.zeros(WORDS, 3), ones(prompt).float(),
    )  # fmt: skip
    return pipe


def sd3(kind):
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIDE // 2, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=16, caption_projection_dim=32, pooled_projection_dim=16, out_channels=4,
    )  # fmt: skip
    coder = vae(4, shift_factor=0.06, scaling_factor=1.5)
    pipe = blank(kind, transformer=transformer, vae=coder, scheduler=flow())
    pipe.encode_prompt = lambda prompt, negative_prompt=None, **_: (
        vectors(prompt, WORDS, 16), vectors(negative_prompt or [""] * len(prompt), WORDS, 16), vectors(prompt, 16),
        vectors(negative_prompt or [""] * len(prompt), 16),
    )  # fmt: skip
    return pipe


BUILDERS = {
    "FluxPipeline": flux, "FluxKontextPipeline": flux, "Flux2Pipeline": flux2, "Flux2KleinPipeline": flux2,
    "QwenImagePipeline": qwen, "QwenImageEditPipeline": qwen, "QwenImageEditPlusPipeline": qwen,
    "ZImagePipeline": z_image, "SanaPipeline": sana, "PixArtSigmaPipeline": pixart, "HunyuanImagePipeline": hunyuan,
    "KolorsPipeline": kolors, "ChromaPipeline": chroma, "StableDiffusion3Pipeline": sd3,
}  # fmt: skip
ON_DISK = {"StableDiffusionPipeline": "stable_diffusion", "StableDiffusionXLPipeline": "stable_diffusion_xl"}


def built(name):
    """A little pipeline of a class, of the same weights every time."""
    torch.manual_seed(0)
    return BUILDERS[name](getattr(diffusers, name))
