"""Source distributions to wheels: the sandbox, the build front end in it, and the jobs that people wait for."""
