"""One Markdown file per prompt. `load(name)` gives its text; the hash of that text goes into the evidence."""
