"""What people are promised, shown with real processes and real sockets."""
