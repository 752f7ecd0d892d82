"""What clients speak: a skin is a pair of translations, to the canonical form and from it. The request story is one."""
