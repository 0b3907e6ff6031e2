"""What venvery can do, said once; the HTTP routes and the commands both call this."""
