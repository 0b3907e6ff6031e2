"""A lock becomes a manifest, and a manifest becomes the stream of an environment."""

from venvery.environments.archive import Archive, layer_archive
from venvery.environments.bytecode import compile_layers
from venvery.environments.head import Encoding, HeadOptions, make_head
from venvery.environments.layers import RECIPE, LayerInfo, build_layer, layer_key
from venvery.environments.manifest import Layer, Manifest, environment_key, make_manifest
from venvery.environments.prefix import check_prefix, check_python

__all__ = [
    "RECIPE",
    "Archive",
    "Encoding",
    "HeadOptions",
    "Layer",
    "LayerInfo",
    "Manifest",
    "build_layer",
    "check_prefix",
    "check_python",
    "compile_layers",
    "environment_key",
    "layer_archive",
    "layer_key",
    "make_head",
    "make_manifest",
]
