"""The installed `cathrt`: commands of export beside those of the runtime."""


def main() -> None:
    """Entry point of the `cathrt` script: streams and signals first, then the imports, which take a moment."""
    from cathrt.runtime.commands.standard_streams import prepare_standard_streams
    from cathrt.runtime.commands.stop_signals import stop_on_signals

    prepare_standard_streams()
    stop_on_signals()
    from cathrt.export.commands.cli import main as commands

    commands()
