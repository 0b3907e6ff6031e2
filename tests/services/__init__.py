"""What venvery can do, tried on real objects and over real HTTP."""
