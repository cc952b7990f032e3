"""Many runs at once: who they are, which are still to be done, the workers that do them, and the table at the end."""
