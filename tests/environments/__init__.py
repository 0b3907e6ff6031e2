"""Tests of layers, manifests, heads and archives: what comes out is unpacked and run."""
