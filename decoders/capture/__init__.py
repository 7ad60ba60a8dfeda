"""Latents for later: from diffusion models stopped on their way, and from pictures.

A *maker* turns a sample into latents, one for each folder that is wanted:

    pipelines.py   a prompt, through a latent diffusion model, looked at after some of its steps
    levels.py      a picture, through an encoder, at several noise levels

`loop.py` goes through the samples and writes what is missing, in the form of `decoders.latents`.
"""
