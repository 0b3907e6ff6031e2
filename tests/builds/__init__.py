"""The sandbox, the build front end, and the jobs, with hostile source distributions."""
