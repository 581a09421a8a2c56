"""Mutation tests: whether the tests of a module notice when its code is changed."""
