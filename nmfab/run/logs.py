"""What nmfab's log tells during a run: warnings for the report, all of it for a file."""

import logging


class heard:
    """Collect nmfab's warnings for the report, and write all of its log to the log file."""

    def __init__(self, warnings, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._handlers = [_Collector(warnings), logging.FileHandler(folder / "nmfab.log")]
        layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        self._handlers[1].setFormatter(logging.Formatter(layout))

    def __enter__(self):
        logger = logging.getLogger("nmfab")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in self._handlers:
            logger.addHandler(handler)

    def __exit__(self, *_):
        for handler in self._handlers:
            logging.getLogger("nmfab").removeHandler(handler)
            handler.close()


class _Collector(logging.Handler):
    """Keeps each warning once; errors are failures already, and told as such."""

    def __init__(self, texts):
        super().__init__(logging.WARNING)
        self.texts = texts

    def emit(self, record):
        text = record.getMessage()
        if record.levelno == logging.WARNING and text not in self.texts:
            self.texts.append(text)
