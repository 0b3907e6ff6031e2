"""Tests of the client: real archives, real HTTP servers, real processes."""
