"""CloudEvents over HTTP: the open door for systems that have no adapter of their own."""
