"""The questions an administrator would ask the box, and their answers. They look, never repair."""
