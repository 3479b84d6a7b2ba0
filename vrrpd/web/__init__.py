"""What others read by HTTP: metrics, whether all is well, and the status for people."""
