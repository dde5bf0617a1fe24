"""
What travels between the services: frozen structs, one module for each family of subjects.

New fields have defaults, so that an older reader and a newer writer understand each other.
"""
