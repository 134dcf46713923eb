"""What the documentation says is what there is: nothing left out, and nothing that does not exist."""
