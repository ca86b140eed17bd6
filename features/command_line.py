"""The `povrisk` command. Each sub-command is an entry point and is imported only when it is called."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import click

GROUP = "povrisk.commands"


class LazyGroup(click.Group):
    """A group whose commands are looked up among the entry points."""

    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, without importing any."""
        return sorted(self._entries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        entry = self._entries().get(cmd_name)
        if entry is None:
            return None
        command = entry.load()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None:
                rows.append((name, command.get_short_help_str(90)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="povrisk")
def main() -> None:
    """Early warning of households returning to poverty, for human review.

    Every score is calibrated, explained, and decides nothing: a person does.
    """


if __name__ == "__main__":
    main()
