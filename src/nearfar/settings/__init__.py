"""Environment and one TOML file become frozen values here; nothing else reads the environment."""
