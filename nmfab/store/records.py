"""Small records in JSON beside the artifacts: failures, fingerprints, memories of a caller."""

import hashlib
import json
import logging
import os
import uuid

from nmfab.base.errors import StoreError

_log = logging.getLogger("nmfab.store")


def write_record(path, content):
    """Save a JSON value, under a temporary name and then renamed, with a digest of it."""
    text = json.dumps({"digest": _digest(content), "content": content}, indent=1)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_record(path):
    """Return what `write_record` saved, or None where there is nothing or it had to be set aside.

    A file that does not give back what was written is reported and renamed to ``*.broken``.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if _digest(record["content"]) != record["digest"]:
            raise StoreError("it is not as it was written")
        return record["content"]
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of itself
        set_aside(path, error)
        return None


def set_aside(path, error):
    """Rename a file that cannot be read to ``*.broken``, and say so."""
    aside = path.with_suffix(".broken")
    reason = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
    told = f"set aside as {aside.name}, to be computed again"
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return  # another process was here first
    except OSError as failed:
        told = f"it cannot be renamed either ({failed.strerror}): remove it"
    _log.warning("%s cannot be read (%s): %s", path, " ".join(reason.split()), told)


def temporary_name(path):
    """Return a name beside `path` that no other process uses and no reader looks for."""
    return path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")


def _digest(content):
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
