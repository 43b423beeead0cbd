"""What the library looks like as files: names, templates, views, the tree, and what reads it."""
