"""What is learned from the owner's own labels: a router, a trained cascade, a certificate. It sends nothing."""
