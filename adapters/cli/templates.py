"""``daybook templates ...``: how results look, as files that people edit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.cli import show
from adapters.cli.options import JsonOption

if TYPE_CHECKING:
    from adapters.cli.host import Host

__all__ = ["app"]

app = typer.Typer(
    name="templates", no_args_is_help=True, rich_markup_mode=None, help="Change how results look, and check it."
)


@app.command("export")
def export_templates(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write them; made when missing.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write the built-in templates into a folder, to be edited there. Set DAYBOOK_TEMPLATES to use it."""
    from adapters.rendering.templates import TEMPLATES, packaged_text
    from domain.errors import InvalidInput

    folder = folder.expanduser()
    there = [name for name in TEMPLATES if (folder / name).exists()]
    if there and not force:
        problem = f"holds {', '.join(there)} already; nothing was written"
        raise InvalidInput("folder", str(folder), problem, "choose another, or give --force to replace them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in TEMPLATES:
            (folder / name).write_text(packaged_text(name), encoding="utf-8")
    except OSError as error:
        raise InvalidInput("folder", str(folder), f"cannot be written: {error.strerror}", "choose another") from error
    for name, made in TEMPLATES.items():
        show.line(f"{folder / name}: {made}")
    show.note(f"edit them, look with `daybook templates check {folder}`, and set DAYBOOK_TEMPLATES={folder.resolve()}")


@app.command("check")
def check_templates(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Where they are. [DAYBOOK_TEMPLATES]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fill the templates of a folder with sample summaries. Exit code 1 when one is broken, with file and line."""
    from adapters.rendering.checking import check_folder
    from domain.errors import InvalidInput, NotFound

    host: Host = ctx.obj
    chosen = folder.expanduser() if folder is not None else host.settings().templates
    if chosen is None:
        raise InvalidInput(
            "folder", "", "is not given, and DAYBOOK_TEMPLATES is not set", "name the folder of your templates"
        )
    try:
        findings = check_folder(chosen)
    except NotADirectoryError:
        raise NotFound("folder of templates", str(chosen)) from None
    if json:
        show.as_json([finding._asdict() for finding in findings])
    else:
        rows = ((finding.name, show.state(finding.state), show.plain(finding.said)) for finding in findings)
        show.display(show.table(("template", "state", "finding"), rows))
    raise typer.Exit(1 if any(finding.state == "wrong" for finding in findings) else 0)
