"""Reading files, a module a family of formats: each gives what was read and what was bad."""
