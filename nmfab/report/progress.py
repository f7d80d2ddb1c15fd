"""Progress bars: of a run, of a download."""

from contextlib import contextmanager


@contextmanager
def bar(title, shown):
    """Show progress on standard error; yield what `nmfab.run.runner.run` takes as `progress`.

    Parameters
    ----------
    title : str
        What is computed.
    shown : bool
        Yield None instead, and show nothing.
    """
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        TextColumn("<"),
        TimeRemaining(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, counts="", visible=False)

        def tell(total, computed, reused, failed):
            counts = f"computed {computed}, reused {reused}"
            counts += f", failed {failed}" if failed else ""
            done = computed + reused + failed
            progress.update(task, total=total, completed=done, counts=counts, visible=True)

        yield tell


@contextmanager
def byte_bar(title, shown):
    """Show progress of a download on standard error; yield a function of bytes done and total.

    Parameters
    ----------
    title : str
        What is fetched.
    shown : bool
        Yield None instead, and show nothing.
    """
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("<"),
        TimeRemaining(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
