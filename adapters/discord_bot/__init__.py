"""The Discord bot: slash commands under ``/schedule``, their buttons and forms, and the bot that carries them.

It calls the application's commands and queries as a principal made from the interaction, and nothing else.

To add a command:

1. Write a module of its own beside these, with one function that takes the Desk and returns the command::

       def stats(desk: Desk) -> Command:
           @desk.command("stats")
           @autocomplete(task=desk.tasks())
           async def answer(asked: Asked, task: str) -> Reply:
               found = asked.find(task)
               return Reply((Card(asked.words("stats.title", name=found.name)),))

           return answer

   The callback is given an Asked (principal, language, queries, commands, the present instant) in place of the
   interaction, and returns a Reply of plain data. It has been acknowledged before it begins, so it may take minutes;
   ``asked.tell`` shows progress. What it raises is said in words by ``problems``.
2. Add the function to ``COMMANDS`` in ``catalog``. One line.
3. Put its texts into ``locales/en.toml`` and into every other language: ``[stats] description``, and
   ``[stats.options]`` for each option that ``[options]`` does not say already. A new refusal or reason goes into
   ``locales/told``; tests find what is missing there.
4. Name it in ``docs/reference/discord-commands.md``; a test compares that page with the tree.

A button or a form is a custom id (``press("pause", task_id)``) and a handler (``desk.on("pause", handler)``). No view
is kept in memory, so all of them survive a restart. Pure modules: ``cards`` (what is shown, within Discord's limits),
``task_cards`` (tasks as cards), ``texts`` (languages), ``problems`` (errors in words).
"""

from adapters.discord_bot.bot import DaybookBot
from adapters.discord_bot.cog import DaybookCog
from adapters.discord_bot.extension import attach, configure, configured, detach

__all__ = ["DaybookBot", "DaybookCog", "attach", "configure", "configured", "detach"]
