"""What a command says when it cannot do what it was asked for."""


class CommandError(Exception):
    """Carries a sentence for the person who gave the command; the command line shows it as it is."""


class StartError(CommandError):
    """Why the service cannot start, or go on."""
