"""What the tests build their worlds from: tiny real wheels, a real index server, real processes."""
