"""The processes of `cathrt run`: live, study and gateway under a supervisor, and how each is seen to be well."""
