"""The commands of ``python -m scclu``, one a file: ``add`` says what a command takes, ``run`` runs it."""
