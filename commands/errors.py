"""What a command says when it cannot do what it was asked for."""


class CommandError(Exception):
    """Carries a sentence for the person who gave the command; the command line shows it as it is."""


class StartError(CommandError):
    """Why the service cannot start, or go on."""


def sentence_of(error: Exception) -> str | None:
    """What to tell of an error that a person can do something about; None of any other."""
    from httpx import HTTPError, InvalidURL, UnsupportedProtocol
    from redis import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    from service.connection import RefusedError

    match error:
        case CommandError() | ValueError():
            return str(error)
        case RefusedError():
            return error.detail
        case BrokenPipeError():  # whoever read has had enough
            return None
        case OSError():
            return f"{error.filename}: {error.strerror}" if error.filename else str(error)
        case InvalidURL() | UnsupportedProtocol():
            return f"That is no address ({error}). Give one like http://127.0.0.1:8000 with --url."
        case HTTPError():
            return f"The service does not answer ({error}). Start it, and give this command again."
        case RedisError():
            return f"Redis or Valkey cannot be used ({error}). Check ACCRUE_REDIS_URL."
        case SQLAlchemyError():
            return f"The database cannot be used: {str(error).splitlines()[0]}"
    return None
