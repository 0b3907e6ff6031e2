"""What runs on the machine that wants an environment. Standard library only, Python 3.8 and later."""
